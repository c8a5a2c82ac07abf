// RUN: ist-opt %s | ist-opt | FileCheck %s

// x[m, 384] * w[384, 384] on a CPU. The weight is packed in panels of 16
// columns, [n / 16][k][16]; one workgroup makes a register tile of 6 x 16, its
// accumulators carried by the loop over k. Rows beyond the last are read from
// the last one and not stored, so the loop has no branch.
#grid = affine_map<()[s0] -> ((s0 ceildiv 6) * 24)>
kernel.func @matmul form(tiled) sizes(%m in 1 to 4096)
    in %x: memref<?x384xf32>{%m} align 64, in %w: memref<24x384x16xf32> align 64,
    out %y: memref<?x384xf32>{%m} align 64 grid(#grid) plan "contraction 6x16 packed" {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  %c16 = arith.constant 16 : index
  %c24 = arith.constant 24 : index
  %c384 = arith.constant 384 : index
  %zero = arith.constant dense<0.0> : vector<16xf32>
  %g = kernel.group_id
  // Panels turn fastest: the rows of x stay in the cache.
  %panel = arith.remui %g, %c24 : index
  %block = arith.divui %g, %c24 : index
  %row = arith.muli %block, %c6 : index
  %col = arith.muli %panel, %c16 : index
  %last = arith.subi %m, %c1 : index
  %i0 = arith.constant 0 : index
  %o0 = arith.addi %row, %i0 : index
  %r0 = arith.minui %o0, %last : index
  %i1 = arith.constant 1 : index
  %o1 = arith.addi %row, %i1 : index
  %r1 = arith.minui %o1, %last : index
  %i2 = arith.constant 2 : index
  %o2 = arith.addi %row, %i2 : index
  %r2 = arith.minui %o2, %last : index
  %i3 = arith.constant 3 : index
  %o3 = arith.addi %row, %i3 : index
  %r3 = arith.minui %o3, %last : index
  %i4 = arith.constant 4 : index
  %o4 = arith.addi %row, %i4 : index
  %r4 = arith.minui %o4, %last : index
  %i5 = arith.constant 5 : index
  %o5 = arith.addi %row, %i5 : index
  %r5 = arith.minui %o5, %last : index
  %s:6 = scf.for %k = %c0 to %c384 step %c1
      iter_args(%acc0 = %zero, %acc1 = %zero, %acc2 = %zero, %acc3 = %zero, %acc4 = %zero, %acc5 = %zero) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>) {
    %b = vector.load %w[%panel, %k, %c0] {alignment = 64} : memref<24x384x16xf32>, vector<16xf32>
    %a0 = memref.load %x[%r0, %k] : memref<?x384xf32>
    %v0 = vector.broadcast %a0 : f32 to vector<16xf32>
    %d0 = vector.fma %v0, %b, %acc0 : vector<16xf32>
    %a1 = memref.load %x[%r1, %k] : memref<?x384xf32>
    %v1 = vector.broadcast %a1 : f32 to vector<16xf32>
    %d1 = vector.fma %v1, %b, %acc1 : vector<16xf32>
    %a2 = memref.load %x[%r2, %k] : memref<?x384xf32>
    %v2 = vector.broadcast %a2 : f32 to vector<16xf32>
    %d2 = vector.fma %v2, %b, %acc2 : vector<16xf32>
    %a3 = memref.load %x[%r3, %k] : memref<?x384xf32>
    %v3 = vector.broadcast %a3 : f32 to vector<16xf32>
    %d3 = vector.fma %v3, %b, %acc3 : vector<16xf32>
    %a4 = memref.load %x[%r4, %k] : memref<?x384xf32>
    %v4 = vector.broadcast %a4 : f32 to vector<16xf32>
    %d4 = vector.fma %v4, %b, %acc4 : vector<16xf32>
    %a5 = memref.load %x[%r5, %k] : memref<?x384xf32>
    %v5 = vector.broadcast %a5 : f32 to vector<16xf32>
    %d5 = vector.fma %v5, %b, %acc5 : vector<16xf32>
    scf.yield %d0, %d1, %d2, %d3, %d4, %d5 : vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>
  }
  %in0 = arith.cmpi ult, %o0, %m : index
  scf.if %in0 {
    vector.store %s#0, %y[%o0, %col] {alignment = 64} : memref<?x384xf32>, vector<16xf32>
  }
  %in1 = arith.cmpi ult, %o1, %m : index
  scf.if %in1 {
    vector.store %s#1, %y[%o1, %col] {alignment = 64} : memref<?x384xf32>, vector<16xf32>
  }
  %in2 = arith.cmpi ult, %o2, %m : index
  scf.if %in2 {
    vector.store %s#2, %y[%o2, %col] {alignment = 64} : memref<?x384xf32>, vector<16xf32>
  }
  %in3 = arith.cmpi ult, %o3, %m : index
  scf.if %in3 {
    vector.store %s#3, %y[%o3, %col] {alignment = 64} : memref<?x384xf32>, vector<16xf32>
  }
  %in4 = arith.cmpi ult, %o4, %m : index
  scf.if %in4 {
    vector.store %s#4, %y[%o4, %col] {alignment = 64} : memref<?x384xf32>, vector<16xf32>
  }
  %in5 = arith.cmpi ult, %o5, %m : index
  scf.if %in5 {
    vector.store %s#5, %y[%o5, %col] {alignment = 64} : memref<?x384xf32>, vector<16xf32>
  }
  kernel.return
}

// CHECK: kernel.func @matmul form(tiled) sizes(%[[M:.*]] in 1 to 4096)
// CHECK-SAME: in %[[W:[^:]+]]: memref<24x384x16xf32> align 64
// CHECK: scf.for
// CHECK: vector.load %[[W]]
// CHECK-COUNT-6: vector.fma
// CHECK-COUNT-6: vector.store
