// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v3 --remarks 2>&1 | FileCheck %s
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v3 --test-refuse-plans=1 | FileCheck %s --check-prefix=SERIAL

/// Softmax over a dim of 100 is one kernel, the plan `rows`: vectors along the
/// columns with four registers in flight, what is left masked; the exponential
/// is computed once and kept in workgroup memory between its pass and the last.
/// Refused, the group comes down the ladder as it is, with nothing kept.
// CHECK: remark: k_rows_{{.*}}: contraction: more operations than an anchor and an epilogue
// CHECK: remark: k_rows_{{.*}}: rows: taken
// CHECK: hal.launch @k_rows_
// CHECK-NOT: hal.launch
// CHECK: kernel.func @k_rows_{{.*}} plan "rows"
// CHECK: %[[KEPT:.*]] = kernel.alloc : memref<100xf32, 3>
// CHECK: arith.maximumf {{.*}} : vector<16xf32>
// CHECK: vector.maskedload
// CHECK: vector.reduction <maximumf>
// CHECK: math.exp {{.*}} : vector<16xf32>
// CHECK: vector.store {{.*}}, %[[KEPT]]
// CHECK: math.exp {{.*}} : vector<8xf32>
// CHECK: vector.reduction <add>
// CHECK-NOT: math.exp
// CHECK: vector.load %[[KEPT]]
// CHECK: arith.divf
// SERIAL: kernel.func @k_rows_{{.*}} plan "serial"
// SERIAL-NOT: kernel.alloc
// SERIAL-COUNT-2: math.exp {{.*}} : f32
#all = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
module {
  func.func @main(%n: index {graph.symbol = "n", graph.min = 1 : i64, graph.max = 64 : i64},
                  %x: tensor<?x100xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = ["n", 100]})
      -> (tensor<?x100xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %low = arith.constant 0xFF800000 : f32
    %zero = arith.constant 0.0 : f32
    %r = tensor.empty(%n) : tensor<?xf32>
    %e = tensor.empty(%n) : tensor<?x100xf32>
    %lows = linalg.fill ins(%low : f32) outs(%r : tensor<?xf32>) -> tensor<?xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%r : tensor<?xf32>) -> tensor<?xf32>
    %max = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
        ins(%x : tensor<?x100xf32>) outs(%lows : tensor<?xf32>) {
    ^bb0(%v: f32, %o: f32):
      %m = arith.maximumf %o, %v : f32
      linalg.yield %m : f32
    } -> tensor<?xf32>
    %exp = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel"]}
        ins(%x, %max : tensor<?x100xf32>, tensor<?xf32>) outs(%e : tensor<?x100xf32>) {
    ^bb0(%v: f32, %m: f32, %o: f32):
      %d = arith.subf %v, %m : f32
      %p = math.exp %d : f32
      linalg.yield %p : f32
    } -> tensor<?x100xf32>
    %sum = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
        ins(%exp : tensor<?x100xf32>) outs(%zeros : tensor<?xf32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.addf %o, %v fastmath<reassoc,contract> : f32
      linalg.yield %s : f32
    } -> tensor<?xf32>
    %y = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel"]}
        ins(%exp, %sum : tensor<?x100xf32>, tensor<?xf32>) outs(%e : tensor<?x100xf32>) {
    ^bb0(%v: f32, %s: f32, %o: f32):
      %q = arith.divf %v, %s : f32
      linalg.yield %q : f32
    } -> tensor<?x100xf32>
    return %y : tensor<?x100xf32>
  }
}
