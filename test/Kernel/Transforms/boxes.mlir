// RUN: ist-opt %s --split-input-file --ist-distribute=target=amd:gfx942 --canonicalize --cse --verify-diagnostics | FileCheck %s

/// A box is copied in runs of 16 bytes where the binding and the place allow; its
/// last rows may be outside, its columns may not.
// CHECK-LABEL: kernel.func @box
// CHECK-SAME: sizes(%[[M:.*]] in 1 to 64)
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %{{.*}}, %[[M]]
// CHECK: kernel.async_run %{{.*}} count 8 if %{{.*}} : memref<?x64xf16> to memref<32x32xf16
#grid = affine_map<()[s0] -> (s0 ceildiv 32)>
kernel.func @box form(tiled) sizes(%m in 1 to 64) in %x: memref<?x64xf16>{%m} align 16, out %y: memref<1xf32> grid(#grid) group 64 {
  %c32 = arith.constant 32 : index
  %g = kernel.group_id
  %i = arith.muli %g, %c32 : index
  %tile = kernel.alloc : memref<32x32xf16, 3>
  kernel.async_copy %x[%i, %i] to %tile : memref<?x64xf16> to memref<32x32xf16, 3>
  kernel.return
}

// -----

/// Elsewhere it is copied element by element.
// CHECK-LABEL: kernel.func @anywhere
// CHECK-NOT: kernel.async_run
// CHECK: scf.if
// CHECK: memref.load
#grid = affine_map<()[s0] -> (s0)>
kernel.func @anywhere form(tiled) sizes(%m in 1 to 64) in %x: memref<?x64xf16>{%m} align 16, out %y: memref<1xf32> grid(#grid) group 64 {
  %g = kernel.group_id
  %tile = kernel.alloc : memref<32x32xf16, 3>
  kernel.async_copy %x[%g, %g] to %tile : memref<?x64xf16> to memref<32x32xf16, 3>
  kernel.return
}

// -----

/// From rows to the unit's operand by way of workgroup memory, in runs; the
/// product takes it from registers.
// CHECK-LABEL: kernel.func @relayout
// CHECK: vector.load %{{.*}} : memref<16x16xf16>, vector<4xf16>
// CHECK: vector.store %{{.*}} : memref<16x16xf16, 3>, vector<4xf16>
// CHECK: kernel.barrier
// CHECK: vector.load %{{.*}} : memref<16x16xf16, 3>, vector<4xf16>
// CHECK: kernel.barrier
// CHECK: kernel.lane_mma %{{.*}} unit "m16n16k16.f32.f16" : vector<4xf16>, vector<4xf16>, vector<4xf32>
#grid = affine_map<() -> (1)>
#rows = #kernel.layout<register = [1, 2], lane = [4, 8, 16, 32, 64, 128], subgroup = []>
#operand = #kernel.layout<register = [1, 2], lane = [16, 32, 64, 128, 4, 8], subgroup = []>
kernel.func @relayout form(tiled) in %x: memref<16x16xf16>, in %w: memref<16x16xf16>, out %y: memref<16x16xf32> grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %pad = arith.constant 0.0 : f16
  %zero = arith.constant dense<0.0> : vector<16x16xf32>
  %a = vector.transfer_read %x[%c0, %c0], %pad {in_bounds = [true, true]} : memref<16x16xf16>, vector<16x16xf16>
  %b = vector.transfer_read %w[%c0, %c0], %pad {in_bounds = [true, true]} : memref<16x16xf16>, vector<16x16xf16>
  %r = kernel.relayout %a from #rows to #operand : vector<16x16xf16>
  %d = kernel.mma %r, %b, %zero unit "m16n16k16.f32.f16" : vector<16x16xf16>, vector<16x16xf16>, vector<16x16xf32>
  vector.transfer_write %d, %y[%c0, %c0] {in_bounds = [true, true]} : vector<16x16xf32>, memref<16x16xf32>
  kernel.return
}

// -----

