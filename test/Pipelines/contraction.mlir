// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v3 --remarks 2>&1 | FileCheck %s
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v3 --test-refuse-plans=1 | FileCheck %s --check-prefix=SERIAL

/// A matrix product with its weight packed by init takes the register-blocked
/// plan; refused, it comes down the ladder.
// CHECK-DAG: remark: k_contraction_{{.*}}: contraction: taken
// CHECK: func.func @init
// CHECK: hal.launch @k_pack
// CHECK: kernel.func @k_contraction{{.*}} plan "contraction"
// CHECK: vector.fma {{.*}} : vector<8xf32>
// SERIAL: kernel.func @k_contraction{{.*}} plan "serial"
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
module {
  func.func @main(%x: tensor<12x64xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [12, 64]})
      -> (tensor<12x32xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %w = graph.weight "w" in "none.bin" at 0 bytes 8192 : tensor<64x32xf32>
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<12x32xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<12x32xf32>) -> tensor<12x32xf32>
    %y = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%x, %w : tensor<12x64xf32>, tensor<64x32xf32>) outs(%f : tensor<12x32xf32>) {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %m = arith.mulf %p, %q fastmath<contract> : f32
      %s = arith.addf %o, %m fastmath<contract> : f32
      linalg.yield %s : f32
    } -> tensor<12x32xf32>
    return %y : tensor<12x32xf32>
  }
}
