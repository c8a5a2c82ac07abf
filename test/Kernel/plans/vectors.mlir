// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v3 --remarks 2>&1 | FileCheck %s

/// Neighbouring points of an irregular operation do the same on neighbouring
/// elements: eight at a time, the rest of a row under a mask; what is the same
/// for all of them stays scalar. An operation that reads by the point's number
/// runs one by one.
// CHECK: remark: k_far_{{.*}}: vectors: the body holds arith.subi
// CHECK: remark: k_near_{{.*}}: vectors: taken
// CHECK: kernel.func @k_near_{{.*}} plan "vectors"
// CHECK: scf.if
// CHECK: memref.load {{.*}} : memref<3xf32>
// CHECK: vector.load {{.*}} vector<8xf32>
// CHECK: arith.mulf {{.*}} : vector<8xf32>
// CHECK: vector.store
// CHECK: else
// CHECK: vector.create_mask
// CHECK: vector.maskedload
// CHECK: vector.maskedstore
module {
  func.func @main(%x: tensor<3x21xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [3, 21]},
                  %s: tensor<3xf32> {graph.name = "s", graph.dtype = "f32", graph.dims = [3]})
      -> (tensor<3x21xf32> {graph.name = "y", graph.dtype = "f32"}, tensor<3x21xf32> {graph.name = "z", graph.dtype = "f32"}) {
    %c3 = arith.constant 3 : index
    %c21 = arith.constant 21 : index
    %far = graph.parallel "Far" space(%c3, %c21) ins(%x) : (tensor<3x21xf32>) -> tensor<3x21xf32> {
    ^bb0(%i: index, %j: index, %xm: memref<3x21xf32>, %ym: memref<3x21xf32>):
      %last = arith.constant 20 : index
      %k = arith.subi %last, %j : index
      %v = memref.load %xm[%i, %k] : memref<3x21xf32>
      memref.store %v, %ym[%i, %j] : memref<3x21xf32>
      graph.yield
    }
    %near = graph.parallel "Near" space(%c3, %c21) ins(%x, %s) : (tensor<3x21xf32>, tensor<3xf32>) -> tensor<3x21xf32> {
    ^bb0(%i: index, %j: index, %xm: memref<3x21xf32>, %sm: memref<3xf32>, %ym: memref<3x21xf32>):
      %a = memref.load %sm[%i] : memref<3xf32>
      %v = memref.load %xm[%i, %j] : memref<3x21xf32>
      %m = arith.mulf %v, %a : f32
      memref.store %m, %ym[%i, %j] : memref<3x21xf32>
      graph.yield
    }
    return %far, %near : tensor<3x21xf32>, tensor<3x21xf32>
  }
}
