// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 | FileCheck %s
// RUN: istc %s --emit=program --target=cpu:x86-64-v3 | FileCheck %s --check-prefix=PROG

/// Kernels are made within each block, and an elementwise operation before the
/// loop is not computed again inside. What no iteration changes is computed
/// before it.
// CHECK-LABEL: func.func @main
// CHECK: %[[FLAG:.*]] = arith.cmpi
// CHECK: %[[IF:.*]] = scf.if %[[FLAG]]
// CHECK: hal.launch @[[NEG:k_elementwise_[0-9a-f]+]]
// CHECK: else
// CHECK: %[[BOUND:.*]] = graph.reshape %[[IF]] sizes(%[[N:.*]])
// CHECK: %[[SAME:.*]] = hal.launch @[[NEG]]
// CHECK: scf.for {{.*}} iter_args(%[[S:.*]] = %[[BOUND]], %{{.*}})
// CHECK: %[[NOW:.*]] = graph.reshape %[[S]] sizes(%[[N]])
// CHECK: hal.launch @[[ADD:k_elementwise_[0-9a-f]+]] {{.*}} ins(%[[NOW]], %[[SAME]])
// CHECK-NOT: hal.launch
// CHECK: tensor.insert_slice

/// The condition and the trip count are read; both sides set one register. The
/// loop's row goes to its place in memory that was there before, and what the
/// loop carries comes from the pool and lives until the loop's end.
// PROG-LABEL: function main host_waits 2
// PROG: transient 0: {{.*}}bytes, @{{[0-9]+}}..@{{[0-9]+$}}
// PROG: transient 3: {{.*}}bytes, @[[BEGIN:[0-9]+]]..@{{[0-9]+}}, pool
// PROG: read
// PROG: read
// PROG: if_
// PROG: launch k_elementwise
// PROG: bmove [[R:b[0-9]+]] b
// PROG: else_
// PROG: bmove [[R]] b
// PROG: end_if
// PROG: @[[BEGIN]]: loop
// PROG: alloc [[NEW:b[0-9]+]] transient 3
// PROG: launch k_elementwise
// PROG: view [[ROW:b[0-9]+]]
// PROG: copy [[ROW]] [[NEW]]
// PROG: bmove b{{[0-9]+}} [[NEW]]
// PROG: end_loop @[[BEGIN]]
// PROG: set_output
#id = affine_map<(d0) -> (d0)>
module {
  func.func @main(%n: index {graph.symbol = "n", graph.min = 0 : i64, graph.max = 64 : i64},
                  %x: tensor<?xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = ["n"]},
                  %c: tensor<i1> {graph.name = "c", graph.dtype = "i1", graph.dims = []},
                  %k: tensor<i64> {graph.name = "k", graph.dtype = "i64", graph.dims = []})
      -> (tensor<?xf32> {graph.name = "last", graph.dtype = "f32"},
          tensor<?x?xf32> {graph.name = "rows", graph.dtype = "f32"}) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %flag = graph.read %c at %c0 : tensor<i1>
    %bit = arith.cmpi ne, %flag, %c0 : index
    %trip = graph.read %k at %c0 : tensor<i64>
    %r = scf.if %bit -> tensor<?xf32> {
      %e = tensor.empty(%n) : tensor<?xf32>
      %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
          ins(%x : tensor<?xf32>) outs(%e : tensor<?xf32>) {
      ^bb0(%v: f32, %o: f32):
        %q = arith.negf %v : f32
        linalg.yield %q : f32
      } -> tensor<?xf32>
      scf.yield %a : tensor<?xf32>
    } else {
      scf.yield %x : tensor<?xf32>
    }
    %y = graph.reshape %r sizes(%n) : tensor<?xf32> -> tensor<?xf32>
    %acc0 = tensor.empty(%trip, %n) : tensor<?x?xf32>
    %l:2 = scf.for %i = %c0 to %trip step %c1 iter_args(%s = %y, %acc = %acc0) -> (tensor<?xf32>, tensor<?x?xf32>) {
      %now = graph.reshape %s sizes(%n) : tensor<?xf32> -> tensor<?xf32>
      %rows = graph.reshape %acc sizes(%trip, %n) : tensor<?x?xf32> -> tensor<?x?xf32>
      %e = tensor.empty(%n) : tensor<?xf32>
      %same = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
          ins(%y : tensor<?xf32>) outs(%e : tensor<?xf32>) {
      ^bb0(%v: f32, %o: f32):
        %q = arith.negf %v : f32
        linalg.yield %q : f32
      } -> tensor<?xf32>
      %a = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
          ins(%now, %same : tensor<?xf32>, tensor<?xf32>) outs(%e : tensor<?xf32>) {
      ^bb0(%v: f32, %w: f32, %o: f32):
        %q = arith.addf %v, %w : f32
        linalg.yield %q : f32
      } -> tensor<?xf32>
      %row = graph.reshape %a sizes(%n) : tensor<?xf32> -> tensor<1x?xf32>
      %more = tensor.insert_slice %row into %rows[%i, 0] [1, %n] [1, 1] : tensor<1x?xf32> into tensor<?x?xf32>
      scf.yield %a, %more : tensor<?xf32>, tensor<?x?xf32>
    }
    %last = graph.reshape %l#0 sizes(%n) : tensor<?xf32> -> tensor<?xf32>
    %all = graph.reshape %l#1 sizes(%trip, %n) : tensor<?x?xf32> -> tensor<?x?xf32>
    return %last, %all : tensor<?xf32>, tensor<?x?xf32>
  }
}
