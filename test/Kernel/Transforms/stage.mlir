// RUN: ist-opt %s --ist-distribute=target=amd:gfx942 --canonicalize --cse | FileCheck %s
// RUN: ist-opt %s --ist-distribute=target=nvidia:sm_80 --canonicalize --cse | FileCheck %s --check-prefix=AT-ONCE

/// On a chip that copies through registers, what comes into the next slot is loaded
/// before this one is worked on and stored when it is released: one barrier a step.
/// The last points are those of some lanes only.
// CHECK-LABEL: kernel.func @ring
// CHECK: %[[LANE:.*]] = kernel.lane_id
// CHECK: scf.for
// CHECK: kernel.async_wait 0
// CHECK-NEXT: kernel.barrier
// CHECK: %[[FIRST:.*]] = vector.load %{{.*}} : memref<4096xf32>, vector<4xf32>
// CHECK: %[[REST:.*]]:2 = scf.if
// CHECK: vector.load
// CHECK: kernel.async_commit
// CHECK: math.exp
// CHECK: vector.store %[[FIRST]]
// CHECK: scf.if
// CHECK: vector.store %[[REST]]#0
// CHECK-NOT: kernel.barrier
// CHECK: kernel.return

/// Where the target copies on its own, a store is one at once.
// AT-ONCE-LABEL: kernel.func @ring
// AT-ONCE: kernel.async_wait
// AT-ONCE: scf.for
// AT-ONCE: vector.load
// AT-ONCE: vector.store
// AT-ONCE: kernel.async_commit
// AT-ONCE: math.exp
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
    %from = arith.muli %s, %c384 : index
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
