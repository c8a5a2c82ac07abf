// RUN: ist-opt %s | ist-opt | FileCheck %s

// What fusion leaves: pure ops on tensors between the bindings, no grid.
#all = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
kernel.func @softmax form(tensor) sizes(%m in 1 to 65536)
    in %x: memref<?x128xf32>{%m} align 16, out %y: memref<?x128xf32>{%m} align 16 {
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %t = bufferization.to_tensor %x restrict : memref<?x128xf32> to tensor<?x128xf32>
  %rows = tensor.empty(%m) : tensor<?xf32>
  %full = tensor.empty(%m) : tensor<?x128xf32>
  %low = linalg.fill ins(%lowest : f32) outs(%rows : tensor<?xf32>) -> tensor<?xf32>
  %max = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
      ins(%t : tensor<?x128xf32>) outs(%low : tensor<?xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %r = arith.maximumf %acc, %a : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  %exp = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel"]}
      ins(%t, %max : tensor<?x128xf32>, tensor<?xf32>) outs(%full : tensor<?x128xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %d = arith.subf %a, %b : f32
    %e = math.exp %d : f32
    linalg.yield %e : f32
  } -> tensor<?x128xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<?xf32>) -> tensor<?xf32>
  %sum = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
      ins(%exp : tensor<?x128xf32>) outs(%zeros : tensor<?xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %r = arith.addf %acc, %a : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  %div = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel"]}
      ins(%exp, %sum : tensor<?x128xf32>, tensor<?xf32>) outs(%full : tensor<?x128xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.divf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<?x128xf32>
  bufferization.materialize_in_destination %div in restrict writable %y
      : (tensor<?x128xf32>, memref<?x128xf32>) -> ()
  kernel.return
}

kernel.func @matmul_bias_gelu form(tensor) sizes(%m in 1 to 4096)
    in %x: memref<?x384xf32>{%m}, in %w: memref<384x1536xf32> align 64, in %b: memref<1536xf32>,
    out %y: memref<?x1536xf32>{%m} {
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %one = arith.constant 1.0 : f32
  %rsqrt2 = arith.constant 0.707106769 : f32
  %xt = bufferization.to_tensor %x restrict : memref<?x384xf32> to tensor<?x384xf32>
  %wt = bufferization.to_tensor %w restrict : memref<384x1536xf32> to tensor<384x1536xf32>
  %bt = bufferization.to_tensor %b restrict : memref<1536xf32> to tensor<1536xf32>
  %e = tensor.empty(%m) : tensor<?x1536xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x1536xf32>) -> tensor<?x1536xf32>
  %mm = linalg.matmul ins(%xt, %wt : tensor<?x384xf32>, tensor<384x1536xf32>)
      outs(%z : tensor<?x1536xf32>) -> tensor<?x1536xf32>
  %gelu = linalg.generic {indexing_maps = [#all, affine_map<(i, j) -> (j)>, #all], iterator_types = ["parallel", "parallel"]}
      ins(%mm, %bt : tensor<?x1536xf32>, tensor<1536xf32>) outs(%e : tensor<?x1536xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    %n = arith.mulf %s, %rsqrt2 : f32
    %erf = math.erf %n : f32
    %p = arith.addf %erf, %one : f32
    %h = arith.mulf %s, %half : f32
    %r = arith.mulf %h, %p : f32
    linalg.yield %r : f32
  } -> tensor<?x1536xf32>
  bufferization.materialize_in_destination %gelu in restrict writable %y
      : (tensor<?x1536xf32>, memref<?x1536xf32>) -> ()
  kernel.return
}

// CHECK: kernel.func @softmax form(tensor) sizes(%[[M:.*]] in 1 to 65536) in
// CHECK-NOT: grid
// CHECK: bufferization.to_tensor %{{.*}} restrict
// CHECK: bufferization.materialize_in_destination
// CHECK: kernel.func @matmul_bias_gelu form(tensor)
// CHECK: linalg.matmul
// CHECK: math.erf
