// f16, 1024^3, sums in f32; B is a weight of its own.
#a = affine_map<(d0, d1, d2) -> (d0, d2)>
#b = affine_map<(d0, d1, d2) -> (d2, d1)>
#c = affine_map<(d0, d1, d2) -> (d0, d1)>
#id = affine_map<(d0, d1) -> (d0, d1)>
module {
  func.func @main(%a: tensor<1024x1024xf16> {graph.name = "a", graph.dtype = "f16", graph.dims = [1024, 1024]},
                  %b: tensor<1024x1024xf16> {graph.name = "b", graph.dtype = "f16", graph.dims = [1024, 1024]})
      -> (tensor<1024x1024xf16> {graph.name = "c", graph.dtype = "f16"}) {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<1024x1024xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
    %s = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<1024x1024xf16>, tensor<1024x1024xf16>) outs(%z : tensor<1024x1024xf32>) {
    ^bb0(%p: f16, %q: f16, %o: f32):
      %pw = arith.extf %p : f16 to f32
      %qw = arith.extf %q : f16 to f32
      %m = arith.mulf %pw, %qw : f32
      %r = arith.addf %o, %m : f32
      linalg.yield %r : f32
    } -> tensor<1024x1024xf32>
    %h = tensor.empty() : tensor<1024x1024xf16>
    %c = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%s : tensor<1024x1024xf32>) outs(%h : tensor<1024x1024xf16>) {
    ^bb0(%v: f32, %o: f16):
      %r = arith.truncf %v : f32 to f16
      linalg.yield %r : f16
    } -> tensor<1024x1024xf16>
    return %c : tensor<1024x1024xf16>
  }
}
