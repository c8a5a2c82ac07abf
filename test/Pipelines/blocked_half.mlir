// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v4 | FileCheck %s
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v4 | FileCheck %s --check-prefix=FEW

/// In f16 convolutions take the plans of f32: blocks of as many channels, sums
/// in f32, the bias added before they are rounded. What a convolution reads and
/// another operation computes lies in f32, widened where it is written: here by
/// the padding and by the second convolution, after rounding to f16. The model's
/// input is widened where it is read, in all lanes at once; so are filters.
// CHECK-LABEL: func.func @main
// CHECK: hal.launch @[[FIRST:k_contraction_[0-9a-f]+]]
// CHECK: hal.launch @k_pad_
// CHECK: hal.launch @[[SECOND:k_reduction_[0-9a-f]+]]
// CHECK: hal.launch @[[DEPTHWISE:k_reduction_[0-9a-f]+]]
// CHECK: hal.launch @k_elementwise_
// CHECK-NOT: hal.launch
// CHECK: return
// CHECK: kernel.func @[[FIRST]] form(tiled) in %{{.*}}: memref<1x3x7x7xf16>{{.*}} out %{{.*}}: memref<1x4x7x7x16xf16>{{.*}} plan "blocked"
// CHECK: %[[X:.*]] = vector.broadcast %{{.*}} : f16 to vector<16xf16>
// CHECK: arith.extf %[[X]] : vector<16xf16> to vector<16xf32>
// CHECK: arith.maximumf {{.*}} vector<16xf16>
// CHECK: kernel.func @k_pad_{{.*}} in %{{.*}}: memref<1x4x7x7x16xf16>{{.*}} out %{{.*}}: memref<1x4x9x9x16xf32>{{.*}} plan "vectors"
// CHECK: vector.store {{.*}} vector<16xf32>
// CHECK: kernel.func @[[SECOND]] form(tiled) in %{{.*}}: memref<1x4x9x9x16xf32>{{.*}} memref<4x4x3x3x16x16xf16>{{.*}} memref<4x16xf16>{{.*}} out %{{.*}}: memref<1x4x7x7x16xf32>{{.*}} plan "blocked"
// CHECK: %[[W:.*]] = vector.load {{.*}} vector<16xf16>
// CHECK: arith.extf %[[W]] : vector<16xf16> to vector<16xf32>
// CHECK: vector.broadcast %{{.*}} : f32 to vector<16xf32>
// CHECK: vector.fma {{.*}} vector<16xf32>
// CHECK: %[[SUM:.*]] = arith.addf %{{.*}} : vector<16xf32>
// CHECK: %[[ROUNDED:.*]] = arith.truncf %[[SUM]] : vector<16xf32> to vector<16xf16>
// CHECK: arith.extf %[[ROUNDED]]
// CHECK: kernel.func @[[DEPTHWISE]] form(tiled) in %{{.*}}: memref<1x4x7x7x16xf32>{{.*}} out %{{.*}}: memref<1x4x5x5x16xf16>{{.*}} plan "blocked"

/// Few channels stay first: vectors along pixels.
// FEW: kernel.func @k_conv_{{.*}} in %{{.*}}: memref<1x3x7x7xf16>{{.*}} plan "conv"
// FEW: arith.extf {{.*}} vector<8xf16> to vector<8xf32>
// FEW: vector.fma
// FEW: arith.truncf
module {
  func.func @main(%x: tensor<1x3x7x7xf16> {graph.name = "x", graph.dtype = "f16", graph.dims = [1, 3, 7, 7]})
      -> (tensor<1x64x5x5xf16> {graph.name = "y", graph.dtype = "f16"}) {
    %w0 = graph.weight "w0" in "w.bin" at 0 bytes 384 : tensor<64x3x1x1xf16>
    %w1 = graph.weight "w1" in "w.bin" at 384 bytes 73728 : tensor<64x64x3x3xf16>
    %b1 = graph.weight "b1" in "w.bin" at 74112 bytes 128 : tensor<64xf16>
    %wd = graph.weight "wd" in "w.bin" at 74240 bytes 1152 : tensor<64x1x3x3xf16>
    %a = graph.conv %x, %w0 {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>,
        pads = array<i64: 0, 0, 0, 0>, group = 1 : i64} : tensor<1x3x7x7xf16>, tensor<64x3x1x1xf16> -> tensor<1x64x7x7xf16>
    %e = tensor.empty() : tensor<1x64x7x7xf16>
    %r = linalg.generic {indexing_maps = [affine_map<(n, c, y, x) -> (n, c, y, x)>, affine_map<(n, c, y, x) -> (n, c, y, x)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%a : tensor<1x64x7x7xf16>) outs(%e : tensor<1x64x7x7xf16>) {
    ^bb0(%v: f16, %o: f16):
      %zero = arith.constant 0.0 : f16
      %m = arith.maximumf %v, %zero : f16
      linalg.yield %m : f16
    } -> tensor<1x64x7x7xf16>
    %s = graph.conv %r, %w1 bias %b1 {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>,
        pads = array<i64: 1, 1, 1, 1>, group = 1 : i64}
        : tensor<1x64x7x7xf16>, tensor<64x64x3x3xf16>, tensor<64xf16> -> tensor<1x64x7x7xf16>
    %y = graph.conv %s, %wd {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>,
        pads = array<i64: 0, 0, 0, 0>, group = 64 : i64} : tensor<1x64x7x7xf16>, tensor<64x1x3x3xf16> -> tensor<1x64x5x5xf16>
    return %y : tensor<1x64x5x5xf16>
  }
  func.func @few(%x: tensor<1x3x7x7xf16> {graph.name = "x", graph.dtype = "f16", graph.dims = [1, 3, 7, 7]})
      -> (tensor<1x2x5x5xf16> {graph.name = "y", graph.dtype = "f16"}) {
    %w = graph.weight "w2" in "w.bin" at 75392 bytes 108 : tensor<2x3x3x3xf16>
    %y = graph.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>,
        pads = array<i64: 0, 0, 0, 0>, group = 1 : i64} : tensor<1x3x7x7xf16>, tensor<2x3x3x3xf16> -> tensor<1x2x5x5xf16>
    return %y : tensor<1x2x5x5xf16>
  }
}
