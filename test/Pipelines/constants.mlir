// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 | FileCheck %s
// RUN: istc %s --emit=kernel --target=nvidia:sm_80 | FileCheck %s

/// Three layers that differ in a scale and a zero point have one kernel, which
/// is given them; what is the same in all, and what only two have, stays in it.
// CHECK-LABEL: func.func @main
// CHECK-DAG: %[[S:.*]] = {{.*}} dense<2.500000e-01> : tensor<f32>
// CHECK-DAG: %[[Z:.*]] = {{.*}} dense<3> : tensor<i8>
// CHECK: hal.launch @[[K:k_elementwise_[0-9a-f]+]]{{.*}} ins(%{{.*}}, %[[S]], %[[Z]])
// CHECK: hal.launch @[[K]]
// CHECK: hal.launch @[[K]]
// CHECK: hal.launch @k_elementwise
// CHECK: hal.launch @k_elementwise
// CHECK: return
// CHECK: kernel.func @[[K]] {{.*}} in %{{.*}}: memref<64xi8>{{.*}} in %{{.*}}: memref<f32>{{.*}} in %{{.*}}: memref<i8>{{.*}} out
// CHECK: arith.constant 1.000000e+00 : f32
// CHECK: kernel.func
// CHECK: arith.constant 5.000000e+00 : f32
// CHECK: kernel.func
// CHECK: arith.constant 6.000000e+00 : f32
// CHECK-NOT: kernel.func
#id = affine_map<(i) -> (i)>
module {
  func.func @main(%a: tensor<64xi8> {graph.name = "a", graph.dtype = "i8", graph.dims = [64]},
                  %b: tensor<64xf32> {graph.name = "b", graph.dtype = "f32", graph.dims = [64]})
      -> (tensor<64xf32> {graph.name = "x", graph.dtype = "f32"}, tensor<64xf32> {graph.name = "y", graph.dtype = "f32"},
          tensor<64xf32> {graph.name = "z", graph.dtype = "f32"}, tensor<64xf32> {graph.name = "u", graph.dtype = "f32"},
          tensor<64xf32> {graph.name = "v", graph.dtype = "f32"}) {
    %e = tensor.empty() : tensor<64xf32>
    %x = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<64xi8>) outs(%e : tensor<64xf32>) {
    ^bb0(%i: i8, %o: f32):
      %s = arith.constant 0.25 : f32
      %z = arith.constant 3 : i8
      %one = arith.constant 1.0 : f32
      %d = arith.subi %i, %z : i8
      %f = arith.sitofp %d : i8 to f32
      %m = arith.mulf %f, %s : f32
      %r = arith.addf %m, %one : f32
      linalg.yield %r : f32
    } -> tensor<64xf32>
    %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<64xi8>) outs(%e : tensor<64xf32>) {
    ^bb0(%i: i8, %o: f32):
      %s = arith.constant 0.75 : f32
      %z = arith.constant 7 : i8
      %one = arith.constant 1.0 : f32
      %d = arith.subi %i, %z : i8
      %f = arith.sitofp %d : i8 to f32
      %m = arith.mulf %f, %s : f32
      %r = arith.addf %m, %one : f32
      linalg.yield %r : f32
    } -> tensor<64xf32>
    %z = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<64xi8>) outs(%e : tensor<64xf32>) {
    ^bb0(%i: i8, %o: f32):
      %s = arith.constant 1.25 : f32
      %z = arith.constant 3 : i8
      %one = arith.constant 1.0 : f32
      %d = arith.subi %i, %z : i8
      %f = arith.sitofp %d : i8 to f32
      %m = arith.mulf %f, %s : f32
      %r = arith.addf %m, %one : f32
      linalg.yield %r : f32
    } -> tensor<64xf32>
    %u = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%b : tensor<64xf32>) outs(%e : tensor<64xf32>) {
    ^bb0(%i: f32, %o: f32):
      %s = arith.constant 5.0 : f32
      %r = arith.addf %i, %s : f32
      linalg.yield %r : f32
    } -> tensor<64xf32>
    %v = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%b : tensor<64xf32>) outs(%e : tensor<64xf32>) {
    ^bb0(%i: f32, %o: f32):
      %s = arith.constant 6.0 : f32
      %r = arith.addf %i, %s : f32
      linalg.yield %r : f32
    } -> tensor<64xf32>
    return %x, %y, %z, %u, %v : tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>
  }
}
