// RUN: ist-opt %s | ist-opt | FileCheck %s

// x[m, 4096] * w[n, 4096]^T in bf16 for sm_90a: one warpgroup of producers
// (TMA, arriving on the ring's mbarriers), two of consumers (wgmma, both
// operands in workgroup memory). The weight is stored with k innermost, so its
// tile is read through a transposed view. Three tiles of 128 x 64 and 256 x 64
// in flight; which wgmma group to wait for follows from the release.
#grid = affine_map<()[s0] -> ((s0 ceildiv 128) * 16)>
!slots = !kernel.ring<3 x (memref<128x64xbf16, 3>, memref<256x64xbf16, 3>)>
kernel.func @matmul form(tiled) sizes(%m in 1 to 65536)
    in %x: memref<?x4096xbf16>{%m} align 128, in %w: memref<4096x4096xbf16> align 128,
    out %y: memref<?x4096xbf16>{%m} align 128 grid(#grid) group 384 plan "contraction 128x256x64 wgmma" {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %steps = arith.constant 64 : index
  %g = kernel.group_id
  %bi = arith.divui %g, %c16 : index
  %bj = arith.remui %g, %c16 : index
  %i = arith.muli %bi, %c128 : index
  %j = arith.muli %bj, %c256 : index
  %ring = kernel.ring : !slots
  kernel.roles producers 4 {
    scf.for %s = %c0 to %steps step %c1 {
      %k = arith.muli %s, %c64 : index
      %a, %b = kernel.ring_acquire %ring[%s] : !slots
      kernel.async_copy %x[%i, %k] to %a : memref<?x4096xbf16> to memref<128x64xbf16, 3>
      kernel.async_copy %w[%j, %k] to %b : memref<4096x4096xbf16> to memref<256x64xbf16, 3>
      kernel.ring_commit %ring[%s] : !slots
    }
  } consumers 8 {
    %zero = arith.constant dense<0.0> : vector<128x256xf32>
    %sum = scf.for %s = %c0 to %steps step %c1 iter_args(%acc = %zero) -> vector<128x256xf32> {
      %a, %b = kernel.ring_wait %ring[%s] : !slots
      %bt = memref.transpose %b (p, q) -> (q, p)
          : memref<256x64xbf16, 3> to memref<64x256xbf16, strided<[1, 64]>, 3>
      %next = kernel.mma %a, %bt, %acc unit "m64n256k16.f32.bf16"
          : memref<128x64xbf16, 3>, memref<64x256xbf16, strided<[1, 64]>, 3>, vector<128x256xf32>
      kernel.ring_release %ring[%s] : !slots
      scf.yield %next : vector<128x256xf32>
    }
    %r = arith.truncf %sum : vector<128x256xf32> to vector<128x256xbf16>
    vector.transfer_write %r, %y[%i, %j] {in_bounds = [false, true]} : vector<128x256xbf16>, memref<?x4096xbf16>
  }
  kernel.return
}

// CHECK: kernel.func @matmul form(tiled)
// CHECK: kernel.roles producers 4 {
// CHECK: kernel.async_copy
// CHECK: } consumers 8 {
// CHECK: %[[B:.*]] = memref.transpose
// CHECK: kernel.mma %{{.*}}, %[[B]], %{{.*}} unit "m64n256k16.f32.bf16"
// CHECK: vector.transfer_write
