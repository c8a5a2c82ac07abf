// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 | FileCheck %s
// RUN: istc %s --emit=kernel --target=nvidia:sm_80 | FileCheck %s

/// scale / sqrt(variance + eps) is of weights alone: @init has it, an element a
/// channel; the kernel that runs over the images only multiplies. What depends
/// on the images stays.
// CHECK: func.func @init
// CHECK: hal.launch @[[ONCE:k_elementwise_[0-9a-f]+]]
// CHECK: func.func @main
// CHECK: hal.derived
// CHECK: kernel.func @[[ONCE]] form(tensor) in %{{.*}}: memref<16xf32>{{.*}} out %{{.*}}: memref<16xf32>
// CHECK: math.sqrt
// CHECK: arith.divf
// CHECK: kernel.func @k_elementwise_{{.*}} in %{{.*}}: memref<2x16x5xf32>
// CHECK-NOT: math.sqrt
// CHECK-NOT: arith.divf
// CHECK: arith.mulf
// CHECK: arith.divf
// CHECK-NOT: arith.divf
#all = affine_map<(n, c, x) -> (n, c, x)>
#c = affine_map<(n, c, x) -> (c)>
module {
  func.func @main(%x: tensor<2x16x5xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [2, 16, 5]})
      -> (tensor<2x16x5xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %scale = graph.weight "scale" in "w.bin" at 0 bytes 64 : tensor<16xf32>
    %variance = graph.weight "variance" in "w.bin" at 64 bytes 64 : tensor<16xf32>
    %e = tensor.empty() : tensor<2x16x5xf32>
    %y = linalg.generic {indexing_maps = [#all, #c, #c, #all], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%x, %scale, %variance : tensor<2x16x5xf32>, tensor<16xf32>, tensor<16xf32>) outs(%e : tensor<2x16x5xf32>) {
    ^bb0(%v: f32, %s: f32, %var: f32, %o: f32):
      %eps = arith.constant 1.0e-5 : f32
      %a = arith.addf %var, %eps : f32
      %r = math.sqrt %a : f32
      %d = arith.divf %s, %r : f32
      %m = arith.mulf %v, %d : f32
      %q = arith.divf %m, %v : f32
      linalg.yield %q : f32
    } -> tensor<2x16x5xf32>
    return %y : tensor<2x16x5xf32>
  }
}
