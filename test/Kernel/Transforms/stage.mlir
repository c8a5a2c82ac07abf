// RUN: ist-opt %s --ist-distribute=target=amd:gfx942 --canonicalize --cse | FileCheck %s
// RUN: ist-opt %s --ist-distribute=target=nvidia:sm_80 --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,AT-ONCE
// RUN: ist-opt %s --ist-distribute=target=intel:spirv64 --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,AHEAD --implicit-check-not=memref.prefetch

/// What is loaded and stored into the next slot is loaded before this one is worked
/// on and stored when it is released: one barrier a step. The last points are those
/// of some lanes only. Where caches can be told, they are of the slot after that.
// CHECK-LABEL: kernel.func @ring
// CHECK: %[[LANE:.*]] = kernel.lane_id
// CHECK: scf.for
// CHECK: kernel.async_wait 0
// CHECK-NEXT: kernel.barrier
// CHECK: %[[FIRST:.*]] = vector.load %{{.*}} : memref<4096xf32>, vector<4xf32>
// CHECK: %[[REST:.*]]:2 = scf.if
// CHECK: vector.load
// CHECK: kernel.async_commit
// AHEAD: %[[SLOT:.*]] = arith.addi %{{.*}}, %c2
// AHEAD: arith.muli %[[SLOT]], %c384
// AHEAD: memref.prefetch {{.*}}, read, locality<3>, data : memref<4096xf32>
// AHEAD: scf.if
// AHEAD: memref.prefetch
// CHECK: math.exp
// CHECK: vector.store %[[FIRST]]
// CHECK: scf.if
// CHECK: vector.store %[[REST]]#0
// CHECK-NOT: kernel.barrier
// CHECK: kernel.return

#grid = affine_map<() -> (1)>
!slots = !kernel.ring<2 x (memref<384xf32, 3>)>
kernel.func @ring form(tiled) in %x: memref<4096xf32> align 16, out %y: memref<64xf32> grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %c384 = arith.constant 384 : index
  %ring = kernel.ring : !slots
  %t0 = kernel.ring_acquire %ring[%c0] : !slots
  kernel.ring_commit %ring[%c0] : !slots
  scf.for %s = %c0 to %c8 step %c1 {
    %now = kernel.ring_wait %ring[%s] : !slots
    %next = arith.addi %s, %c1 : index
    %tile = kernel.ring_acquire %ring[%next] : !slots
    %from = arith.muli %next, %c384 : index
    scf.forall (%i) in (96) {
      %at = arith.muli %i, %c4 : index
      %place = arith.addi %from, %at : index
      %v = vector.load %x[%place] : memref<4096xf32>, vector<4xf32>
      vector.store %v, %tile[%at] : memref<384xf32, 3>, vector<4xf32>
    }
    kernel.ring_commit %ring[%next] : !slots
    scf.forall (%i) in (64) {
      %v = memref.load %now[%i] : memref<384xf32, 3>
      %e = math.exp %v : f32
      memref.store %e, %y[%i] : memref<64xf32>
    }
    kernel.ring_release %ring[%s] : !slots
  }
  kernel.return
}

/// A run is such a load and store where the target does not copy on its own.
// CHECK-LABEL: kernel.func @runs
// AT-ONCE: kernel.async_run
// AT-ONCE: kernel.async_commit
// AT-ONCE-NEXT: kernel.async_wait 0
// AHEAD: scf.if
// AHEAD-NEXT: vector.load
// AHEAD: memref.prefetch
// AHEAD: vector.store
// AHEAD-NEXT: kernel.async_wait 0
!slot = !kernel.ring<1 x (memref<64xf32, 3>)>
kernel.func @runs form(tiled) in %x: memref<4096xf32> align 16, out %y: memref<64xf32> grid(#grid) group 16 {
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %ring = kernel.ring : !slot
  %tile = kernel.ring_acquire %ring[%c0] : !slot
  %n = kernel.group_id
  scf.forall (%i) in (16) {
    %at = arith.muli %i, %c4 : index
    %valid = arith.cmpi ult, %n, %c4 : index
    kernel.async_run %x[%at] to %tile[%at] count 4 if %valid : memref<4096xf32> to memref<64xf32, 3>
  }
  kernel.ring_commit %ring[%c0] : !slot
  %now = kernel.ring_wait %ring[%c0] : !slot
  scf.forall (%i) in (64) {
    %v = memref.load %now[%i] : memref<64xf32, 3>
    memref.store %v, %y[%i] : memref<64xf32>
  }
  kernel.return
}

/// Addresses that take divisions are not computed twice.
// CHECK-LABEL: kernel.func @divided
// CHECK: arith.remui
// CHECK: memref.load
// CHECK-NOT: arith.remui
// CHECK: kernel.return
kernel.func @divided form(tiled) in %x: memref<4096xf32> align 16, out %y: memref<64xf32> grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %c7 = arith.constant 7 : index
  %ring = kernel.ring : !slot
  %tile = kernel.ring_acquire %ring[%c0] : !slot
  scf.forall (%i) in (64) {
    %at = arith.remui %i, %c7 : index
    %v = memref.load %x[%at] : memref<4096xf32>
    memref.store %v, %tile[%i] : memref<64xf32, 3>
  }
  kernel.ring_commit %ring[%c0] : !slot
  %now = kernel.ring_wait %ring[%c0] : !slot
  scf.forall (%i) in (64) {
    %v = memref.load %now[%i] : memref<64xf32, 3>
    memref.store %v, %y[%i] : memref<64xf32>
  }
  kernel.return
}
