#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
module {
  func.func @main(%x: tensor<48x64xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [48, 64]},
                  %w: tensor<64x96xf32> {graph.name = "w", graph.dtype = "f32", graph.dims = [64, 96]})
      -> (tensor<48x96xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<48x96xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<48x96xf32>) -> tensor<48x96xf32>
    %y = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%x, %w : tensor<48x64xf32>, tensor<64x96xf32>) outs(%z : tensor<48x96xf32>) {
    ^bb0(%p: f32, %q: f32, %s: f32):
      %m = arith.mulf %p, %q : f32
      %t = arith.addf %s, %m : f32
      linalg.yield %t : f32
    } -> tensor<48x96xf32>
    return %y : tensor<48x96xf32>
  }
}
