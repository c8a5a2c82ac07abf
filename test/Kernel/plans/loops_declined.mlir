// REQUIRES: istc
// RUN: not istc %s --emit=tiled --target=cpu:x86-64-v3 2>&1 | FileCheck %s
// RUN: not istc %s --emit=tiled --target=nvidia:sm_80 2>&1 | FileCheck %s

/// A sum and, beside it, the elements it was made of: `loops` and `serial` keep
/// one value a result while they reduce, and would store the last element only.
// CHECK: error: IST-C0001: {{.*}}no plan takes this kernel
// CHECK: note: loops: result 1 varies along loop 1, which reduces
// CHECK: note: serial: result 1 varies along loop 1, which reduces
#all = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
module {
  func.func @main(%x: tensor<8x4xi64> {graph.name = "x", graph.dtype = "i64", graph.dims = [8, 4]})
      -> (tensor<8xi64> {graph.name = "s", graph.dtype = "i64"}, tensor<8x4xi64> {graph.name = "e", graph.dtype = "i64"}) {
    %zero = arith.constant 0 : i64
    %e8 = tensor.empty() : tensor<8xi64>
    %e84 = tensor.empty() : tensor<8x4xi64>
    %z8 = linalg.fill ins(%zero : i64) outs(%e8 : tensor<8xi64>) -> tensor<8xi64>
    %s, %e = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "reduction"]}
        ins(%x : tensor<8x4xi64>) outs(%z8, %e84 : tensor<8xi64>, tensor<8x4xi64>) {
    ^bb0(%v: i64, %o: i64, %p: i64):
      %a = arith.addi %o, %v : i64
      linalg.yield %a, %v : i64, i64
    } -> (tensor<8xi64>, tensor<8x4xi64>)
    return %s, %e : tensor<8xi64>, tensor<8x4xi64>
  }
}