/// A value a row: a lane reads those of the rows that its part of a unit's sums has,
/// each once, and scales the sums where they lie.
// CHECK-LABEL: kernel.func @value_a_row
// CHECK: kernel.barrier
// CHECK-COUNT-4: memref.load %{{.*}} : memref<16xf32, 3>
// CHECK-NOT: memref.load %{{.*}} : memref<16xf32, 3>
// CHECK-COUNT-4: arith.mulf
// CHECK-COUNT-2: kernel.lane_mma
// CHECK: kernel.return
#grid = affine_map<() -> (1)>
kernel.func @value_a_row form(tiled) in %x: memref<16xf32>, in %w: memref<16x32xf16>, out %y: memref<16x32xf32> grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %none = arith.constant 0.0 : f32
  %zero = arith.constant dense<0.5> : vector<16x32xf32>
  %rows = kernel.alloc : memref<16xf32, 3>
  %a = kernel.alloc : memref<16x16xf16, 3>
  %b = kernel.alloc : memref<16x32xf16, 3>
  scf.forall (%i) in (16) {
    %v = memref.load %x[%i] : memref<16xf32>
    memref.store %v, %rows[%i] : memref<16xf32, 3>
  }
  %r = vector.transfer_read %rows[%c0], %none {in_bounds = [true, true], permutation_map = affine_map<(d0) -> (d0, 0)>} : memref<16xf32, 3>, vector<16x32xf32>
  %s = arith.mulf %zero, %r : vector<16x32xf32>
  %d = kernel.mma %a, %b, %s unit "m16n16k16.f32.f16" : memref<16x16xf16, 3>, memref<16x32xf16, 3>, vector<16x32xf32>
  vector.transfer_write %d, %y[%c0, %c0] {in_bounds = [true, true]} : vector<16x32xf32>, memref<16x32xf32>
  kernel.return
}

// -----

/// A layout that is not the unit's.
#grid = affine_map<() -> (1)>
#rows = #kernel.layout<register = [1, 2], lane = [4, 8, 16, 32, 64, 128], subgroup = []>
#other = #kernel.layout<register = [1, 2], lane = [32, 16, 64, 128, 4, 8], subgroup = []>
kernel.func @neg_operand form(tiled) in %x: memref<16x16xf16>, out %y: memref<16x16xf32> grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %pad = arith.constant 0.0 : f16
  %zero = arith.constant dense<0.0> : vector<16x16xf32>
  %w = kernel.alloc : memref<16x16xf16, 3>
  %a = vector.transfer_read %x[%c0, %c0], %pad {in_bounds = [true, true]} : memref<16x16xf16>, vector<16x16xf16>
  %r = kernel.relayout %a from #rows to #other : vector<16x16xf16>
  // expected-error@+1 {{wants A and B in workgroup memory, row-major or turned, or in registers as m16n16k16.f32.f16 has them}}
  %d = kernel.mma %r, %w, %zero unit "m16n16k16.f32.f16" : vector<16x16xf16>, memref<16x16xf16, 3>, vector<16x16xf32>
  kernel.return
}

// -----

/// One tile cannot lie in two ways.
#grid = affine_map<() -> (1)>
#rows = #kernel.layout<register = [1, 2], lane = [4, 8, 16, 32, 64, 128], subgroup = []>
#other = #kernel.layout<register = [1, 2], lane = [32, 16, 64, 128, 4, 8], subgroup = []>
kernel.func @neg_twice form(tiled) in %x: memref<16x16xf16>, out %y: memref<16x16xf16> grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %pad = arith.constant 0.0 : f16
  %a = vector.transfer_read %x[%c0, %c0], %pad {in_bounds = [true, true]} : memref<16x16xf16>, vector<16x16xf16>
  %r = kernel.relayout %a from #rows to #other : vector<16x16xf16>
  // expected-error@+1 {{needs a tile in another layout than it has}}
  %s = kernel.relayout %a from #other to #rows : vector<16x16xf16>
  kernel.return
}

// -----

/// Lanes of a wave of 32.
#grid = affine_map<() -> (1)>
#rows = #kernel.layout<register = [1, 2, 4], lane = [8, 16, 32, 64, 128], subgroup = []>
#other = #kernel.layout<register = [1, 2, 4], lane = [16, 8, 32, 64, 128], subgroup = []>
kernel.func @neg_wave form(tiled) in %x: memref<16x16xf16>, out %y: memref<16x16xf16> grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %pad = arith.constant 0.0 : f16
  // expected-error@+1 {{has a tile that cannot be dealt to 64 lanes}}
  %a = vector.transfer_read %x[%c0, %c0], %pad {in_bounds = [true, true]} : memref<16x16xf16>, vector<16x16xf16>
  %r = kernel.relayout %a from #rows to #other : vector<16x16xf16>
  kernel.return
}
