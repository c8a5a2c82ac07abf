// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v4-vnni | FileCheck %s

/// Six terms in groups of four, five columns in a panel: what is past them is
/// zero, and nothing past the weight's end is read.
// CHECK: kernel.func @k_pack{{.*}} in %{{.*}}: memref<6x5xi8>
// CHECK: %[[LAST:.*]] = arith.constant 5 : index
// CHECK-NEXT: arith.cmpi ule, %[[K:.*]], %[[LAST]]
// CHECK-NEXT: %[[LAST2:.*]] = arith.constant 5 : index
// CHECK-NEXT: %[[ROW:.*]] = arith.minui %[[K]], %[[LAST2]]
// CHECK-NEXT: %[[END:.*]] = arith.constant 4 : index
// CHECK-NEXT: arith.cmpi ule, %[[N:.*]], %[[END]]
// CHECK: %[[END2:.*]] = arith.constant 4 : index
// CHECK-NEXT: %[[COLUMN:.*]] = arith.minui %[[N]], %[[END2]]
// CHECK-NEXT: memref.load %{{.*}}[%[[ROW]], %[[COLUMN]]]
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
module {
  func.func @main(%x: tensor<12x6xi8> {graph.name = "x", graph.dtype = "u8", graph.dims = [12, 6]})
      -> (tensor<12x5xi32> {graph.name = "y", graph.dtype = "i32"}) {
    %w = graph.weight "w" in "none.bin" at 0 bytes 30 : tensor<6x5xi8>
    %zero = arith.constant 0 : i32
    %e = tensor.empty() : tensor<12x5xi32>
    %f = linalg.fill ins(%zero : i32) outs(%e : tensor<12x5xi32>) -> tensor<12x5xi32>
    %y = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%x, %w : tensor<12x6xi8>, tensor<6x5xi8>) outs(%f : tensor<12x5xi32>) {
    ^bb0(%i: i8, %j: i8, %o: i32):
      %iw = arith.extui %i : i8 to i32
      %jw = arith.extsi %j : i8 to i32
      %m = arith.muli %iw, %jw : i32
      %s = arith.addi %o, %m : i32
      linalg.yield %s : i32
    } -> tensor<12x5xi32>
    return %y : tensor<12x5xi32>
  }
}
