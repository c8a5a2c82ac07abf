// f16, one row by a weight of 4096 x 4096 that lies along k, sums in f32.
#a = affine_map<(d0, d1, d2) -> (d0, d2)>
#b = affine_map<(d0, d1, d2) -> (d1, d2)>
#c = affine_map<(d0, d1, d2) -> (d0, d1)>
module {
  func.func @main(%a: tensor<1x4096xf16> {graph.name = "a", graph.dtype = "f16", graph.dims = [1, 4096]},
                  %b: tensor<4096x4096xf16> {graph.name = "b", graph.dtype = "f16", graph.dims = [4096, 4096]})
      -> (tensor<1x4096xf32> {graph.name = "c", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<1x4096xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4096xf32>) -> tensor<1x4096xf32>
    %s = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<1x4096xf16>, tensor<4096x4096xf16>) outs(%z : tensor<1x4096xf32>) {
    ^bb0(%p: f16, %q: f16, %o: f32):
      %pw = arith.extf %p : f16 to f32
      %qw = arith.extf %q : f16 to f32
      %m = arith.mulf %pw, %qw : f32
      %r = arith.addf %o, %m : f32
      linalg.yield %r : f32
    } -> tensor<1x4096xf32>
    return %s : tensor<1x4096xf32>
  }
}
