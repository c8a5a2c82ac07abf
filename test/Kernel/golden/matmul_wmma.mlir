// RUN: ist-opt %s | ist-opt | FileCheck %s

// x[m, 1024] * w[1024, 1024] in f16 on gfx11 and gfx12: WMMA reads registers,
// which lanes load from LDS. Two slots: on these chips a copy is a load to
// registers and a store, and the slot that is brought is not the one multiplied.
#grid = affine_map<()[s0] -> ((s0 ceildiv 64) * 16)>
!slots = !kernel.ring<2 x (memref<64x32xf16, strided<[40, 1]>, 3>, memref<32x64xf16, strided<[72, 1]>, 3>)>
kernel.func @matmul form(tiled) sizes(%m in 1 to 65536)
    in %x: memref<?x1024xf16>{%m} align 16, in %w: memref<1024x1024xf16> align 16,
    out %y: memref<?x1024xf32>{%m} align 16 grid(#grid) group 128 plan "contraction 64x64x32 wmma" {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %c64 = arith.constant 64 : index
  %g = kernel.group_id
  %bi = arith.divui %g, %c16 : index
  %bj = arith.remui %g, %c16 : index
  %i = arith.muli %bi, %c64 : index
  %j = arith.muli %bj, %c64 : index

  %ring = kernel.ring : !slots
  %a0, %b0 = kernel.ring_acquire %ring[%c0] : !slots
  kernel.async_copy %x[%i, %c0] to %a0 : memref<?x1024xf16> to memref<64x32xf16, strided<[40, 1]>, 3>
  kernel.async_copy %w[%c0, %j] to %b0 : memref<1024x1024xf16> to memref<32x64xf16, strided<[72, 1]>, 3>
  kernel.ring_commit %ring[%c0] : !slots
  %zero = arith.constant dense<0.0> : vector<64x64xf32>
  %sum = scf.for %s = %c0 to %c32 step %c1 iter_args(%acc = %zero) -> vector<64x64xf32> {
    %ta, %tb = kernel.ring_wait %ring[%s] : !slots
    // Past the last step this is outside of the bindings: zeros, never used.
    %next = arith.addi %s, %c1 : index
    %k = arith.muli %next, %c32 : index
    %a, %b = kernel.ring_acquire %ring[%next] : !slots
    kernel.async_copy %x[%i, %k] to %a : memref<?x1024xf16> to memref<64x32xf16, strided<[40, 1]>, 3>
    kernel.async_copy %w[%k, %j] to %b : memref<1024x1024xf16> to memref<32x64xf16, strided<[72, 1]>, 3>
    kernel.ring_commit %ring[%next] : !slots
    %d = kernel.mma %ta, %tb, %acc unit "m16n16k16.f32.f16"
        : memref<64x32xf16, strided<[40, 1]>, 3>, memref<32x64xf16, strided<[72, 1]>, 3>, vector<64x64xf32>
    kernel.ring_release %ring[%s] : !slots
    scf.yield %d : vector<64x64xf32>
  }
  vector.transfer_write %sum, %y[%i, %j] {in_bounds = [false, true]} : vector<64x64xf32>, memref<?x1024xf32>
  kernel.return
}

// CHECK: kernel.func @matmul form(tiled)
// CHECK: %[[R:.*]] = kernel.ring : <2 x (memref<64x32xf16, strided<[40, 1]>, 3>
// CHECK: %[[T:.*]]:2 = kernel.ring_wait %[[R]]
// CHECK: kernel.ring_acquire %[[R]]
// CHECK: kernel.mma %[[T]]#0, %[[T]]#1, %{{.*}} unit "m16n16k16.f32.f16"
// CHECK: kernel.ring_release %[[R]]
