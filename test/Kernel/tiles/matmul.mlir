// RUN: ist-opt %s --ist-distribute=subgroup=32 --canonicalize --cse | FileCheck %s

// f16 by tiles of 32 x 64 in workgroup memory, 128 lanes with 4 x 4 sums each:
// the product's barriers, and a tile of the result handed on through memory.
// CHECK-LABEL: kernel.func @matmul form(lanes)
// CHECK-DAG: kernel.alloc : memref<32x16xf32, 3>
// CHECK-DAG: kernel.alloc : memref<16x64xf32, 3>
// CHECK: scf.for {{.*}} -> (f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32)
// CHECK: memref.store %{{.*}} : memref<32x16xf32, 3>
// CHECK-NOT: kernel.barrier
// CHECK: memref.store %{{.*}} : memref<16x64xf32, 3>
// CHECK: kernel.barrier
// CHECK: scf.for
// CHECK-COUNT-16: math.fma
// CHECK: kernel.barrier
// CHECK: scf.yield
// CHECK-COUNT-16: memref.store %{{.*}} : memref<32x64xf32, 3>
// CHECK: kernel.barrier
// CHECK: memref.store %{{.*}} : memref<?x?xf32>
#grid = affine_map<()[s0, s1, s2] -> ((s0 ceildiv 32) * (s1 ceildiv 64))>
kernel.func @matmul form(tiled) sizes(%m in 1 to 4096, %n in 1 to 4096, %k in 1 to 4096)
    in %x: memref<?x?xf16>{%m, %k}, in %w: memref<?x?xf16>{%k, %n}, out %y: memref<?x?xf32>{%m, %n}
    grid(#grid) group 128 {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %c63 = arith.constant 63 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant 0.0 : f32
  %start = arith.constant dense<0.0> : vector<32x64xf32>
  %g = kernel.group_id
  %n63 = arith.addi %n, %c63 : index
  %nt = arith.divui %n63, %c64 : index
  %gm = arith.divui %g, %nt : index
  %gn = arith.remui %g, %nt : index
  %m0 = arith.muli %gm, %c32 : index
  %n0 = arith.muli %gn, %c64 : index
  %a = kernel.alloc : memref<32x16xf32, 3>
  %b = kernel.alloc : memref<16x64xf32, 3>
  %c = kernel.alloc : memref<32x64xf32, 3>
  %sum = scf.for %k0 = %c0 to %k step %c16 iter_args(%acc = %start) -> vector<32x64xf32> {
    scf.forall (%i, %j) in (32, 16) {
      %r = arith.addi %m0, %i : index
      %q = arith.addi %k0, %j : index
      %rin = arith.cmpi ult, %r, %m : index
      %qin = arith.cmpi ult, %q, %k : index
      %in = arith.andi %rin, %qin : i1
      %v = scf.if %in -> f32 {
        %l = memref.load %x[%r, %q] : memref<?x?xf16>
        %e = arith.extf %l : f16 to f32
        scf.yield %e : f32
      } else {
        scf.yield %zero : f32
      }
      memref.store %v, %a[%i, %j] : memref<32x16xf32, 3>
    }
    scf.forall (%i, %j) in (16, 64) {
      %q = arith.addi %k0, %i : index
      %r = arith.addi %n0, %j : index
      %rin = arith.cmpi ult, %r, %n : index
      %qin = arith.cmpi ult, %q, %k : index
      %in = arith.andi %rin, %qin : i1
      %v = scf.if %in -> f32 {
        %l = memref.load %w[%q, %r] : memref<?x?xf16>
        %e = arith.extf %l : f16 to f32
        scf.yield %e : f32
      } else {
        scf.yield %zero : f32
      }
      memref.store %v, %b[%i, %j] : memref<16x64xf32, 3>
    }
    %d = kernel.mma %a, %b, %acc : memref<32x16xf32, 3>, memref<16x64xf32, 3>, vector<32x64xf32>
    scf.yield %d : vector<32x64xf32>
  }
  vector.transfer_write %sum, %c[%c0, %c0] {in_bounds = [true, true]} : vector<32x64xf32>, memref<32x64xf32, 3>
  %mleft = arith.subi %m, %m0 : index
  %rows = arith.minui %mleft, %c32 : index
  %nleft = arith.subi %n, %n0 : index
  %columns = arith.minui %nleft, %c64 : index
  scf.forall (%i, %j) in (%rows, %columns) {
    %v = memref.load %c[%i, %j] : memref<32x64xf32, 3>
    %r = arith.addi %m0, %i : index
    %q = arith.addi %n0, %j : index
    memref.store %v, %y[%r, %q] : memref<?x?xf32>
  }
  kernel.return
}
