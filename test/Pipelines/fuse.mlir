// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 | FileCheck %s
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 -O 0 | FileCheck %s --check-prefix=NONE

/// A chain of elementwise operations is one kernel; its dim is its one size.
// CHECK-LABEL: func.func @main
// CHECK: hal.launch @[[K:k_elementwise_[0-9a-f]+]] scalars(%{{.*}}) ins(%{{.*}}) sizes(%{{.*}})
// CHECK-NOT: hal.launch
// CHECK: kernel.func @[[K]] form(tensor) sizes(%{{.*}} in 1 to 64)
// NONE-COUNT-2: hal.launch
#id = affine_map<(d0) -> (d0)>
module {
  func.func @main(%n: index {graph.symbol = "n", graph.min = 1 : i64, graph.max = 64 : i64},
                  %x: tensor<?xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = ["n"]})
      -> (tensor<?xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %e = tensor.empty(%n) : tensor<?xf32>
    %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
        ins(%x : tensor<?xf32>) outs(%e : tensor<?xf32>) {
    ^bb0(%v: f32, %o: f32):
      %r = math.exp %v : f32
      linalg.yield %r : f32
    } -> tensor<?xf32>
    %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
        ins(%a : tensor<?xf32>) outs(%e : tensor<?xf32>) {
    ^bb0(%v: f32, %o: f32):
      %r = arith.negf %v : f32
      linalg.yield %r : f32
    } -> tensor<?xf32>
    return %b : tensor<?xf32>
  }
}
