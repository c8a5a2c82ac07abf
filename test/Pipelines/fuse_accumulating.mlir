// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 | FileCheck %s

/// The sum reads what it writes to, so it stays apart from the maximum: fused,
/// its accumulator would run along the maximum's loop.
// CHECK-LABEL: func.func @main
// CHECK: %[[SUM:.*]] = hal.launch @k_elementwise
// CHECK: hal.launch @k_reduction{{.*}} ins(%[[SUM]])
#all = affine_map<(i, j) -> (i, j)>
#columns = affine_map<(i, j) -> (j)>
module {
  func.func @main(%x: tensor<5x16xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [5, 16]})
      -> (tensor<16xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %least = arith.constant 0xFF800000 : f32
    %e = tensor.empty() : tensor<5x16xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<5x16xf32>) -> tensor<5x16xf32>
    %squares = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%x : tensor<5x16xf32>) outs(%zeros : tensor<5x16xf32>) {
    ^bb0(%v: f32, %o: f32):
      %p = arith.mulf %v, %v : f32
      %r = arith.addf %o, %p : f32
      linalg.yield %r : f32
    } -> tensor<5x16xf32>
    %f = tensor.empty() : tensor<16xf32>
    %start = linalg.fill ins(%least : f32) outs(%f : tensor<16xf32>) -> tensor<16xf32>
    %y = linalg.generic {indexing_maps = [#all, #columns], iterator_types = ["reduction", "parallel"]}
        ins(%squares : tensor<5x16xf32>) outs(%start : tensor<16xf32>) {
    ^bb0(%v: f32, %o: f32):
      %r = arith.maximumf %o, %v : f32
      linalg.yield %r : f32
    } -> tensor<16xf32>
    return %y : tensor<16xf32>
  }
}
