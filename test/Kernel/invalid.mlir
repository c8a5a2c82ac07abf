// RUN: ist-opt %s --split-input-file --verify-diagnostics

// --- types and attributes ---------------------------------------------------

// expected-error@+1 {{register offset 3 is not a power of two}}
func.func private @f() attributes {l = #kernel.layout<register = [3], lane = [], subgroup = []>}

// -----

// expected-error@+1 {{register offset 0 is not a power of two}}
func.func private @f() attributes {l = #kernel.layout<register = [0], lane = [], subgroup = []>}

// -----

// expected-error@+1 {{register offset 2 appears twice}}
func.func private @f() attributes {l = #kernel.layout<register = [2, 2], lane = [], subgroup = []>}

// -----

// expected-error@+1 {{offset -1 is negative}}
func.func private @f() attributes {l = #kernel.layout<register = [], lane = [-1], subgroup = []>}

// -----

// expected-error@+1 {{ring depth must be at least 1, got 0}}
func.func private @f(!kernel.ring<0 x (memref<4xf32, 3>)>)

// -----

// expected-error@+1 {{ring slot has no tiles}}
func.func private @f(!kernel.ring<1 x ()>)

// -----

// expected-error@+1 {{ring tile 'memref<4xf32>' must be a static memref in memory space 3}}
func.func private @f(!kernel.ring<1 x (memref<4xf32>)>)

// -----

// expected-error@+1 {{ring tile 'memref<?xf32, 3>' must be a static memref in memory space 3}}
func.func private @f(!kernel.ring<1 x (memref<?xf32, 3>)>)

// -----

// expected-error@+1 {{ring tile 'f32' must be a static memref in memory space 3}}
func.func private @f(!kernel.ring<1 x (f32)>)

// -----

// --- the function -------------------------------------------------------------

// expected-error@+1 {{expected tensor, tiled or lanes}}
kernel.func @f form(serial) {
  kernel.return
}

// -----

// expected-error@+1 {{is not one of the kernel's sizes}}
kernel.func @f form(tensor) sizes(%n) in %x: memref<?xf32>{%m} {
  kernel.return
}

// -----

// expected-error@+1 {{'kernel.func' op attribute lists differ in length}}
"kernel.func"() <{sym_name = "f", form = 0 : i32, size_min = array<i64: 0>, size_max = array<i64>, access = array<i32>, binding_dims = [], align = array<i64>}> ({
^bb0(%n: index):
  kernel.return
}) : () -> ()

// -----

// expected-error@+1 {{'kernel.func' op body takes 2 arguments, needs 1}}
"kernel.func"() <{sym_name = "f", form = 0 : i32, size_min = array<i64: 0>, size_max = array<i64: 1>, access = array<i32>, binding_dims = [], align = array<i64>}> ({
^bb0(%n: index, %m: index):
  kernel.return
}) : () -> ()

// -----

// expected-error@+1 {{'kernel.func' op size 0 must be an index}}
"kernel.func"() <{sym_name = "f", form = 0 : i32, size_min = array<i64: 0>, size_max = array<i64: 1>, access = array<i32>, binding_dims = [], align = array<i64>}> ({
^bb0(%n: i64):
  kernel.return
}) : () -> ()

// -----

// expected-error@+1 {{'kernel.func' op size 0 has an empty range}}
kernel.func @f form(tensor) sizes(%n in 4 to 3) {
  kernel.return
}

// -----

// expected-error@+1 {{'kernel.func' op size 0 has an empty range}}
kernel.func @f form(tensor) sizes(%n in -1 to 3) {
  kernel.return
}

// -----

// expected-error@+1 {{'kernel.func' op binding 0 must be a memref}}
"kernel.func"() <{sym_name = "f", form = 0 : i32, size_min = array<i64>, size_max = array<i64>, access = array<i32: 0>, binding_dims = [array<i64>], align = array<i64: 0>}> ({
^bb0(%x: tensor<4xf32>):
  kernel.return
}) : () -> ()

// -----

// expected-error@+1 {{'kernel.func' op binding 0 has an unknown access}}
"kernel.func"() <{sym_name = "f", form = 0 : i32, size_min = array<i64>, size_max = array<i64>, access = array<i32: 3>, binding_dims = [array<i64>], align = array<i64: 0>}> ({
^bb0(%x: memref<4xf32>):
  kernel.return
}) : () -> ()

// -----

// expected-error@+1 {{'kernel.func' op binding 0 names 1 sizes, has 2 dynamic dims}}
kernel.func @f form(tensor) sizes(%n) in %x: memref<?x?xf32>{%n} {
  kernel.return
}

// -----

// expected-error@+1 {{'kernel.func' op binding 0 names a size that is not}}
"kernel.func"() <{sym_name = "f", form = 0 : i32, size_min = array<i64>, size_max = array<i64>, access = array<i32: 0>, binding_dims = [array<i64: 0>], align = array<i64: 0>}> ({
^bb0(%x: memref<?xf32>):
  kernel.return
}) : () -> ()

// -----

// expected-error@+1 {{'kernel.func' op binding 0 align must be a power of two, got 24}}
kernel.func @f form(tensor) in %x: memref<4xf32> align 24 {
  kernel.return
}

// -----

// --- the three forms ------------------------------------------------------------

#g = affine_map<() -> (1)>
// expected-error@+1 {{'kernel.func' op form(tensor) has no grid and no group}}
kernel.func @f form(tensor) grid(#g) {
  kernel.return
}

// -----

// expected-error@+1 {{'kernel.func' op form(tensor) has no grid and no group}}
kernel.func @f form(tensor) group 32 {
  kernel.return
}

// -----

// expected-error@+1 {{'kernel.func' op form(tiled) needs a grid}}
kernel.func @f form(tiled) {
  kernel.return
}

// -----

// expected-error@+1 {{'kernel.func' op form(lanes) needs a grid}}
kernel.func @f form(lanes) group 32 {
  kernel.return
}

// -----

#g = affine_map<()[s0] -> (s0)>
// expected-error@+1 {{'kernel.func' op grid must map the 2 sizes, as symbols, to one number}}
kernel.func @f form(tiled) sizes(%m, %n) grid(#g) {
  kernel.return
}

// -----

#g = affine_map<(d0) -> (d0)>
// expected-error@+1 {{'kernel.func' op grid must map the 1 sizes, as symbols, to one number}}
kernel.func @f form(tiled) sizes(%m) grid(#g) {
  kernel.return
}

// -----

#g = affine_map<()[s0] -> (s0, s0)>
// expected-error@+1 {{'kernel.func' op grid must map the 1 sizes, as symbols, to one number}}
kernel.func @f form(tiled) sizes(%m) grid(#g) {
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
// expected-error@+1 {{'kernel.func' op form(lanes) needs a group size}}
kernel.func @f form(lanes) grid(#g) {
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
// expected-error@+1 {{'kernel.func' op group must be at least 1, got 0}}
kernel.func @f form(tiled) grid(#g) group 0 {
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @tensors_after_tiling form(tiled) grid(#g) {
  // expected-error@+1 {{'tensor.empty' op is not allowed in form(tiled)}}
  %t = tensor.empty() : tensor<4xf32>
  kernel.return
}

// -----

kernel.func @vendor_ops form(tensor) {
  // expected-error@+1 {{'gpu.barrier' op is not allowed in form(tensor)}}
  gpu.barrier
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @lanes_in_tiled form(tiled) grid(#g) {
  // expected-error@+1 {{'kernel.lane_id' op is not allowed in form(tiled)}}
  %l = kernel.lane_id
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @barrier_in_tiled form(tiled) grid(#g) {
  // expected-error@+1 {{'kernel.barrier' op is not allowed in form(tiled)}}
  kernel.barrier
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @tiles_in_lanes form(lanes) grid(#g) group 32 {
  // expected-error@+1 {{'kernel.ring' op is not allowed in form(lanes)}}
  %r = kernel.ring : !kernel.ring<1 x (memref<4xf32, 3>)>
  kernel.return
}

// -----

kernel.func @grid_in_tensor form(tensor) {
  // expected-error@+1 {{'kernel.group_id' op is not allowed in form(tensor)}}
  %g = kernel.group_id
  kernel.return
}

// -----

kernel.func @memory_in_tensor form(tensor) {
  // expected-error@+1 {{'kernel.alloc' op is not allowed in form(tensor)}}
  %m = kernel.alloc : memref<4xf32, 3>
  kernel.return
}

// -----

/// Isolated: a kernel sees what it is bound to and nothing else.
func.func @f() {
  kernel.func @inner form(tensor) {
    // expected-error@+1 {{use of undeclared SSA value name}}
    %y = arith.addf %x, %x : f32
    kernel.return
  }
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{'kernel.return' op expects parent op 'kernel.func'}}
  kernel.return
}

// -----

// --- memory and rings -------------------------------------------------------------

#g = affine_map<() -> (1)>
kernel.func @f form(tiled) grid(#g) {
  // expected-error@+1 {{workgroup memory is a static memref in memory space 3, got 'memref<4xf32>'}}
  %m = kernel.alloc : memref<4xf32>
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @f form(tiled) grid(#g) {
  // expected-error@+1 {{'kernel.alloc' op workgroup memory has constant strides and begins at its first element, got 'memref<4x4xf32, strided<[8, 1], offset: 2>, 3>'}}
  %m = kernel.alloc : memref<4x4xf32, strided<[8, 1], offset: 2>, 3>
  kernel.return
}

// -----

#g = affine_map<()[s0] -> (s0)>
kernel.func @f form(tiled) sizes(%n) in %x: memref<?xf32>{%n} grid(#g) {
  %c0 = arith.constant 0 : index
  %m = kernel.alloc : memref<4xf16, 3>
  // expected-error@+1 {{source and tile differ in element type}}
  kernel.async_copy %x[%c0] to %m : memref<?xf32> to memref<4xf16, 3>
  kernel.return
}

// -----

#g = affine_map<()[s0] -> (s0)>
kernel.func @f form(tiled) sizes(%n) in %x: memref<?xf32>{%n} grid(#g) {
  %c0 = arith.constant 0 : index
  %m = kernel.alloc : memref<4xf32, 3>
  // expected-error@+1 {{needs 1 indices, has 2}}
  kernel.async_copy %x[%c0, %c0] to %m : memref<?xf32> to memref<4xf32, 3>
  kernel.return
}

// -----

#g = affine_map<()[s0] -> (s0)>
kernel.func @f form(tiled) sizes(%n) in %x: memref<?xf32>{%n} grid(#g) {
  %c0 = arith.constant 0 : index
  %m = kernel.alloc : memref<2x2xf32, 3>
  // expected-error@+1 {{tile has a higher rank than the source}}
  kernel.async_copy %x[%c0] to %m : memref<?xf32> to memref<2x2xf32, 3>
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @f form(tiled) in %x: memref<4xf32>, out %y: memref<4xf32> grid(#g) {
  %c0 = arith.constant 0 : index
  // expected-error@+1 {{tile must be a static memref in memory space 3, got 'memref<4xf32>'}}
  kernel.async_copy %x[%c0] to %y : memref<4xf32> to memref<4xf32>
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @f form(tiled) grid(#g) {
  %c0 = arith.constant 0 : index
  %r = kernel.ring : !kernel.ring<1 x (memref<4xf32, 3>)>
  // expected-error@+1 {{results must be the tiles of '!kernel.ring<1 x (memref<4xf32, 3>)>'}}
  %t = "kernel.ring_acquire"(%r, %c0) : (!kernel.ring<1 x (memref<4xf32, 3>)>, index) -> memref<8xf32, 3>
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @f form(tiled) grid(#g) {
  %c0 = arith.constant 0 : index
  %r = kernel.ring : !kernel.ring<1 x (memref<4xf32, 3>)>
  // expected-error@+1 {{results must be the tiles of '!kernel.ring<1 x (memref<4xf32, 3>)>'}}
  "kernel.ring_wait"(%r, %c0) : (!kernel.ring<1 x (memref<4xf32, 3>)>, index) -> ()
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @f form(tiled) grid(#g) {
  // expected-error@+1 {{needs at least one producer and one consumer subgroup}}
  kernel.roles producers 0 {
  } consumers 1 {
  }
  kernel.return
}

// -----

// --- memory -----------------------------------------------------------------

#g = affine_map<() -> (1)>
// expected-error@+1 {{binding 0 must be row-major and in no memory space}}
kernel.func @f form(tiled) in %x: memref<4xf32, 3> grid(#g) {
  kernel.return
}

// -----

// expected-error@+1 {{binding 0 must be row-major and in no memory space}}
kernel.func @f form(tensor) in %x: memref<4x4xf32, strided<[1, 4]>> {
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @f form(lanes) grid(#g) group 32 {
  // expected-error@+1 {{must be in memory space 5, a lane's own memory}}
  %m = memref.alloca() : memref<4xf32>
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @f form(lanes) grid(#g) group 32 {
  // expected-error@+1 {{is not allowed in form(lanes)}}
  %m = memref.alloc() : memref<4xf32>
  kernel.return
}

// -----

// --- tiles ----------------------------------------------------------------------

#g = affine_map<() -> (1)>
kernel.func @f form(tiled) grid(#g) {
  %a = arith.constant dense<1.0> : vector<4xf32>
  // expected-error@+1 {{operands must have rank 2}}
  %r = kernel.mma %a, %a, %a : vector<4xf32>, vector<4xf32>, vector<4xf32>
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
kernel.func @f form(tiled) grid(#g) {
  %a = arith.constant dense<1.0> : vector<4x8xf32>
  %b = arith.constant dense<1.0> : vector<4x4xf32>
  // expected-error@+1 {{shapes do not agree: 'vector<4x8xf32>' * 'vector<4x4xf32>' + 'vector<4x4xf32>'}}
  %r = kernel.mma %a, %b, %b : vector<4x8xf32>, vector<4x4xf32>, vector<4x4xf32>
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
#l = #kernel.layout<register = [1], lane = [], subgroup = []>
kernel.func @f form(tiled) grid(#g) {
  %a = arith.constant dense<1.0> : vector<6xf32>
  // expected-error@+1 {{tile must have a power of two of elements}}
  %b = kernel.relayout %a from #l to #l : vector<6xf32>
  kernel.return
}

// -----

#g = affine_map<() -> (1)>
#in = #kernel.layout<register = [1, 2], lane = [], subgroup = []>
#out = #kernel.layout<register = [1], lane = [4], subgroup = []>
kernel.func @f form(tiled) grid(#g) {
  %a = arith.constant dense<1.0> : vector<4xf32>
  // expected-error@+1 {{layout offset 4 is outside the tile's 4 elements}}
  %b = kernel.relayout %a from #in to #out : vector<4xf32>
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @shuffle_distance form(lanes) out %y: memref<1xi32> grid(#grid) group 32 {
  %v = arith.constant 1 : i32
  %w = kernel.shuffle %v xor 3 // expected-error {{distance must be a power of two, got 3}}
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @shuffle_form form(tiled) out %y: memref<1xi32> grid(#grid) group 32 {
  %v = arith.constant 1 : i32
  %w = kernel.shuffle %v xor 4 // expected-error {{is not allowed in form(tiled)}}
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @each_arguments form(tiled) grid(#grid) group 32 {
  %v = arith.constant dense<1.0> : vector<16x16xf32>
  // expected-error@+1 {{body takes an index for each dim of 'vector<16x16xf32>' and an element}}
  kernel.each %v : vector<16x16xf32> {
  ^bb0(%i: index, %e: f32):
  }
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @run_bytes form(lanes) in %x: memref<64xf16> grid(#grid) group 32 {
  %c0 = arith.constant 0 : index
  %yes = arith.constant true
  %tile = kernel.alloc : memref<64xf16, 3>
  // expected-error@+1 {{copies 4, 8 or 16 bytes, not 6}}
  kernel.async_run %x[%c0] to %tile[%c0] count 3 if %yes : memref<64xf16> to memref<64xf16, 3>
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @run_space form(lanes) in %x: memref<64xf16>, out %y: memref<64xf16> grid(#grid) group 32 {
  %c0 = arith.constant 0 : index
  %yes = arith.constant true
  // expected-error@+1 {{tile must be in memory space 3, got 'memref<64xf16>'}}
  kernel.async_run %x[%c0] to %y[%c0] count 8 if %yes : memref<64xf16> to memref<64xf16>
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @matrices_transposed form(lanes) grid(#grid) group 32 {
  %c0 = arith.constant 0 : index
  %tile = kernel.alloc : memref<16x16xi8, 3>
  // expected-error@+1 {{transposes elements of 2 bytes, not 'i8'}}
  %a = kernel.load_matrices %tile[%c0, %c0] transposed : memref<16x16xi8, 3> -> vector<16xi8>
  kernel.return
}

// -----

#grid = affine_map<() -> (1)>
kernel.func @matrices_count form(lanes) grid(#grid) group 32 {
  %c0 = arith.constant 0 : index
  %tile = kernel.alloc : memref<16x16xi8, 3>
  // expected-error@+1 {{results in 4, 8 or 16 bytes a lane, not 'vector<3xi8>'}}
  %a = kernel.load_matrices %tile[%c0, %c0] : memref<16x16xi8, 3> -> vector<3xi8>
  kernel.return
}
