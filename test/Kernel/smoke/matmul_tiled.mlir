// RUN: ist-opt %s | ist-opt | FileCheck %s

// matmul_lanes.mlir for targets that stop at form(tiled): workgroup memory, but
// no lanes and no barriers.
#grid = affine_map<()[s0, s1, s2] -> ((s0 ceildiv 16) * (s1 ceildiv 16))>
kernel.func @matmul form(tiled) sizes(%m in 1 to 65536, %n in 1 to 65536, %k in 1 to 65536)
    in %x: memref<?x?xf16>{%m, %k}, in %w: memref<?x?xf16>{%k, %n},
    out %y: memref<?x?xf32>{%m, %n} grid(#grid) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c15 = arith.constant 15 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %g = kernel.group_id
  %padded = arith.addi %n, %c15 : index
  %columns = arith.divui %padded, %c16 : index
  %bi = arith.divui %g, %columns : index
  %bj = arith.remui %g, %columns : index
  %i0 = arith.muli %bi, %c16 : index
  %j0 = arith.muli %bj, %c16 : index
  %below = arith.subi %m, %i0 : index
  %beside = arith.subi %n, %j0 : index
  %rows = arith.minui %below, %c16 : index
  %width = arith.minui %beside, %c16 : index
  %tile = kernel.alloc : memref<16x16xf32, 3>
  scf.forall (%r, %c) in (%rows, %width) {
    memref.store %zero, %tile[%r, %c] : memref<16x16xf32, 3>
  }
  scf.for %t = %c0 to %k step %c1 {
    scf.forall (%r, %c) in (%rows, %width) {
      %i = arith.addi %i0, %r : index
      %j = arith.addi %j0, %c : index
      %a = memref.load %x[%i, %t] : memref<?x?xf16>
      %b = memref.load %w[%t, %j] : memref<?x?xf16>
      %af = arith.extf %a : f16 to f32
      %bf = arith.extf %b : f16 to f32
      %s = memref.load %tile[%r, %c] : memref<16x16xf32, 3>
      %f = math.fma %af, %bf, %s : f32
      memref.store %f, %tile[%r, %c] : memref<16x16xf32, 3>
    }
  }
  scf.forall (%r, %c) in (%rows, %width) {
    %i = arith.addi %i0, %r : index
    %j = arith.addi %j0, %c : index
    %s = memref.load %tile[%r, %c] : memref<16x16xf32, 3>
    memref.store %s, %y[%i, %j] : memref<?x?xf32>
  }
  kernel.return
}

// CHECK: kernel.func @matmul form(tiled)
