// RUN: ist-opt %s | ist-opt | FileCheck %s

// A dynamic elementwise kernel: one workgroup runs 256 elements.
#grid = affine_map<()[s0] -> (s0 ceildiv 256)>
kernel.func @relu form(tiled) sizes(%n in 1 to 1048576) in %x: memref<?xf32>{%n} align 16, out %y: memref<?xf32>{%n} align 16 grid(#grid) {
  %c0 = arith.constant 0 : index
  %c256 = arith.constant 256 : index
  %zero = arith.constant 0.0 : f32
  %g = kernel.group_id
  %begin = arith.muli %g, %c256 : index
  %left = arith.subi %n, %begin : index
  %count = arith.minui %left, %c256 : index
  scf.forall (%i) in (%count) {
    %e = arith.addi %begin, %i : index
    %v = memref.load %x[%e] : memref<?xf32>
    %r = arith.maximumf %v, %zero : f32
    memref.store %r, %y[%e] : memref<?xf32>
  }
  kernel.return
}

// CHECK: kernel.func @relu form(tiled) sizes(%[[N:.*]] in 1 to 1048576)
// CHECK-SAME: in %[[X:.*]]: memref<?xf32>{%[[N]]} align 16, out %[[Y:.*]]: memref<?xf32>{%[[N]]} align 16 grid(
// CHECK: kernel.group_id
// CHECK: scf.forall
// CHECK: memref.store %{{.*}}, %[[Y]]
// CHECK: kernel.return
