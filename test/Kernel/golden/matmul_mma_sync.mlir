// RUN: ist-opt %s | ist-opt | FileCheck %s

// x[m, 4096] * w[4096, 4096] in f16 with f32 sums, for sm_80: tiles of
// 128 x 128 x 32 through a ring of three slots (cp.async groups), the products
// by mma.sync. Every subgroup both copies and multiplies: no roles. The copies
// of the next slots are issued before this slot is waited for.
#grid = affine_map<()[s0] -> ((s0 ceildiv 128) * 32)>
!slots = !kernel.ring<3 x (memref<128x32xf16, 3>, memref<32x128xf16, 3>)>
kernel.func @matmul form(tiled) sizes(%m in 1 to 65536)
    in %x: memref<?x4096xf16>{%m} align 16, in %w: memref<4096x4096xf16> align 16,
    out %y: memref<?x4096xf16>{%m} align 16 grid(#grid) group 256 plan "contraction 128x128x32 mma.sync" {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c32 = arith.constant 32 : index
  %c128 = arith.constant 128 : index
  %steps = arith.constant 128 : index
  %g = kernel.group_id
  %bi = arith.divui %g, %c32 : index
  %bj = arith.remui %g, %c32 : index
  %i = arith.muli %bi, %c128 : index
  %j = arith.muli %bj, %c128 : index

  %ring = kernel.ring : !slots
  scf.for %s = %c0 to %c2 step %c1 {
    %k = arith.muli %s, %c32 : index
    %a, %b = kernel.ring_acquire %ring[%s] : !slots
    kernel.async_copy %x[%i, %k] to %a : memref<?x4096xf16> to memref<128x32xf16, 3>
    kernel.async_copy %w[%k, %j] to %b : memref<4096x4096xf16> to memref<32x128xf16, 3>
    kernel.ring_commit %ring[%s] : !slots
  }
  %zero = arith.constant dense<0.0> : vector<128x128xf32>
  %sum = scf.for %s = %c0 to %steps step %c1 iter_args(%acc = %zero) -> vector<128x128xf32> {
    %ahead = arith.addi %s, %c2 : index
    %more = arith.cmpi ult, %ahead, %steps : index
    scf.if %more {
      %k = arith.muli %ahead, %c32 : index
      %a, %b = kernel.ring_acquire %ring[%ahead] : !slots
      kernel.async_copy %x[%i, %k] to %a : memref<?x4096xf16> to memref<128x32xf16, 3>
      kernel.async_copy %w[%k, %j] to %b : memref<4096x4096xf16> to memref<32x128xf16, 3>
      kernel.ring_commit %ring[%ahead] : !slots
    }
    %ta, %tb = kernel.ring_wait %ring[%s] : !slots
    %next = kernel.mma %ta, %tb, %acc unit "m16n8k16.f32.f16"
        : memref<128x32xf16, 3>, memref<32x128xf16, 3>, vector<128x128xf32>
    kernel.ring_release %ring[%s] : !slots
    scf.yield %next : vector<128x128xf32>
  }
  %half = arith.truncf %sum : vector<128x128xf32> to vector<128x128xf16>
  vector.transfer_write %half, %y[%i, %j] {in_bounds = [false, true]} : vector<128x128xf16>, memref<?x4096xf16>
  kernel.return
}

// CHECK: kernel.func @matmul form(tiled)
// CHECK-SAME: group 256
// CHECK: %[[R:.*]] = kernel.ring : <3 x (memref<128x32xf16, 3>, memref<32x128xf16, 3>)>
// CHECK: kernel.ring_acquire %[[R]]
// CHECK: kernel.async_copy
// CHECK: kernel.ring_commit %[[R]]
// CHECK: %[[T:.*]]:2 = kernel.ring_wait %[[R]]
// CHECK: kernel.mma %[[T]]#0, %[[T]]#1, %{{.*}} unit "m16n8k16.f32.f16"
// CHECK: kernel.ring_release %[[R]]
