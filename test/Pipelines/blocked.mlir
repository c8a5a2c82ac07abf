// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v4 | FileCheck %s
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v4 --test-refuse-plans=1 | FileCheck %s --check-prefix=SERIAL
// RUN: istc %s --emit=kernel --target=nvidia:sm_80 | FileCheck %s --check-prefix=LANES

/// Two convolutions with an activation between: the first one's result is in
/// blocks of 16 channels, padding keeps that, the second one reads it so; one
/// copy at the end. Two rows of 7 pixels and two blocks of channels are a tile:
/// 28 sums in registers.
// CHECK-LABEL: func.func @main
// CHECK: hal.launch @[[FIRST:k_contraction_[0-9a-f]+]]
// CHECK: hal.launch @k_pad_
// CHECK: hal.launch @[[SECOND:k_reduction_[0-9a-f]+]]
// CHECK: hal.launch @k_elementwise_
// CHECK-NOT: hal.launch
// CHECK: return
// CHECK: kernel.func @[[FIRST]] form(tiled) in %{{.*}}: memref<1x3x7x7xf32>{{.*}} out %{{.*}}: memref<1x2x7x7x16xf32>{{.*}} plan "blocked"
// CHECK: kernel.func @k_pad_{{.*}} in %{{.*}}: memref<1x2x7x7x16xf32>{{.*}} out %{{.*}}: memref<1x2x9x9x16xf32>{{.*}} plan "vectors"
// CHECK: vector.load {{.*}} vector<16xf32>
// CHECK: vector.store {{.*}} vector<16xf32>
// CHECK: kernel.func @[[SECOND]] form(tiled) in %{{.*}}: memref<1x2x9x9x16xf32>{{.*}} plan "blocked"
// CHECK-COUNT-28: vector.fma
// SERIAL: kernel.func @k_contraction_{{.*}} plan "serial"
// SERIAL: kernel.func @k_reduction_{{.*}} plan "serial"
// LANES: graph.conv
// LANES-NOT: memref<1x2x7x7x16xf32>
module {
  func.func @main(%x: tensor<1x3x7x7xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [1, 3, 7, 7]})
      -> (tensor<1x32x7x7xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %w0 = graph.weight "w0" in "w.bin" at 0 bytes 384 : tensor<32x3x1x1xf32>
    %w1 = graph.weight "w1" in "w.bin" at 384 bytes 36864 : tensor<32x32x3x3xf32>
    %a = graph.conv %x, %w0 {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>,
        pads = array<i64: 0, 0, 0, 0>, group = 1 : i64} : tensor<1x3x7x7xf32>, tensor<32x3x1x1xf32> -> tensor<1x32x7x7xf32>
    %e = tensor.empty() : tensor<1x32x7x7xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(n, c, y, x) -> (n, c, y, x)>, affine_map<(n, c, y, x) -> (n, c, y, x)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%a : tensor<1x32x7x7xf32>) outs(%e : tensor<1x32x7x7xf32>) {
    ^bb0(%v: f32, %o: f32):
      %zero = arith.constant 0.0 : f32
      %m = arith.maximumf %v, %zero : f32
      linalg.yield %m : f32
    } -> tensor<1x32x7x7xf32>
    %y = graph.conv %r, %w1 {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>,
        pads = array<i64: 1, 1, 1, 1>, group = 1 : i64} : tensor<1x32x7x7xf32>, tensor<32x32x3x3xf32> -> tensor<1x32x7x7xf32>
    return %y : tensor<1x32x7x7xf32>
  }
}
