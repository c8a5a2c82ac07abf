// RUN: ist-opt %s | ist-opt | FileCheck %s

// x[m, 4096] * w[4096, 4096] in f16 on an Intel GPU with DPAS (m8n16k16,
// subgroups of 16, operands in registers, no workgroup memory). The ring says
// how far to run ahead: a target without asynchronous copies makes a commit a
// 2-D block prefetch and a wait with its read a 2-D block load.
#grid = affine_map<()[s0] -> ((s0 ceildiv 256) * 16)>
!slots = !kernel.ring<3 x (memref<256x32xf16, 3>, memref<32x256xf16, 3>)>
kernel.func @matmul form(tiled) sizes(%m in 1 to 65536)
    in %x: memref<?x4096xf16>{%m} align 64, in %w: memref<4096x4096xf16> align 64,
    out %y: memref<?x4096xf32>{%m} align 64 grid(#grid) group 512 plan "contraction 256x256x32 dpas" {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %c256 = arith.constant 256 : index
  %steps = arith.constant 128 : index
  %pad = arith.constant 0.0 : f16
  %g = kernel.group_id
  %bi = arith.divui %g, %c16 : index
  %bj = arith.remui %g, %c16 : index
  %i = arith.muli %bi, %c256 : index
  %j = arith.muli %bj, %c256 : index
  %ring = kernel.ring : !slots
  scf.for %s = %c0 to %c2 step %c1 {
    %k = arith.muli %s, %c32 : index
    %a, %b = kernel.ring_acquire %ring[%s] : !slots
    kernel.async_copy %x[%i, %k] to %a : memref<?x4096xf16> to memref<256x32xf16, 3>
    kernel.async_copy %w[%k, %j] to %b : memref<4096x4096xf16> to memref<32x256xf16, 3>
    kernel.ring_commit %ring[%s] : !slots
  }
  %zero = arith.constant dense<0.0> : vector<256x256xf32>
  %sum = scf.for %s = %c0 to %steps step %c1 iter_args(%acc = %zero) -> vector<256x256xf32> {
    %ahead = arith.addi %s, %c2 : index
    %more = arith.cmpi ult, %ahead, %steps : index
    scf.if %more {
      %k = arith.muli %ahead, %c32 : index
      %a, %b = kernel.ring_acquire %ring[%ahead] : !slots
      kernel.async_copy %x[%i, %k] to %a : memref<?x4096xf16> to memref<256x32xf16, 3>
      kernel.async_copy %w[%k, %j] to %b : memref<4096x4096xf16> to memref<32x256xf16, 3>
      kernel.ring_commit %ring[%ahead] : !slots
    }
    %ta, %tb = kernel.ring_wait %ring[%s] : !slots
    %va = vector.transfer_read %ta[%c0, %c0], %pad {in_bounds = [true, true]} : memref<256x32xf16, 3>, vector<256x32xf16>
    %vb = vector.transfer_read %tb[%c0, %c0], %pad {in_bounds = [true, true]} : memref<32x256xf16, 3>, vector<32x256xf16>
    %next = kernel.mma %va, %vb, %acc unit "m8n16k16.f32.f16"
        : vector<256x32xf16>, vector<32x256xf16>, vector<256x256xf32>
    kernel.ring_release %ring[%s] : !slots
    scf.yield %next : vector<256x256xf32>
  }
  vector.transfer_write %sum, %y[%i, %j] {in_bounds = [false, true]} : vector<256x256xf32>, memref<?x4096xf32>
  kernel.return
}

// CHECK: kernel.func @matmul form(tiled)
// CHECK: %[[T:.*]]:2 = kernel.ring_wait
// CHECK: %[[A:.*]] = vector.transfer_read %[[T]]#0
// CHECK: kernel.mma %[[A]], %{{.*}}, %{{.*}} unit "m8n16k16.f32.f16"
