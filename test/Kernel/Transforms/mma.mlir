// RUN: ist-opt %s --split-input-file --ist-distribute=target=nvidia:sm_80 --canonicalize --cse --verify-diagnostics | FileCheck %s

/// f16 by a matrix unit, 64 x 32 sums on two subgroups, slices through a ring of
/// three slots: one barrier a step, that of the wait; A's fragments as they lie,
/// B's turned, two at once.
// CHECK-LABEL: kernel.func @matmul form(lanes)
// CHECK-DAG: %[[A:.*]] = kernel.alloc : memref<3x64x40xf16, 3>
// CHECK-DAG: %[[B:.*]] = kernel.alloc : memref<3x32x40xf16, 3>
// CHECK: scf.for
// CHECK-NOT: kernel.barrier
// CHECK: kernel.async_run
// CHECK-NOT: kernel.barrier
// CHECK: kernel.async_commit
// CHECK: scf.for
// CHECK: kernel.async_wait 1
// CHECK-NEXT: kernel.barrier
// CHECK-NOT: kernel.barrier
// CHECK: kernel.async_run
// CHECK-NOT: kernel.barrier
// CHECK: kernel.async_commit
// CHECK: kernel.load_matrices %{{.*}} : memref<64x32xf16, strided<[40, 1], offset: ?>, 3> -> vector<8xf16>
// CHECK: kernel.load_matrices %{{.*}} : memref<64x32xf16, strided<[40, 1], offset: ?>, 3> -> vector<8xf16>
// CHECK: kernel.load_matrices %{{.*}} transposed : memref<32x32xf16, strided<[40, 1], offset: ?>, 3> -> vector<8xf16>
// CHECK: kernel.load_matrices %{{.*}} transposed : memref<32x32xf16, strided<[40, 1], offset: ?>, 3> -> vector<8xf16>
// CHECK-COUNT-16: kernel.lane_mma {{.*}} unit "m16n8k16.f32.f16" : vector<8xf16>, vector<4xf16>, vector<4xf32>
// CHECK-NOT: kernel.barrier
// CHECK: scf.yield
// CHECK-COUNT-32: memref.store %{{.*}} : memref<64x32xf32>
#grid = affine_map<() -> (1)>
!slots = !kernel.ring<3 x (memref<64x32xf16, strided<[40, 1]>, 3>, memref<32x32xf16, strided<[40, 1]>, 3>)>
kernel.func @matmul form(tiled) in %x: memref<64x256xf16> align 16, in %w: memref<256x32xf16> align 16,
    out %y: memref<64x32xf32> grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c8 = arith.constant 8 : index
  %c32 = arith.constant 32 : index
  %yes = arith.constant true
  %zero = arith.constant dense<0.0> : vector<64x32xf32>
  %ring = kernel.ring : !slots
  scf.for %s = %c0 to %c2 step %c1 {
    %k = arith.muli %s, %c32 : index
    %a, %b = kernel.ring_acquire %ring[%s] : !slots
    scf.forall (%i, %j) in (64, 4) {
      %j8 = arith.muli %j, %c8 : index
      %kj = arith.addi %k, %j8 : index
      kernel.async_run %x[%i, %kj] to %a[%i, %j8] count 8 if %yes
        : memref<64x256xf16> to memref<64x32xf16, strided<[40, 1]>, 3>
    }
    scf.forall (%i, %j) in (32, 4) {
      %j8 = arith.muli %j, %c8 : index
      %ki = arith.addi %k, %i : index
      kernel.async_run %w[%ki, %j8] to %b[%i, %j8] count 8 if %yes
        : memref<256x32xf16> to memref<32x32xf16, strided<[40, 1]>, 3>
    }
    kernel.ring_commit %ring[%s] : !slots
  }
  %sum = scf.for %s = %c0 to %c8 step %c1 iter_args(%acc = %zero) -> vector<64x32xf32> {
    %ta, %tb = kernel.ring_wait %ring[%s] : !slots
    %ahead = arith.addi %s, %c2 : index
    %k = arith.muli %ahead, %c32 : index
    %more = arith.cmpi ult, %ahead, %c8 : index
    %a, %b = kernel.ring_acquire %ring[%ahead] : !slots
    scf.forall (%i, %j) in (64, 4) {
      %j8 = arith.muli %j, %c8 : index
      %kj = arith.addi %k, %j8 : index
      kernel.async_run %x[%i, %kj] to %a[%i, %j8] count 8 if %more
        : memref<64x256xf16> to memref<64x32xf16, strided<[40, 1]>, 3>
    }
    scf.forall (%i, %j) in (32, 4) {
      %j8 = arith.muli %j, %c8 : index
      %ki = arith.addi %k, %i : index
      kernel.async_run %w[%ki, %j8] to %b[%i, %j8] count 8 if %more
        : memref<256x32xf16> to memref<32x32xf16, strided<[40, 1]>, 3>
    }
    kernel.ring_commit %ring[%ahead] : !slots
    %next = kernel.mma %ta, %tb, %acc unit "m16n8k16.f32.f16"
      : memref<64x32xf16, strided<[40, 1]>, 3>, memref<32x32xf16, strided<[40, 1]>, 3>, vector<64x32xf32>
    kernel.ring_release %ring[%s] : !slots
    scf.yield %next : vector<64x32xf32>
  }
  kernel.each %sum : vector<64x32xf32> {
  ^bb0(%i: index, %j: index, %v: f32):
    memref.store %v, %y[%i, %j] : memref<64x32xf32>
  }
  kernel.return
}

