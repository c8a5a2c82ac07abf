// RUN: ist-opt %s --split-input-file --ist-distribute --canonicalize --verify-diagnostics | FileCheck %s

/// Points of two dims are numbered through; a barrier follows each loop that
/// touches workgroup memory, and one lane stores what the workgroup stores.
// CHECK-LABEL: kernel.func @rows form(lanes)
// CHECK-DAG: %[[LANE:.*]] = kernel.lane_id
// CHECK-DAG: %[[C64:.*]] = arith.constant 64
// CHECK: %[[TILE:.*]] = kernel.alloc
// CHECK: scf.for %[[F:.*]] = %{{.*}} to %{{.*}} step %[[C64]]
// CHECK: %[[P:.*]] = arith.addi %[[F]], %[[LANE]]
// CHECK: arith.remui %[[P]]
// CHECK: arith.divui %[[P]]
// CHECK: memref.store %{{.*}}, %[[TILE]]
// CHECK: }
// CHECK: kernel.barrier
// CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[LANE]]
// CHECK: scf.if %[[FIRST]]
// CHECK: memref.store %{{.*}}, %{{.*}} : memref<?xf32>
#grid = affine_map<()[s0] -> (s0)>
kernel.func @rows form(tiled) sizes(%n in 1 to 4096) in %x: memref<?x8x32xf32>{%n}, out %y: memref<?xf32>{%n}
    grid(#grid) group 64 {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %row = kernel.group_id
  %tile = kernel.alloc : memref<8x32xf32, 3>
  scf.forall (%i, %j) in (8, 32) {
    %v = memref.load %x[%row, %i, %j] : memref<?x8x32xf32>
    memref.store %v, %tile[%i, %j] : memref<8x32xf32, 3>
  }
  %sum = scf.for %i = %c0 to %c8 step %c1 iter_args(%acc = %zero) -> f32 {
    %v = memref.load %tile[%i, %c0] : memref<8x32xf32, 3>
    %a = arith.addf %acc, %v : f32
    scf.yield %a : f32
  }
  memref.store %sum, %y[%row] : memref<?xf32>
  kernel.return
}

// -----

/// No more points than lanes: no loop. A lane's memory is its own.
// CHECK-LABEL: kernel.func @few form(lanes)
// CHECK-NOT: scf.for
// CHECK: arith.cmpi ult, %{{.*}}
// CHECK: scf.if
// CHECK: memref.alloca() : memref<4xf32, 5>
#grid = affine_map<()[s0] -> (s0 ceildiv 64)>
kernel.func @few form(tiled) sizes(%n in 1 to 4096) in %x: memref<?xf32>{%n}, out %y: memref<?xf32>{%n}
    grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %g = kernel.group_id
  %begin = arith.muli %g, %c64 : index
  %left = arith.subi %n, %begin : index
  %count = arith.minui %left, %c64 : index
  scf.forall (%i) in (%count) {
    %own = memref.alloca() : memref<4xf32>
    %at = arith.addi %begin, %i : index
    %v = memref.load %x[%at] : memref<?xf32>
    memref.store %v, %own[%c0] : memref<4xf32>
    %w = memref.load %own[%c0] : memref<4xf32>
    memref.store %w, %y[%at] : memref<?xf32>
  }
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @neg_group form(tiled) out %y: memref<1xf32> grid(#grid) { // expected-error {{only form(tiled) with a group becomes form(lanes)}}
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @neg_roles form(tiled) out %y: memref<1xf32> grid(#grid) group 64 {
  // expected-error@+1 {{has no lowering to form(lanes) yet}}
  kernel.roles producers 1 {
  } consumers 1 {
  }
  kernel.return
}
