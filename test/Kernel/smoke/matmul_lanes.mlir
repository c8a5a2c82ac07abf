// RUN: ist-opt %s | ist-opt | FileCheck %s

// y[m, n] = x[m, k] * w[k, n], f16 with f32 sums, all three sizes dynamic: a
// workgroup makes a tile of 16 x 16 by way of two tiles in workgroup memory;
// what lies outside is read as zero.
#grid = affine_map<()[s0, s1, s2] -> ((s0 ceildiv 16) * (s1 ceildiv 16))>
kernel.func @matmul form(lanes) sizes(%m in 1 to 65536, %n in 1 to 65536, %k in 1 to 65536)
    in %x: memref<?x?xf16>{%m, %k}, in %w: memref<?x?xf16>{%k, %n},
    out %y: memref<?x?xf32>{%m, %n} grid(#grid) group 256 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c15 = arith.constant 15 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %none = arith.constant 0.0 : f16
  %g = kernel.group_id
  %lane = kernel.lane_id
  %padded = arith.addi %n, %c15 : index
  %columns = arith.divui %padded, %c16 : index
  %bi = arith.divui %g, %columns : index
  %bj = arith.remui %g, %columns : index
  %r = arith.divui %lane, %c16 : index
  %c = arith.remui %lane, %c16 : index
  %i0 = arith.muli %bi, %c16 : index
  %j0 = arith.muli %bj, %c16 : index
  %i = arith.addi %i0, %r : index
  %j = arith.addi %j0, %c : index
  %inRow = arith.cmpi ult, %i, %m : index
  %inColumn = arith.cmpi ult, %j, %n : index
  %as = kernel.alloc : memref<16x16xf16, 3>
  %bs = kernel.alloc : memref<16x16xf16, 3>

  %sum = scf.for %k0 = %c0 to %k step %c16 iter_args(%acc = %zero) -> f32 {
    %ka = arith.addi %k0, %c : index
    %kaIn = arith.cmpi ult, %ka, %k : index
    %aIn = arith.andi %inRow, %kaIn : i1
    %a = scf.if %aIn -> f16 {
      %v = memref.load %x[%i, %ka] : memref<?x?xf16>
      scf.yield %v : f16
    } else {
      scf.yield %none : f16
    }
    %kb = arith.addi %k0, %r : index
    %kbIn = arith.cmpi ult, %kb, %k : index
    %bIn = arith.andi %inColumn, %kbIn : i1
    %b = scf.if %bIn -> f16 {
      %v = memref.load %w[%kb, %j] : memref<?x?xf16>
      scf.yield %v : f16
    } else {
      scf.yield %none : f16
    }
    memref.store %a, %as[%r, %c] : memref<16x16xf16, 3>
    memref.store %b, %bs[%r, %c] : memref<16x16xf16, 3>
    kernel.barrier
    %next = scf.for %t = %c0 to %c16 step %c1 iter_args(%s = %acc) -> f32 {
      %at = memref.load %as[%r, %t] : memref<16x16xf16, 3>
      %bt = memref.load %bs[%t, %c] : memref<16x16xf16, 3>
      %af = arith.extf %at : f16 to f32
      %bf = arith.extf %bt : f16 to f32
      %f = math.fma %af, %bf, %s : f32
      scf.yield %f : f32
    }
    // No lane may write the next tiles while another still reads these.
    kernel.barrier
    scf.yield %next : f32
  }
  %in = arith.andi %inRow, %inColumn : i1
  scf.if %in {
    memref.store %sum, %y[%i, %j] : memref<?x?xf32>
  }
  kernel.return
}

// CHECK: kernel.func @matmul form(lanes)
// CHECK-COUNT-2: kernel.alloc : memref<16x16xf16, 3>
// CHECK-COUNT-2: kernel.barrier
