// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=nvidia:sm_80 --remarks 2>%t.remarks | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARKS --input-file=%t.remarks
// RUN: istc %s --emit=tiled --target=nvidia:sm_80 --tf32 --remarks 2>&1 | FileCheck %s --check-prefix=TF32
// RUN: istc %s --emit=tiled --target=intel:spirv64 --remarks 2>&1 | FileCheck %s --check-prefix=OTHER
// RUN: istc %s --emit=tiled --target=amd:gfx942 | FileCheck %s --check-prefix=ALONG
// RUN: istc %s --emit=tiled --target=amd:gfx90a --remarks 2>&1 | FileCheck %s --check-prefix=MFMA
// RUN: istc %s --emit=tiled --target=amd:gfx942 --remarks 2>&1 | FileCheck %s --check-prefix=MFMA
// RUN: istc %s --emit=tiled --target=amd:gfx950 --remarks 2>&1 | FileCheck %s --check-prefix=MFMA950
// RUN: istc %s --emit=tiled --target=amd:gfx1100 --remarks 2>&1 | FileCheck %s --check-prefix=WMMA
// RUN: istc %s --emit=tiled --target=amd:gfx1201 --remarks 2>&1 | FileCheck %s --check-prefix=WMMA

/// A product of f16 takes the unit of its types: A is copied 16 bytes at once
/// where its address allows (the caller's may be anywhere), B, whose rows are
/// of odd length, element by element. Nothing is masked along n, which tiles
/// divide.
// CHECK-LABEL: kernel.func @k_contraction
// CHECK-SAME: plan "matrix 64x64x32 m16n8k16.f32.f16 ring 4"
// CHECK: memref.extract_aligned_pointer_as_index %[[A:.*]] : memref<96x64xf16>
// CHECK: kernel.ring : <4 x (memref<64x32xf16, strided<[40, 1]>, 3>, memref<32x64xf16, strided<[72, 1]>, 3>)>
// CHECK: kernel.async_run %[[A]]{{.*}} count 8
// CHECK: kernel.mma {{.*}} unit "m16n8k16.f32.f16"
// CHECK: kernel.each %{{.*}} : vector<64x64xf32>

// REMARKS-DAG: matrix: taken: matrix 64x64x32 m16n8k16.f32.f16 ring 4
// REMARKS-DAG: matrix: no matrix unit for f32 * f32 + f32
// REMARKS-DAG: thin: taken: thin 4
// TF32-DAG: matrix: taken: matrix 64x64x16 m16n8k8.f32.tf32 ring 4
// OTHER: matrix: no matrix unit of the target's is known
// OTHER: tiles: taken

/// Where lanes load fragments one by one, both tiles lie along k; B is turned on
/// its way. What is asked of the addresses is asked once, around the loop.
// ALONG-LABEL: kernel.func @k_contraction
// ALONG-SAME: plan "matrix 64x64x32 m16n16k16.f32.f16 ring 2"
// ALONG: kernel.ring : <2 x (memref<64x32xf16, strided<[40, 1]>, 3>, memref<64x32xf16, strided<[40, 1]>, 3>)>
// ALONG: scf.if %{{.*}} -> (vector<64x64xf32>) {
// ALONG: vector.load %{{.*}} {alignment = 16 : i64} : memref<96x64xf16>, vector<8xf16>
// ALONG: vector.store %{{.*}} {alignment = 16 : i64} : memref<64x32xf16, strided<[40, 1]>, 3>, vector<8xf16>
// ALONG: memref.transpose
// ALONG: kernel.mma
// ALONG: } else {

/// f32 stays f32: MFMA has a unit for it, WMMA has none.
// MFMA-DAG: matrix: taken: matrix 64x64x32 m16n16k16.f32.f16 ring
// MFMA-DAG: matrix: taken: matrix 64x64x16 m16n16k4.f32.f32 ring
// MFMA950-DAG: matrix: taken: matrix 64x64x32 m16n16k32.f32.f16 ring
// WMMA-DAG: matrix: taken: matrix 64x64x32 m16n16k16.f32.f16 ring
// WMMA-DAG: matrix: no matrix unit for f32 * f32 + f32
#a = affine_map<(d0, d1, d2) -> (d0, d2)>
#b = affine_map<(d0, d1, d2) -> (d2, d1)>
#c = affine_map<(d0, d1, d2) -> (d0, d1)>
module {
  func.func @main(%a: tensor<96x64xf16> {graph.name = "a", graph.dtype = "f16", graph.dims = [96, 64]},
                  %b: tensor<64x77xf16> {graph.name = "b", graph.dtype = "f16", graph.dims = [64, 77]},
                  %x: tensor<96x64xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [96, 64]},
                  %w: tensor<64x64xf32> {graph.name = "w", graph.dtype = "f32", graph.dims = [64, 64]},
                  %t: tensor<4x64xf16> {graph.name = "t", graph.dtype = "f16", graph.dims = [4, 64]})
      -> (tensor<96x77xf32> {graph.name = "c", graph.dtype = "f32"}, tensor<96x64xf32> {graph.name = "y", graph.dtype = "f32"},
          tensor<4x77xf32> {graph.name = "z", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %e0 = tensor.empty() : tensor<96x77xf32>
    %z0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<96x77xf32>) -> tensor<96x77xf32>
    %c = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<96x64xf16>, tensor<64x77xf16>) outs(%z0 : tensor<96x77xf32>) {
    ^bb0(%p: f16, %q: f16, %o: f32):
      %pw = arith.extf %p : f16 to f32
      %qw = arith.extf %q : f16 to f32
      %m = arith.mulf %pw, %qw : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    } -> tensor<96x77xf32>
    %e1 = tensor.empty() : tensor<96x64xf32>
    %z1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<96x64xf32>) -> tensor<96x64xf32>
    %y = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%x, %w : tensor<96x64xf32>, tensor<64x64xf32>) outs(%z1 : tensor<96x64xf32>) {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %m = arith.mulf %p, %q : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    } -> tensor<96x64xf32>
    %e2 = tensor.empty() : tensor<4x77xf32>
    %z2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<4x77xf32>) -> tensor<4x77xf32>
    %z = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%t, %b : tensor<4x64xf16>, tensor<64x77xf16>) outs(%z2 : tensor<4x77xf32>) {
    ^bb0(%p: f16, %q: f16, %o: f32):
      %pw = arith.extf %p : f16 to f32
      %qw = arith.extf %q : f16 to f32
      %m = arith.mulf %pw, %qw : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    } -> tensor<4x77xf32>
    return %c, %y, %z : tensor<96x77xf32>, tensor<96x64xf32>, tensor<4x77xf32>
  }
}
