// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 | FileCheck %s

/// RMS norm of a residual sum that is read again: one kernel, grown over the
/// sum, the reduction, a keepdims reshape and what reads it; with two results.
/// The last product needs the group's results by way of another kernel as well:
/// in the group it would wait for itself, so it stays outside.
// CHECK-LABEL: func.func @main
// CHECK: %[[R:.*]]:2 = hal.launch @[[ROWS:k_rows_[0-9a-f]+]] {{.*}} ins(%{{.*}}, %{{.*}})
// CHECK-NEXT: %[[P:.*]] = hal.launch @k_gather{{.*}} ins(%[[R]]#0)
// CHECK-NEXT: %[[Y:.*]] = hal.launch @k_elementwise{{.*}} ins(%[[R]]#1, %[[P]])
// CHECK-NEXT: return %[[Y]], %[[R]]#1
// CHECK: kernel.func @[[ROWS]] form(tensor) {{.*}} out %{{.*}}: memref<?x64xf32>{{.*}} out %{{.*}}: memref<?x64xf32>
// CHECK-COUNT-3: linalg.generic
// CHECK-NOT: linalg.generic
// CHECK: kernel.return
#all = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
#keep = affine_map<(d0, d1) -> (d0, 0)>
module {
  func.func @main(%n: index {graph.symbol = "n", graph.min = 1 : i64, graph.max = 64 : i64},
                  %x: tensor<?x64xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = ["n", 64]},
                  %z: tensor<?x64xf32> {graph.name = "z", graph.dtype = "f32", graph.dims = ["n", 64]})
      -> (tensor<?x64xf32> {graph.name = "y", graph.dtype = "f32"}, tensor<?x64xf32> {graph.name = "norm", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %c64 = arith.constant 64 : index
    %e = tensor.empty(%n) : tensor<?x64xf32>
    %r = tensor.empty(%n) : tensor<?xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%r : tensor<?xf32>) -> tensor<?xf32>
    %a = linalg.generic {indexing_maps = [#all, #all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%x, %z : tensor<?x64xf32>, tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x64xf32>
    %sum = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
        ins(%a : tensor<?x64xf32>) outs(%zeros : tensor<?xf32>) {
    ^bb0(%v: f32, %o: f32):
      %p = arith.mulf %v, %v : f32
      %s = arith.addf %o, %p fastmath<reassoc,contract> : f32
      linalg.yield %s : f32
    } -> tensor<?xf32>
    %kept = graph.reshape %sum sizes(%n) : tensor<?xf32> -> tensor<?x1xf32>
    %norm = linalg.generic {indexing_maps = [#all, #keep, #all], iterator_types = ["parallel", "parallel"]}
        ins(%a, %kept : tensor<?x64xf32>, tensor<?x1xf32>) outs(%e : tensor<?x64xf32>) {
    ^bb0(%v: f32, %s: f32, %o: f32):
      %q = math.sqrt %s : f32
      %d = arith.divf %v, %q : f32
      linalg.yield %d : f32
    } -> tensor<?x64xf32>
    %other = graph.parallel "Gather" space(%n, %c64) ins(%a) sizes(%n) : (tensor<?x64xf32>) -> tensor<?x64xf32> {
    ^bb0(%i: index, %j: index, %from: memref<?x64xf32>, %to: memref<?x64xf32>):
      %v = memref.load %from[%i, %j] : memref<?x64xf32>
      memref.store %v, %to[%i, %j] : memref<?x64xf32>
      graph.yield
    }
    %y = linalg.generic {indexing_maps = [#all, #all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%norm, %other : tensor<?x64xf32>, tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %s = arith.mulf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x64xf32>
    return %y, %norm : tensor<?x64xf32>, tensor<?x64xf32>
  }
}
