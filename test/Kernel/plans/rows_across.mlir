// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v3 --remarks 2>&1 | FileCheck %s

/// A reduction over a dim that is not the innermost runs on vectors of rows:
/// each lane is a row and nothing is joined across lanes; four columns at a time
/// have accumulators of their own, and the last rows are
/// masked.
// CHECK: remark: {{.*}}: rows: taken
// CHECK-LABEL: kernel.func @k_reduction
// CHECK-SAME: plan "rows"
// CHECK: scf.if
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%{{.*}}) -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
// CHECK: arith.addf
// CHECK: vector.store
// CHECK: else
// CHECK: vector.maskedload
// CHECK: vector.maskedstore
// CHECK-NOT: vector.reduction
#in = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#out = affine_map<(d0, d1, d2) -> (d0, d2)>
module {
  func.func @main(%n: index {graph.symbol = "n", graph.min = 1 : i64, graph.max = 64 : i64},
                  %x: tensor<?x21x100xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = ["n", 21, 100]})
      -> (tensor<?x100xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty(%n) : tensor<?x100xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<?x100xf32>) -> tensor<?x100xf32>
    %y = linalg.generic {indexing_maps = [#in, #out], iterator_types = ["parallel", "reduction", "parallel"]}
        ins(%x : tensor<?x21x100xf32>) outs(%zeros : tensor<?x100xf32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.addf %o, %v fastmath<reassoc,contract> : f32
      linalg.yield %s : f32
    } -> tensor<?x100xf32>
    return %y : tensor<?x100xf32>
  }
}
