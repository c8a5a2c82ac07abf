// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=nvidia:sm_80 | FileCheck %s --check-prefixes=CHECK,LANES
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 | FileCheck %s --check-prefixes=CHECK,CPU

/// One workgroup's results of a long product: on lanes 16 workgroups sum 256 of
/// the 4096 each, and one more kernel their sums. Three rows of 98304: on a CPU
/// 4 parts of a row, which divide it and are 16 workgroups at most.
// CHECK-LABEL: func.func @main
// LANES: graph.reshape %{{.*}} : tensor<64x4096xf32> -> tensor<64x16x256xf32>
// LANES: graph.reshape %{{.*}} : tensor<4096x64xf32> -> tensor<16x256x64xf32>
// LANES: hal.launch @k_contraction{{.*}} -> tensor<16x64x64xf32>
// LANES: hal.launch @k_reduction{{.*}} : (tensor<16x64x64xf32>) -> tensor<64x64xf32>
// CPU: hal.launch @k_contraction{{.*}} -> tensor<64x64xf32>
// LANES: graph.reshape %{{.*}} : tensor<3x98304xf32> -> tensor<3x24x4096xf32>
// CPU: graph.reshape %{{.*}} : tensor<3x98304xf32> -> tensor<3x4x24576xf32>
// CHECK: hal.launch @k_reduction{{.*}} -> tensor<[[PARTS:4|24]]x3xf32>
// CHECK: hal.launch @k_reduction{{.*}} : (tensor<[[PARTS]]x3xf32>) -> tensor<3xf32>
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
module {
  func.func @main(%x: tensor<64x4096xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [64, 4096]},
                  %w: tensor<4096x64xf32> {graph.name = "w", graph.dtype = "f32", graph.dims = [4096, 64]},
                  %z: tensor<3x98304xf32> {graph.name = "z", graph.dtype = "f32", graph.dims = [3, 98304]})
      -> (tensor<64x64xf32> {graph.name = "y", graph.dtype = "f32"}, tensor<3xf32> {graph.name = "s", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<64x64xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<64x64xf32>) -> tensor<64x64xf32>
    %y = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%x, %w : tensor<64x4096xf32>, tensor<4096x64xf32>) outs(%f : tensor<64x64xf32>) {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %p = arith.mulf %l, %r fastmath<contract> : f32
      %t = arith.addf %o, %p fastmath<reassoc,contract> : f32
      linalg.yield %t : f32
    } -> tensor<64x64xf32>
    %e2 = tensor.empty() : tensor<3xf32>
    %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<3xf32>) -> tensor<3xf32>
    %s = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
                         iterator_types = ["parallel", "reduction"]}
        ins(%z : tensor<3x98304xf32>) outs(%f2 : tensor<3xf32>) {
    ^bb0(%l: f32, %o: f32):
      %t = arith.addf %o, %l fastmath<reassoc> : f32
      linalg.yield %t : f32
    } -> tensor<3xf32>
    return %y, %s : tensor<64x64xf32>, tensor<3xf32>
  }
}
