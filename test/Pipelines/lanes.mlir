// REQUIRES: istc
// RUN: istc %s --emit=lanes --target=nvidia:sm_80 --remarks 2>&1 | FileCheck %s
// RUN: istc %s --emit=lanes --target=amd:gfx942 --test-refuse-plans=1 | FileCheck %s --check-prefix=SERIAL

/// A target that runs lanes gets a point a lane, its group named; refused, one
/// lane does all. No weight is packed for vectors.
// CHECK-DAG: remark: k_contraction_{{.*}}: contraction: for vectors; the target runs lanes
// CHECK-DAG: remark: k_contraction_{{.*}}: loops: taken
// CHECK-NOT: func.func @init
// CHECK: kernel.func @k_contraction{{.*}} form(lanes) {{.*}} grid(affine_map<() -> (6)>) group 64 plan "loops"
// CHECK: kernel.lane_id
// CHECK: scf.for
// SERIAL: kernel.func @k_contraction{{.*}} grid(affine_map<() -> (1)>) group 1 plan "serial"
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
