// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v3 | FileCheck %s
// RUN: istc %s --emit=tiled --target=nvidia:sm_80 | FileCheck %s --check-prefix=LANES

/// What products read element by element, many times, is stored as f32: after
/// rounding to f16, through a reshape, and for its other readers too, which
/// round it again. The model's input and output, and what a product with few
/// columns reads, stay f16. Matrix units want f16.
// CHECK: kernel.func @k_elementwise_{{.*}} in %{{.*}}: memref<768xf16>{{.*}} out %{{.*}}: memref<768xf32>
// CHECK: %[[E:.*]] = math.absf {{.*}} f16
// CHECK: arith.extf %[[E]] : f16 to f32
// CHECK: kernel.func @k_contraction_{{.*}} in %{{.*}}: memref<12x64xf32>{{.*}} out %{{.*}}: memref<12x64xf16>{{.*}} plan "contraction"
// CHECK: kernel.func @k_contraction_{{.*}} in %{{.*}}: memref<12x64xf16>{{.*}} out %{{.*}}: memref<12x8xf32>{{.*}} plan "contraction"
// CHECK: kernel.func @k_elementwise_{{.*}} in %{{.*}}: memref<768xf32>{{.*}} out %{{.*}}: memref<768xf16>
// CHECK: %[[R:.*]] = arith.truncf
// CHECK: math.sqrt %[[R]] : f16
// LANES: kernel.func @k_elementwise_{{.*}} out %{{.*}}: memref<768xf16>
// LANES-NOT: {{memref<(12x64|768)xf32>}}
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(i) -> (i)>
#id2 = affine_map<(m, n) -> (m, n)>
module {
  func.func @main(%x: tensor<768xf16> {graph.name = "x", graph.dtype = "f16", graph.dims = [768]})
      -> (tensor<12x8xf32> {graph.name = "y", graph.dtype = "f32"}, tensor<768xf16> {graph.name = "z", graph.dtype = "f16"}) {
    %w = graph.weight "w" in "none.bin" at 0 bytes 8192 : tensor<64x64xf16>
    %v = graph.weight "v" in "none.bin" at 8192 bytes 1024 : tensor<64x8xf16>
    %e = tensor.empty() : tensor<768xf16>
    %p = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
        ins(%x : tensor<768xf16>) outs(%e : tensor<768xf16>) {
    ^bb0(%i: f16, %o: f16):
      %r = math.absf %i : f16
      linalg.yield %r : f16
    } -> tensor<768xf16>
    %q = graph.reshape %p : tensor<768xf16> -> tensor<12x64xf16>
    %zero = arith.constant 0.0 : f32
    %e0 = tensor.empty() : tensor<12x64xf32>
    %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<12x64xf32>) -> tensor<12x64xf32>
    %m = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%q, %w : tensor<12x64xf16>, tensor<64x64xf16>) outs(%f0 : tensor<12x64xf32>) {
    ^bb0(%i: f16, %j: f16, %o: f32):
      %iw = arith.extf %i : f16 to f32
      %jw = arith.extf %j : f16 to f32
      %t = arith.mulf %iw, %jw fastmath<contract> : f32
      %s = arith.addf %o, %t fastmath<contract> : f32
      linalg.yield %s : f32
    } -> tensor<12x64xf32>
    %e1 = tensor.empty() : tensor<12x64xf16>
    %n = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
        ins(%m : tensor<12x64xf32>) outs(%e1 : tensor<12x64xf16>) {
    ^bb0(%i: f32, %o: f16):
      %r = arith.truncf %i : f32 to f16
      linalg.yield %r : f16
    } -> tensor<12x64xf16>
    %e2 = tensor.empty() : tensor<12x8xf32>
    %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<12x8xf32>) -> tensor<12x8xf32>
    %y = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%n, %v : tensor<12x64xf16>, tensor<64x8xf16>) outs(%f2 : tensor<12x8xf32>) {
    ^bb0(%i: f16, %j: f16, %o: f32):
      %iw = arith.extf %i : f16 to f32
      %jw = arith.extf %j : f16 to f32
      %t = arith.mulf %iw, %jw fastmath<contract> : f32
      %s = arith.addf %o, %t fastmath<contract> : f32
      linalg.yield %s : f32
    } -> tensor<12x8xf32>
    %z = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
        ins(%p : tensor<768xf16>) outs(%e : tensor<768xf16>) {
    ^bb0(%i: f16, %o: f16):
      %r = math.sqrt %i : f16
      linalg.yield %r : f16
    } -> tensor<768xf16>
    return %y, %z : tensor<12x8xf32>, tensor<768xf16>
  }
}