// -----

/// Where the slot is acquired before the wait, its readers must be waited for
/// as well, and one more batch is under way. Bytes that lie across the unit's
/// words are loaded one by one.
// CHECK-LABEL: kernel.func @int8 form(lanes)
// CHECK: scf.for
// CHECK: kernel.barrier
// CHECK: kernel.async_commit
// CHECK: kernel.async_wait 1
// CHECK-NEXT: kernel.barrier
// CHECK: kernel.load_matrices %{{.*}} -> vector<16xi8>
// CHECK-COUNT-8: memref.load %{{.*}} : memref<32x8xi8, strided<[8, 1], offset: ?>, 3>
// CHECK: kernel.lane_mma {{.*}} unit "m16n8k32.s32.s8" : vector<16xi8>, vector<8xi8>, vector<4xi32>
#grid = affine_map<() -> (1)>
!slots = !kernel.ring<2 x (memref<16x32xi8, strided<[48, 1]>, 3>, memref<32x8xi8, 3>)>
kernel.func @int8 form(tiled) in %x: memref<16x256xi8>, in %w: memref<256x8xi8>, out %y: memref<16x8xi32> grid(#grid) group 32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant dense<0> : vector<16x8xi32>
  %ring = kernel.ring : !slots
  %a0, %b0 = kernel.ring_acquire %ring[%c0] : !slots
  kernel.ring_commit %ring[%c0] : !slots
  %sum = scf.for %s = %c0 to %c8 step %c1 iter_args(%acc = %zero) -> vector<16x8xi32> {
    %ahead = arith.addi %s, %c1 : index
    %a, %b = kernel.ring_acquire %ring[%ahead] : !slots
    kernel.ring_commit %ring[%ahead] : !slots
    %ta, %tb = kernel.ring_wait %ring[%s] : !slots
    %next = kernel.mma %ta, %tb, %acc unit "m16n8k32.s32.s8"
      : memref<16x32xi8, strided<[48, 1]>, 3>, memref<32x8xi8, 3>, vector<16x8xi32>
    kernel.ring_release %ring[%s] : !slots
    scf.yield %next : vector<16x8xi32>
  }
  kernel.each %sum : vector<16x8xi32> {
  ^bb0(%i: index, %j: index, %v: i32):
    memref.store %v, %y[%i, %j] : memref<16x8xi32>
  }
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @neg_unit form(tiled) grid(#grid) group 32 {
  %a = kernel.alloc : memref<16x16xf16, 3>
  %b = kernel.alloc : memref<16x8xf16, 3>
  %zero = arith.constant dense<0.0> : vector<16x8xf32>
  // expected-error@+1 {{names a matrix unit that nvidia:sm_80 does not have: m1n1k1}}
  %d = kernel.mma %a, %b, %zero unit "m1n1k1" : memref<16x16xf16, 3>, memref<16x8xf16, 3>, vector<16x8xf32>
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @neg_lanes form(tiled) grid(#grid) group 64 {
  %a = kernel.alloc : memref<16x16xf16, 3>
  %b = kernel.alloc : memref<16x8xf16, 3>
  %zero = arith.constant dense<0.0> : vector<16x8xf32> // expected-error {{has a tile that cannot be dealt to 64 lanes}}
  %d = kernel.mma %a, %b, %zero unit "m16n8k16.f32.f16" : memref<16x16xf16, 3>, memref<16x8xf16, 3>, vector<16x8xf32>
  kernel.return
}
