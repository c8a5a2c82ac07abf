// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v3 | FileCheck %s

/// Dims are joined to one loop; a dim of size 0 among dynamic ones gives a
/// dynamic one.
// CHECK: plan "loops"
// CHECK: memref.collapse_shape {{.*}} : memref<?x3x0x?xf32> into memref<?xf32>
#all = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
module {
  func.func @main(%n: index {graph.symbol = "n", graph.min = 1, graph.max = 9}, %m: index {graph.symbol = "m", graph.min = 1, graph.max = 9},
                  %x: tensor<?x3x0x?xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = ["n", 3, 0, "m"]})
      -> (tensor<f32> {graph.name = "y", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<f32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<f32>) -> tensor<f32>
    %y = linalg.generic {indexing_maps = [#all, affine_map<(d0, d1, d2, d3) -> ()>],
                         iterator_types = ["reduction", "reduction", "reduction", "reduction"]}
        ins(%x : tensor<?x3x0x?xf32>) outs(%z : tensor<f32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.addf %o, %v : f32
      linalg.yield %s : f32
    } -> tensor<f32>
    return %y : tensor<f32>
  }
}
