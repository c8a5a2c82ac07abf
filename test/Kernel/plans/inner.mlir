// REQUIRES: istc
// RUN: istc %s --emit=tiled --target=cpu:x86-64-v3 | FileCheck %s

/// One row by a matrix that lies along k, as a decoder's scores: nothing is
/// turned, each of eight columns has a vector of sums, and they are added up in
/// three halvings.
// CHECK: plan "inner"
// CHECK: scf.for {{.*}}vector<8xf32>
// CHECK-COUNT-9: vector.load {{.*}} vector<8xf32>
// CHECK-COUNT-8: vector.fma
// CHECK-COUNT-14: vector.shuffle
// CHECK-NOT: kernel.func
#a = affine_map<(d0, d1, d2) -> (d0, d2)>
#b = affine_map<(d0, d1, d2) -> (d1, d2)>
#c = affine_map<(d0, d1, d2) -> (d0, d1)>
module {
  func.func @main(%x: tensor<1x64xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [1, 64]},
                  %keys: tensor<128x64xf32> {graph.name = "keys", graph.dtype = "f32", graph.dims = [128, 64]})
      -> (tensor<1x128xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<1x128xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x128xf32>) -> tensor<1x128xf32>
    %y = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%x, %keys : tensor<1x64xf32>, tensor<128x64xf32>) outs(%z : tensor<1x128xf32>) {
    ^bb0(%p: f32, %q: f32, %s: f32):
      %m = arith.mulf %p, %q : f32
      %t = arith.addf %s, %m : f32
      linalg.yield %t : f32
    } -> tensor<1x128xf32>
    return %y : tensor<1x128xf32>
  }
}
