// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 | FileCheck %s

/// The same of weights in f16: what is kept of them is in f32, as it was
/// computed.
// CHECK: func.func @main
// CHECK: kernel.func @k_elementwise_{{.*}} in %{{.*}}: memref<16xf16>{{.*}} out %{{.*}}: memref<16xf32>
// CHECK: math.sqrt
// CHECK: arith.divf
// CHECK: kernel.func @k_elementwise_{{.*}} in %{{.*}}: memref<2x16x5xf16>{{.*}} memref<16xf32>
// CHECK-NOT: math.sqrt
// CHECK-NOT: arith.divf
#all = affine_map<(n, c, x) -> (n, c, x)>
#c = affine_map<(n, c, x) -> (c)>
module {
  func.func @main(%x: tensor<2x16x5xf16> {graph.name = "x", graph.dtype = "f16", graph.dims = [2, 16, 5]})
      -> (tensor<2x16x5xf16> {graph.name = "y", graph.dtype = "f16"}) {
    %scale = graph.weight "scale" in "w.bin" at 0 bytes 32 : tensor<16xf16>
    %variance = graph.weight "variance" in "w.bin" at 32 bytes 32 : tensor<16xf16>
    %e = tensor.empty() : tensor<2x16x5xf16>
    %y = linalg.generic {indexing_maps = [#all, #c, #c, #all], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%x, %scale, %variance : tensor<2x16x5xf16>, tensor<16xf16>, tensor<16xf16>) outs(%e : tensor<2x16x5xf16>) {
    ^bb0(%v: f16, %s: f16, %var: f16, %o: f16):
      %eps = arith.constant 1.0e-5 : f32
      %vf = arith.extf %v : f16 to f32
      %sf = arith.extf %s : f16 to f32
      %varf = arith.extf %var : f16 to f32
      %a = arith.addf %varf, %eps : f32
      %r = math.sqrt %a : f32
      %d = arith.divf %sf, %r : f32
      %m = arith.mulf %vf, %d : f32
      %t = arith.truncf %m : f32 to f16
      linalg.yield %t : f16
    } -> tensor<2x16x5xf16>
    return %y : tensor<2x16x5xf16>
  }
}
