// REQUIRES: istc
// RUN: istc %s --emit=kernel --target=nvidia:sm_80 | FileCheck %s
// RUN: istc %s --emit=kernel --target=cpu:x86-64-v3 | FileCheck %s --check-prefix=CPU

/// Keys of two heads, repeated for the three of queries that share each, and
/// turned. On lanes no copy of them is left: the product has a loop for the
/// three, which keys do not name, and so has the operation behind it, whose body
/// still counts heads from 0 to 5. Vectors have plans without that loop.
// CHECK-LABEL: func.func @main
// CHECK: %[[Q:.*]] = graph.reshape %arg1 {{.*}} : tensor<6x?x16xf32> -> tensor<2x3x?x16xf32>
// CHECK-NEXT: %[[S:.*]] = hal.launch @[[SCORES:k_contraction_[0-9a-f]+]] {{.*}} ins(%[[Q]], %arg2)
// CHECK-NEXT: %[[B:.*]] = hal.launch @[[BIAS:k_elementwise_[0-9a-f]+]] {{.*}} ins(%[[S]])
// CHECK-NEXT: graph.reshape %[[B]] {{.*}} : tensor<2x3x?x?xf32> -> tensor<6x?x?xf32>
// CPU: hal.launch @k_contraction{{.*}} -> tensor<6x?x?xf32>

/// Rows repeated as well, but how many there are is not known: nothing to split.
// CHECK-NEXT: hal.launch @k_elementwise{{.*}} -> tensor<?x3x8xf32>
// CHECK: hal.launch @k_contraction{{.*}} -> tensor<?x5xf32>

// CHECK: kernel.func @[[SCORES]]
// CHECK: affine_map<(d0, d1, d2, d3, d4) -> (d0, d3, d4)>
// CHECK: kernel.func @[[BIAS]]
// CHECK: %[[H:.*]] = linalg.index 0
// CHECK: %[[C3:.*]] = arith.constant 3
// CHECK: %[[H3:.*]] = arith.muli %[[H]], %[[C3]]
// CHECK: %[[G:.*]] = linalg.index 1
// CHECK: %[[HEAD:.*]] = arith.addi %[[H3]], %[[G]]
// CHECK: %[[COLUMN:.*]] = linalg.index 3
// CHECK: arith.muli %[[HEAD]], %[[COLUMN]]
#heads = affine_map<(h, g, s, d) -> (h, 0, s, d)>
#id4 = affine_map<(h, g, s, d) -> (h, g, s, d)>
#turned = affine_map<(h, d, s) -> (h, s, d)>
#id3 = affine_map<(h, m, n) -> (h, m, n)>
#q = affine_map<(h, m, n, d) -> (h, m, d)>
#k = affine_map<(h, m, n, d) -> (h, d, n)>
#s = affine_map<(h, m, n, d) -> (h, m, n)>
#row = affine_map<(h, g, d) -> (h, 0, d)>
#left = affine_map<(h, m, d) -> (m, d)>
#right = affine_map<(h, m, d) -> (h, d)>
#out = affine_map<(h, m, d) -> (h, m)>
module {
  func.func @main(%n: index {graph.symbol = "n", graph.min = 1 : i64, graph.max = 64 : i64},
                  %q: tensor<6x?x16xf32> {graph.name = "q", graph.dtype = "f32", graph.dims = [6, "n", 16]},
                  %k: tensor<2x?x16xf32> {graph.name = "k", graph.dtype = "f32", graph.dims = [2, "n", 16]},
                  %v: tensor<?x8xf32> {graph.name = "v", graph.dtype = "f32", graph.dims = ["n", 8]},
                  %w: tensor<5x8xf32> {graph.name = "w", graph.dtype = "f32", graph.dims = [5, 8]})
      -> (tensor<6x?x?xf32> {graph.name = "y", graph.dtype = "f32"}, tensor<?x5xf32> {graph.name = "z", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %c3 = arith.constant 3 : index
    %one = graph.reshape %k sizes(%n) : tensor<2x?x16xf32> -> tensor<2x1x?x16xf32>
    %e4 = tensor.empty(%n) : tensor<2x3x?x16xf32>
    %every = linalg.generic {indexing_maps = [#heads, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%one : tensor<2x1x?x16xf32>) outs(%e4 : tensor<2x3x?x16xf32>) {
    ^bb0(%i: f32, %o: f32):
      linalg.yield %i : f32
    } -> tensor<2x3x?x16xf32>
    %all = graph.reshape %every sizes(%n) : tensor<2x3x?x16xf32> -> tensor<6x?x16xf32>
    %e3 = tensor.empty(%n) : tensor<6x16x?xf32>
    %keys = linalg.generic {indexing_maps = [#turned, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%all : tensor<6x?x16xf32>) outs(%e3 : tensor<6x16x?xf32>) {
    ^bb0(%i: f32, %o: f32):
      linalg.yield %i : f32
    } -> tensor<6x16x?xf32>
    %es = tensor.empty(%n, %n) : tensor<6x?x?xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%es : tensor<6x?x?xf32>) -> tensor<6x?x?xf32>
    %scores = linalg.generic {indexing_maps = [#q, #k, #s], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
        ins(%q, %keys : tensor<6x?x16xf32>, tensor<6x16x?xf32>) outs(%zeros : tensor<6x?x?xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %p = arith.mulf %a, %b : f32
      %r = arith.addf %o, %p : f32
      linalg.yield %r : f32
    } -> tensor<6x?x?xf32>
    %y = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%scores : tensor<6x?x?xf32>) outs(%es : tensor<6x?x?xf32>) {
    ^bb0(%i: f32, %o: f32):
      %h = linalg.index 0 : index
      %c = linalg.index 2 : index
      %hc = arith.muli %h, %c : index
      %int = arith.index_cast %hc : index to i32
      %bias = arith.sitofp %int : i32 to f32
      %r = arith.addf %i, %bias : f32
      linalg.yield %r : f32
    } -> tensor<6x?x?xf32>

    %ev = tensor.empty(%n) : tensor<?x3x8xf32>
    %rows = graph.reshape %v sizes(%n) : tensor<?x8xf32> -> tensor<?x1x8xf32>
    %three = linalg.generic {indexing_maps = [#row, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%rows : tensor<?x1x8xf32>) outs(%ev : tensor<?x3x8xf32>) {
    ^bb0(%i: f32, %o: f32):
      linalg.yield %i : f32
    } -> tensor<?x3x8xf32>
    %n3 = arith.muli %n, %c3 : index
    %joined = graph.reshape %three sizes(%n3) : tensor<?x3x8xf32> -> tensor<?x8xf32>
    %ez = tensor.empty(%n3) : tensor<?x5xf32>
    %zz = linalg.fill ins(%zero : f32) outs(%ez : tensor<?x5xf32>) -> tensor<?x5xf32>
    %z = linalg.generic {indexing_maps = [#right, #left, #out], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%joined, %w : tensor<?x8xf32>, tensor<5x8xf32>) outs(%zz : tensor<?x5xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %p = arith.mulf %a, %b : f32
      %r = arith.addf %o, %p : f32
      linalg.yield %r : f32
    } -> tensor<?x5xf32>
    return %y, %z : tensor<6x?x?xf32>, tensor<?x5xf32>
  }
}
