// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v4 | FileCheck %s

/// What follows a convolution element by element ends it, all of it, where a
/// copy with other indices comes last: that only copies.
// CHECK: func.func @main
// CHECK: kernel.func @k_contraction_
// CHECK: math.exp
// CHECK: arith.maximumf
// CHECK: kernel.func @k_elementwise_
// CHECK: ^bb0(%[[IN:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT: linalg.yield %[[IN]] : f32
#all = affine_map<(n, c, y, x) -> (n, c, y, x)>
module {
  func.func @main(%x: tensor<1x3x7x7xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [1, 3, 7, 7]})
      -> (tensor<1x32x7x7xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %w = graph.weight "w" in "w.bin" at 0 bytes 384 : tensor<32x3x1x1xf32>
    %a = graph.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>,
        pads = array<i64: 0, 0, 0, 0>, group = 1 : i64} : tensor<1x3x7x7xf32>, tensor<32x3x1x1xf32> -> tensor<1x32x7x7xf32>
    %e = tensor.empty() : tensor<1x32x7x7xf32>
    %r = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%a : tensor<1x32x7x7xf32>) outs(%e : tensor<1x32x7x7xf32>) {
    ^bb0(%v: f32, %o: f32):
      %m = math.exp %v : f32
      linalg.yield %m : f32
    } -> tensor<1x32x7x7xf32>
    %y = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%r : tensor<1x32x7x7xf32>) outs(%e : tensor<1x32x7x7xf32>) {
    ^bb0(%v: f32, %o: f32):
      %one = arith.constant 1.0 : f32
      %m = arith.maximumf %v, %one : f32
      linalg.yield %m : f32
    } -> tensor<1x32x7x7xf32>
    return %y : tensor<1x32x7x7xf32>
  }
}
