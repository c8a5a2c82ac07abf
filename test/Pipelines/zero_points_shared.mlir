// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=amd:gfx942 | FileCheck %s
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 | FileCheck %s --check-prefix=WORDS

/// Two products of one x turn its bytes once, where x has been read; so do those
/// that want words.
// CHECK: func.func @main
// CHECK-COUNT-1: hal.launch @k_elementwise
// CHECK-COUNT-2: hal.launch @k_contraction
// CHECK-NOT: hal.launch
// WORDS: func.func @main
// WORDS-COUNT-1: hal.launch @k_elementwise
// WORDS-COUNT-2: hal.launch @k_contraction
// WORDS-NOT: hal.launch
#x = affine_map<(m, n, k) -> (m, k)>
#w = affine_map<(m, n, k) -> (k, n)>
#y = affine_map<(m, n, k) -> (m, n)>
#all = affine_map<(r, c) -> (r, c)>
module {
  func.func @main(%x: tensor<32x64xi8> {graph.name = "x", graph.dtype = "u8", graph.dims = [32, 64]})
      -> (tensor<32x48xi32> {graph.name = "y", graph.dtype = "i32"}, tensor<32x48xi32> {graph.name = "z", graph.dtype = "i32"}) {
    %w = graph.weight "w" in "w.bin" at 0 bytes 3072 : tensor<64x48xi8>
    %v = graph.weight "v" in "w.bin" at 3072 bytes 3072 : tensor<64x48xi8>
    %ex = tensor.empty() : tensor<32x64xi32>
    %cx = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%x : tensor<32x64xi8>) outs(%ex : tensor<32x64xi32>) {
    ^bb0(%i: i8, %o: i32):
      %a = arith.extui %i : i8 to i32
      linalg.yield %a : i32
    } -> tensor<32x64xi32>
    %ew = tensor.empty() : tensor<64x48xi32>
    %cw = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%w : tensor<64x48xi8>) outs(%ew : tensor<64x48xi32>) {
    ^bb0(%i: i8, %o: i32):
      %a = arith.extsi %i : i8 to i32
      linalg.yield %a : i32
    } -> tensor<64x48xi32>
    %cv = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%v : tensor<64x48xi8>) outs(%ew : tensor<64x48xi32>) {
    ^bb0(%i: i8, %o: i32):
      %a = arith.extsi %i : i8 to i32
      linalg.yield %a : i32
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
    %z = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%cx, %cv : tensor<32x64xi32>, tensor<64x48xi32>) outs(%none : tensor<32x48xi32>) {
    ^bb0(%a: i32, %b: i32, %acc: i32):
      %p = arith.muli %a, %b : i32
      %s = arith.addi %acc, %p : i32
      linalg.yield %s : i32
    } -> tensor<32x48xi32>
    return %y, %z : tensor<32x48xi32>, tensor<32x48xi32>
  }
}
