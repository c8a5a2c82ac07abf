// RUN: ist-opt %s | ist-opt | FileCheck %s

// Softmax over rows, one workgroup a row: strided partial maxima and sums, each
// joined by a tree in workgroup memory.
#grid = affine_map<()[s0, s1] -> (s0)>
kernel.func @softmax form(lanes) sizes(%m in 1 to 65536, %n in 1 to 1048576)
    in %x: memref<?x?xf32>{%m, %n}, out %y: memref<?x?xf32>{%m, %n} grid(#grid) group 256 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %row = kernel.group_id
  %lane = kernel.lane_id
  %maxima = kernel.alloc : memref<256xf32, 3>
  %sums = kernel.alloc : memref<256xf32, 3>

  %high = scf.for %j = %lane to %n step %c256 iter_args(%acc = %lowest) -> f32 {
    %v = memref.load %x[%row, %j] : memref<?x?xf32>
    %a = arith.maximumf %acc, %v : f32
    scf.yield %a : f32
  }
  memref.store %high, %maxima[%lane] : memref<256xf32, 3>
  kernel.barrier
  scf.for %step = %c0 to %c8 step %c1 {
    %half = arith.shrui %c128, %step : index
    %low = arith.cmpi ult, %lane, %half : index
    scf.if %low {
      %other = arith.addi %lane, %half : index
      %a = memref.load %maxima[%lane] : memref<256xf32, 3>
      %b = memref.load %maxima[%other] : memref<256xf32, 3>
      %s = arith.maximumf %a, %b : f32
      memref.store %s, %maxima[%lane] : memref<256xf32, 3>
    }
    kernel.barrier
  }
  %max = memref.load %maxima[%c0] : memref<256xf32, 3>

  %part = scf.for %j = %lane to %n step %c256 iter_args(%acc = %zero) -> f32 {
    %v = memref.load %x[%row, %j] : memref<?x?xf32>
    %d = arith.subf %v, %max : f32
    %e = math.exp %d : f32
    %a = arith.addf %acc, %e : f32
    scf.yield %a : f32
  }
  memref.store %part, %sums[%lane] : memref<256xf32, 3>
  kernel.barrier
  scf.for %step = %c0 to %c8 step %c1 {
    %half = arith.shrui %c128, %step : index
    %low = arith.cmpi ult, %lane, %half : index
    scf.if %low {
      %other = arith.addi %lane, %half : index
      %a = memref.load %sums[%lane] : memref<256xf32, 3>
      %b = memref.load %sums[%other] : memref<256xf32, 3>
      %s = arith.addf %a, %b : f32
      memref.store %s, %sums[%lane] : memref<256xf32, 3>
    }
    kernel.barrier
  }
  %sum = memref.load %sums[%c0] : memref<256xf32, 3>

  scf.for %j = %lane to %n step %c256 {
    %v = memref.load %x[%row, %j] : memref<?x?xf32>
    %d = arith.subf %v, %max : f32
    %e = math.exp %d : f32
    %r = arith.divf %e, %sum : f32
    memref.store %r, %y[%row, %j] : memref<?x?xf32>
  }
  kernel.return
}

// CHECK: kernel.func @softmax form(lanes)
// CHECK-COUNT-4: kernel.barrier
