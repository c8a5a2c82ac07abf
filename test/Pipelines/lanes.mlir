// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=nvidia:sm_80 --remarks 2>&1 | FileCheck %s --check-prefix=TILED
// RUN: istc %s --emit=lanes --target=nvidia:sm_80 | FileCheck %s
// RUN: istc %s --emit=lanes --target=amd:gfx942 --test-refuse-plans=1 | FileCheck %s --check-prefix=SERIAL

/// A product is made by tiles in workgroup memory, what follows it element by
/// element from there; what is no product gets a point a lane. No weight is
/// packed for vectors.
// TILED-DAG: remark: k_contraction_{{.*}}: contraction: for vectors; the target runs lanes
// TILED-DAG: remark: k_contraction_{{.*}}: tiles: taken
// TILED-DAG: remark: k_reduction_{{.*}}: rows: a sum must keep its order
// TILED-DAG: remark: k_reduction_{{.*}}: loops: taken
/// A sum that may be reordered is made by a workgroup a row.
// TILED-DAG: remark: k_reduction_{{.*}}: rows: taken
// TILED-NOT: func.func @init
// TILED: kernel.func @k_contraction{{.*}} form(tiled) {{.*}} grid(affine_map<() -> (1)>) group 64 plan "tiles 32x32x16 ring 2"
// TILED: kernel.ring : <2 x (memref<32x16xf32, 3>, memref<16x32xf32, 3>)>
// TILED: kernel.mma {{.*}} : memref<32x16xf32, 3>, memref<16x32xf32, 3>, vector<32x32xf32>
// TILED: scf.forall
// TILED: arith.negf
// CHECK: kernel.func @k_contraction{{.*}} form(lanes)
// CHECK: kernel.lane_id
// CHECK: math.fma
// CHECK: kernel.func @k_reduction{{.*}} grid(affine_map<() -> (1)>) group 32 plan "loops"
// CHECK: kernel.func @k_reduction{{.*}} group 32 plan "rows"
// CHECK-COUNT-5: kernel.shuffle
/// Refused, one lane does all.
// SERIAL: kernel.func @k_contraction{{.*}} grid(affine_map<() -> (1)>) group 1 plan "serial"
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(m, n) -> (m, n)>
#row = affine_map<(m, n) -> (m)>
module {
  func.func @main(%x: tensor<20x64xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [20, 64]})
      -> (tensor<20xf32> {graph.name = "y", graph.dtype = "f32"},
          tensor<20xf32> {graph.name = "q", graph.dtype = "f32"}) {
    %w = graph.weight "w" in "none.bin" at 0 bytes 8192 : tensor<64x32xf32>
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<20x32xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<20x32xf32>) -> tensor<20x32xf32>
    %y = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%x, %w : tensor<20x64xf32>, tensor<64x32xf32>) outs(%f : tensor<20x32xf32>) {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %m = arith.mulf %p, %q fastmath<contract> : f32
      %s = arith.addf %o, %m fastmath<contract> : f32
      linalg.yield %s : f32
    } -> tensor<20x32xf32>
    %n = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%y : tensor<20x32xf32>) outs(%e : tensor<20x32xf32>) {
    ^bb0(%v: f32, %o: f32):
      %r = arith.negf %v : f32
      linalg.yield %r : f32
    } -> tensor<20x32xf32>
    %g = tensor.empty() : tensor<20xf32>
    %h = linalg.fill ins(%zero : f32) outs(%g : tensor<20xf32>) -> tensor<20xf32>
    %z = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
        ins(%n : tensor<20x32xf32>) outs(%h : tensor<20xf32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.addf %o, %v : f32
      linalg.yield %s : f32
    } -> tensor<20xf32>
    %q = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
        ins(%n : tensor<20x32xf32>) outs(%h : tensor<20xf32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.addf %o, %v fastmath<reassoc> : f32
      linalg.yield %s : f32
    } -> tensor<20xf32>
    return %z, %q : tensor<20xf32>, tensor<20xf32>
  }
}
