// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v3 --remarks 2>&1 | FileCheck %s

/// What `rows` declines, and why; the next plan takes it.
// CHECK-DAG: remark: {{.*}}: rows: a sum must keep its order
// CHECK-DAG: remark: {{.*}}: rows: the innermost dim is shorter than a vector
// CHECK-DAG: remark: {{.*}}: rows: an operand is not contiguous along the vector
// CHECK-DAG: remark: {{.*}}: rows: no reduction
// CHECK-COUNT-4: plan "loops"
#all = affine_map<(d0, d1) -> (d0, d1)>
#turned = affine_map<(d0, d1) -> (d1, d0)>
#row = affine_map<(d0, d1) -> (d0)>
module {
  func.func @main(%x: tensor<32x64xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [32, 64]},
                  %z: tensor<64x3xf32> {graph.name = "z", graph.dtype = "f32", graph.dims = [64, 3]})
      -> (tensor<32xf32> {graph.name = "a", graph.dtype = "f32"}, tensor<64xf32> {graph.name = "b", graph.dtype = "f32"},
          tensor<64xf32> {graph.name = "c", graph.dtype = "f32"}, tensor<64x3xf32> {graph.name = "d", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %e32 = tensor.empty() : tensor<32xf32>
    %e64 = tensor.empty() : tensor<64xf32>
    %z32 = linalg.fill ins(%zero : f32) outs(%e32 : tensor<32xf32>) -> tensor<32xf32>
    %z64 = linalg.fill ins(%zero : f32) outs(%e64 : tensor<64xf32>) -> tensor<64xf32>
    %a = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
        ins(%x : tensor<32x64xf32>) outs(%z32 : tensor<32xf32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.addf %o, %v : f32
      linalg.yield %s : f32
    } -> tensor<32xf32>
    %b = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
        ins(%z : tensor<64x3xf32>) outs(%z64 : tensor<64xf32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.maximumf %o, %v : f32
      linalg.yield %s : f32
    } -> tensor<64xf32>
    %c = linalg.generic {indexing_maps = [#turned, #row], iterator_types = ["parallel", "reduction"]}
        ins(%x : tensor<32x64xf32>) outs(%z64 : tensor<64xf32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.maximumf %o, %v : f32
      linalg.yield %s : f32
    } -> tensor<64xf32>
    %e3 = tensor.empty() : tensor<64x3xf32>
    %d = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%z : tensor<64x3xf32>) outs(%e3 : tensor<64x3xf32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.negf %v : f32
      linalg.yield %s : f32
    } -> tensor<64x3xf32>
    return %a, %b, %c, %d : tensor<32xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64x3xf32>
  }
}
