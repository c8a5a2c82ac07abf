// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=nvidia:sm_80 | FileCheck %s
// RUN: istc %s --emit=kernel --target=amd:gfx942 | FileCheck %s --check-prefix=SIGNED
// RUN: istc %s --emit=kernel --target=intel:spirv64 | FileCheck %s --check-prefix=NONE
// RUN: istc %s --emit=lanes --target=nvidia:sm_80 | FileCheck %s --check-prefix=UNIT
// RUN: istc %s --emit=lanes --target=amd:gfx942 | FileCheck %s --check-prefix=UNIT
// UNIT: kernel.lane_mma

/// (x - 7) * (w - zero[n]): the product is of bytes as they lie; sums of w are
/// work for @init, those of x - 7 a kernel, and what the zero points add is the
/// product's epilogue.
// CHECK: func.func @init() -> tensor<48xi32>
// CHECK: func.func @main
// CHECK: kernel.func @k_reduction_{{.*}} in %{{.*}}: memref<64x48xi8>
// CHECK: kernel.func @k_reduction_{{.*}} in %{{.*}}: memref<32x64xi8>
// CHECK: arith.extui
// CHECK: arith.constant 7 : i32
// CHECK: arith.subi
// CHECK: kernel.func @k_contraction_{{.*}} in %{{.*}}: memref<32x64xi8>
// CHECK: ^bb0(%[[X:.*]]: i8, %[[W:.*]]: i8, %[[ACC:.*]]: i32):
// CHECK-DAG: %[[XW:.*]] = arith.extui %[[X]] : i8 to i32
// CHECK-DAG: %[[WW:.*]] = arith.extsi %[[W]] : i8 to i32
// CHECK: %[[XY:.*]] = arith.muli %[[XW]], %[[WW]]
// CHECK: arith.addi %[[ACC]], %[[XY]]
// CHECK: ^bb0(%[[P:.*]]: i32, %[[SUMW:.*]]: i32, %[[SUMX:.*]]: i32, %[[ZERO:.*]]: i8, %{{.*}}: i32):
// CHECK: %[[SEVEN:.*]] = arith.constant 7 : i32
// CHECK: %[[A:.*]] = arith.muli %[[SEVEN]], %[[SUMW]]
// CHECK: %[[PA:.*]] = arith.subi %[[P]], %[[A]]
// CHECK: %[[Z:.*]] = arith.extsi %[[ZERO]] : i8 to i32
// CHECK: %[[B:.*]] = arith.muli %[[Z]], %[[SUMX]]
// CHECK: arith.subi %[[PA]], %[[B]]

/// MFMA multiplies signed bytes only: x is turned to such, its zero point is 7 -
/// 128.
// SIGNED: kernel.func @k_elementwise_{{.*}} out %{{.*}}: memref<32x64xi8>
// SIGNED: arith.constant -128 : i8
// SIGNED: arith.xori
// SIGNED: kernel.func @k_contraction
// SIGNED-NOT: arith.extui
// SIGNED: arith.constant -121 : i32

/// No unit, nothing gained.
// NONE: kernel.func @k_contraction_{{.*}} in %{{.*}}: memref<32x64xi32>
#x = affine_map<(m, n, k) -> (m, k)>
#w = affine_map<(m, n, k) -> (k, n)>
#y = affine_map<(m, n, k) -> (m, n)>
#all = affine_map<(r, c) -> (r, c)>
#column = affine_map<(r, c) -> (c)>
module {
  func.func @main(%x: tensor<32x64xi8> {graph.name = "x", graph.dtype = "u8", graph.dims = [32, 64]})
      -> (tensor<32x48xi32> {graph.name = "y", graph.dtype = "i32"}) {
    %w = graph.weight "w" in "w.bin" at 0 bytes 3072 : tensor<64x48xi8>
    %zero = graph.weight "zero" in "w.bin" at 3072 bytes 48 : tensor<48xi8>
    %ex = tensor.empty() : tensor<32x64xi32>
    %cx = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%x : tensor<32x64xi8>) outs(%ex : tensor<32x64xi32>) {
    ^bb0(%v: i8, %o: i32):
      %seven = arith.constant 7 : i8
      %a = arith.extui %v : i8 to i32
      %b = arith.extui %seven : i8 to i32
      %d = arith.subi %a, %b : i32
      linalg.yield %d : i32
    } -> tensor<32x64xi32>
    %ew = tensor.empty() : tensor<64x48xi32>
    %cw = linalg.generic {indexing_maps = [#all, #column, #all], iterator_types = ["parallel", "parallel"]}
        ins(%w, %zero : tensor<64x48xi8>, tensor<48xi8>) outs(%ew : tensor<64x48xi32>) {
    ^bb0(%v: i8, %z: i8, %o: i32):
      %a = arith.extsi %v : i8 to i32
      %b = arith.extsi %z : i8 to i32
      %d = arith.subi %a, %b : i32
      linalg.yield %d : i32
    } -> tensor<64x48xi32>
    %c0 = arith.constant 0 : i32
    %ey = tensor.empty() : tensor<32x48xi32>
    %none = linalg.fill ins(%c0 : i32) outs(%ey : tensor<32x48xi32>) -> tensor<32x48xi32>
    %y = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%cx, %cw : tensor<32x64xi32>, tensor<64x48xi32>) outs(%none : tensor<32x48xi32>) {
    ^bb0(%a: i32, %b: i32, %acc: i32):
      %p = arith.muli %a, %b : i32
      %s = arith.addi %acc, %p : i32
      linalg.yield %s : i32
    } -> tensor<32x48xi32>
    return %y : tensor<32x48xi32>
  }
}
