// RUN: ist-opt %s | ist-opt | FileCheck %s

// The sum of each row, one workgroup of 256 lanes a row: strided partial sums,
// then a tree in workgroup memory.
#grid = affine_map<()[s0, s1] -> (s0)>
kernel.func @row_sum form(lanes) sizes(%m in 1 to 65536, %n in 1 to 1048576)
    in %x: memref<?x?xf32>{%m, %n}, out %y: memref<?xf32>{%m} grid(#grid) group 256 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %zero = arith.constant 0.0 : f32
  %row = kernel.group_id
  %lane = kernel.lane_id
  %part = scf.for %j = %lane to %n step %c256 iter_args(%acc = %zero) -> f32 {
    %v = memref.load %x[%row, %j] : memref<?x?xf32>
    %s = arith.addf %acc, %v : f32
    scf.yield %s : f32
  }
  %parts = kernel.alloc : memref<256xf32, 3>
  memref.store %part, %parts[%lane] : memref<256xf32, 3>
  kernel.barrier
  scf.for %step = %c0 to %c8 step %c1 {
    %half = arith.shrui %c128, %step : index
    %low = arith.cmpi ult, %lane, %half : index
    scf.if %low {
      %other = arith.addi %lane, %half : index
      %a = memref.load %parts[%lane] : memref<256xf32, 3>
      %b = memref.load %parts[%other] : memref<256xf32, 3>
      %s = arith.addf %a, %b : f32
      memref.store %s, %parts[%lane] : memref<256xf32, 3>
    }
    // Outside the branch: all lanes arrive.
    kernel.barrier
  }
  %first = arith.cmpi eq, %lane, %c0 : index
  scf.if %first {
    %s = memref.load %parts[%c0] : memref<256xf32, 3>
    memref.store %s, %y[%row] : memref<?xf32>
  }
  kernel.return
}

// CHECK: kernel.func @row_sum form(lanes)
// CHECK-SAME: group 256
// CHECK: kernel.lane_id
// CHECK: kernel.alloc : memref<256xf32, 3>
// CHECK-COUNT-2: kernel.barrier
