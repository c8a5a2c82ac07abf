// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=nvidia:sm_80 | FileCheck %s
// RUN: istc %s --emit=kernel --target=amd:gfx942 | FileCheck %s --check-prefix=SIGNED
// RUN: istc %s --emit=kernel --target=intel:spirv64 | FileCheck %s --check-prefix=NONE
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v4 | FileCheck %s --check-prefix=NONE
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v4-vnni | FileCheck %s --check-prefix=VECTORS
// RUN: istc %s --emit=tiled --target=nvidia:sm_80 | FileCheck %s --check-prefix=UNIT
// UNIT: kernel.mma {{.*}} unit "m16n8k32.s32.s8.u8"

/// A convolution of 0.5 * (x - 7) with weights scaled by channel is one of bytes:
/// padded with 7, scaled where the sums leave. Sums of the filter are for @init.
// CHECK: func.func @init() -> tensor<24xi32>
// CHECK: kernel.func @k_conv_{{.*}} in %{{.*}}: memref<1x16x8x8xi8>{{.*}} in %{{.*}}: memref<24x16x3x3xi8>
// CHECK: graph.conv {{.*}}input_unsigned, pad_value = 7 : i64
// CHECK: arith.muli
// CHECK: arith.subi
// CHECK: arith.sitofp
// CHECK: arith.constant 5.000000e-01 : f32
// CHECK: arith.mulf
// CHECK: arith.mulf

// SIGNED: arith.xori
// SIGNED: graph.conv
// SIGNED-NOT: unsigned
// SIGNED-SAME: pad_value = -121 : i64

/// Vectors have bytes in blocks of channels, four of the filter's side by side
/// for each lane; what is left of the sums leaves in blocks of floats.
// VECTORS: kernel.func @k_pad_{{.*}} in %{{.*}}: memref<1x1x8x8x16xi8>{{.*}} plan "vectors"
// VECTORS: arith.constant {{(dense<7>|7)}} : {{.*}}i8
// VECTORS: kernel.func @{{.*}} in %{{.*}}: memref<1x1x10x10x16xi8>{{.*}} in %{{.*}}: memref<2x1x3x3x4x64xi8>{{.*}} plan "blocked m1n16k4.s32.u8.s8"
// VECTORS: vector.load {{.*}} vector<64xi8>
// VECTORS: vector.load {{.*}} vector<4xi8>
// VECTORS: kernel.mma {{.*}} unit "m1n16k4.s32.u8.s8"
// VECTORS: arith.sitofp {{.*}} vector<16xi32> to vector<16xf32>
// VECTORS: vector.store {{.*}} vector<16xf32>

/// No unit, or one of words: floats.
// NONE-NOT: pad_value
#all = affine_map<(n, c, y, x) -> (n, c, y, x)>
#channel = affine_map<(n, c, y, x) -> (n)>
module {
  func.func @main(%x: tensor<1x16x8x8xi8> {graph.name = "x", graph.dtype = "u8", graph.dims = [1, 16, 8, 8]})
      -> (tensor<1x24x8x8xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %w = graph.weight "w" in "w.bin" at 0 bytes 3456 : tensor<24x16x3x3xi8>
    %scale = graph.weight "scale" in "w.bin" at 3456 bytes 96 : tensor<24xf32>
    %ex = tensor.empty() : tensor<1x16x8x8xf32>
    %fx = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%x : tensor<1x16x8x8xi8>) outs(%ex : tensor<1x16x8x8xf32>) {
    ^bb0(%v: i8, %o: f32):
      %seven = arith.constant 7 : i8
      %half = arith.constant 0.5 : f32
      %a = arith.uitofp %v : i8 to f32
      %b = arith.uitofp %seven : i8 to f32
      %d = arith.subf %a, %b : f32
      %s = arith.mulf %d, %half : f32
      linalg.yield %s : f32
    } -> tensor<1x16x8x8xf32>
    %ew = tensor.empty() : tensor<24x16x3x3xf32>
    %fw = linalg.generic {indexing_maps = [#all, #channel, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%w, %scale : tensor<24x16x3x3xi8>, tensor<24xf32>) outs(%ew : tensor<24x16x3x3xf32>) {
    ^bb0(%v: i8, %by: f32, %o: f32):
      %a = arith.sitofp %v : i8 to f32
      %s = arith.mulf %a, %by : f32
      linalg.yield %s : f32
    } -> tensor<24x16x3x3xf32>
    %y = graph.conv %fx, %fw {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, group = 1 : i64}
       : tensor<1x16x8x8xf32>, tensor<24x16x3x3xf32> -> tensor<1x24x8x8xf32>
    return %y : tensor<1x24x8x8xf32>
  }
}
