// RUN: ist-opt %s | ist-opt | FileCheck %s

// silu_lanes.mlir for targets that stop at form(tiled).
#grid = affine_map<()[s0] -> (s0 ceildiv 1024)>
kernel.func @silu form(tiled) sizes(%n in 1 to 1073741824)
    in %x: memref<?xf32>{%n} align 16, out %y: memref<?xf32>{%n} align 16 grid(#grid) {
  %c1024 = arith.constant 1024 : index
  %one = arith.constant 1.0 : f32
  %g = kernel.group_id
  %begin = arith.muli %g, %c1024 : index
  %left = arith.subi %n, %begin : index
  %count = arith.minui %left, %c1024 : index
  scf.forall (%i) in (%count) {
    %at = arith.addi %begin, %i : index
    %v = memref.load %x[%at] : memref<?xf32>
    %m = arith.negf %v : f32
    %e = math.exp %m : f32
    %d = arith.addf %e, %one : f32
    %r = arith.divf %v, %d : f32
    memref.store %r, %y[%at] : memref<?xf32>
  }
  kernel.return
}

// CHECK: kernel.func @silu form(tiled)
