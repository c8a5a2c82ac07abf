// RUN: ist-opt %s | ist-opt | FileCheck %s
// RUN: ist-opt %s --mlir-print-op-generic | ist-opt | FileCheck %s
// RUN: ist-opt %s --emit-bytecode | ist-opt | FileCheck %s
/// Every op and attribute of the dialect, in each spelling that is optional.

#g0 = affine_map<() -> (7)>
#g2 = affine_map<()[s0, s1] -> ((s0 ceildiv 4) * s1)>
#from = #kernel.layout<register = [1, 2], lane = [4, 8], subgroup = []>
#to = #kernel.layout<register = [], lane = [1, 2, 4], subgroup = [8, 0]>

// CHECK-LABEL: kernel.func @nothing form(tensor) {
kernel.func @nothing form(tensor) {
  kernel.return
}

// CHECK-LABEL: kernel.func @sizes form(tensor)
// CHECK-SAME: sizes(%{{.*}}, %{{.*}} in 1 to 8) attributes {note = "kept"} {
kernel.func @sizes form(tensor) sizes(%m, %n in 1 to 8) attributes {note = "kept"} {
  kernel.return
}

// CHECK-LABEL: kernel.func @bindings form(tiled)
// CHECK-SAME: sizes(%[[M:.*]] in 0 to 9, %[[N:[^ ]+]])
// CHECK-SAME: in %{{[^ ]+}}: memref<?x4x?xf16>{%[[N]], %[[M]]} align 128,
// CHECK-SAME: inout %{{[^ ]+}}: memref<4xi1>, out %{{[^ ]+}}: memref<bf16> grid(#{{.*}}) plan "p" {
kernel.func @bindings form(tiled) sizes(%m in 0 to 9, %n) in %x: memref<?x4x?xf16>{%n, %m} align 128,
    inout %s: memref<4xi1>, out %y: memref<bf16> grid(#g2) plan "p" {
  // CHECK: kernel.group_id
  %g = kernel.group_id
  // CHECK: kernel.fail_if %{{.*}}, "no \22quotes\22 lost"
  %c0 = arith.constant 0 : index
  %c = memref.load %s[%c0] : memref<4xi1>
  kernel.fail_if %c, "no \"quotes\" lost"
  kernel.return
}

// CHECK-LABEL: kernel.func @tiles form(tiled) in %{{.*}} grid(#{{.*}}) group 64 {
kernel.func @tiles form(tiled) in %x: memref<64x64xf16> grid(#g0) group 64 {
  %c0 = arith.constant 0 : index
  %a = arith.constant dense<1.0> : vector<4x4xf16>
  %acc = arith.constant dense<1.0> : vector<4x4xf32>
  // CHECK: kernel.mma %{{.*}}, %{{.*}}, %{{.*}} : vector<4x4xf16>, vector<4x4xf16>, vector<4x4xf32>
  %r = kernel.mma %a, %a, %acc : vector<4x4xf16>, vector<4x4xf16>, vector<4x4xf32>
  // CHECK: kernel.alloc : memref<4x4xf16, 3>
  %t = kernel.alloc : memref<4x4xf16, 3>
  // CHECK: kernel.mma {{.*}} unit "u" : memref<4x4xf16, 3>, vector<4x4xf16>, vector<4x4xf32>
  %q = kernel.mma %t, %a, %r unit "u" : memref<4x4xf16, 3>, vector<4x4xf16>, vector<4x4xf32>
  // CHECK: kernel.relayout %{{.*}} from <register = [1, 2], lane = [4, 8], subgroup = []> to <register = [], lane = [1, 2, 4], subgroup = [8, 0]> : vector<4x4xf32>
  %l = kernel.relayout %q from #from to #to : vector<4x4xf32>
  // CHECK: %[[R:.*]] = kernel.ring : <2 x (memref<4x4xf16, 3>, memref<8xf16, 3>)>
  %ring = kernel.ring : !kernel.ring<2 x (memref<4x4xf16, 3>, memref<8xf16, 3>)>
  // CHECK: kernel.roles producers 1 {
  kernel.roles producers 1 {
    // CHECK: %[[T:.*]]:2 = kernel.ring_acquire %[[R]][%{{.*}}] : <2 x (
    %p, %s = kernel.ring_acquire %ring[%c0] : !kernel.ring<2 x (memref<4x4xf16, 3>, memref<8xf16, 3>)>
    // CHECK: kernel.async_copy %{{.*}}[%{{.*}}, %{{.*}}] to %[[T]]#0 : memref<64x64xf16> to memref<4x4xf16, 3>
    kernel.async_copy %x[%c0, %c0] to %p : memref<64x64xf16> to memref<4x4xf16, 3>
    /// A tile of lower rank is a box with leading dims of 1.
    // CHECK: kernel.async_copy %{{.*}}[%{{.*}}, %{{.*}}] to %[[T]]#1 : memref<64x64xf16> to memref<8xf16, 3>
    kernel.async_copy %x[%c0, %c0] to %s : memref<64x64xf16> to memref<8xf16, 3>
    // CHECK: kernel.ring_commit %[[R]]
    kernel.ring_commit %ring[%c0] : !kernel.ring<2 x (memref<4x4xf16, 3>, memref<8xf16, 3>)>
  // CHECK: } consumers 2 {
  } consumers 2 {
    // CHECK: kernel.ring_wait %[[R]]
    %p, %s = kernel.ring_wait %ring[%c0] : !kernel.ring<2 x (memref<4x4xf16, 3>, memref<8xf16, 3>)>
    // CHECK: kernel.ring_release %[[R]]
    kernel.ring_release %ring[%c0] : !kernel.ring<2 x (memref<4x4xf16, 3>, memref<8xf16, 3>)>
  }
  kernel.return
}

// CHECK-LABEL: kernel.func @lanes form(lanes) grid(#{{.*}}) group 32 {
kernel.func @lanes form(lanes) grid(#g0) group 32 {
  // CHECK: kernel.lane_id
  %l = kernel.lane_id
  // CHECK: kernel.barrier
  kernel.barrier
  // CHECK: memref.alloca() : memref<4xf32, 5>
  %m = memref.alloca() : memref<4xf32, 5>
  %v = arith.constant dense<1.0> : vector<4x4xf32>
  // CHECK: kernel.relayout
  %r = kernel.relayout %v from #from to #to : vector<4x4xf32>
  kernel.return
}

// CHECK-LABEL: kernel.func @each form(tiled)
kernel.func @each form(tiled) in %x: memref<64x64xf16>, out %y: memref<16x16xf32> grid(#g0) group 32 {
  %c0 = arith.constant 0 : index
  %yes = arith.constant true
  %tile = kernel.alloc : memref<8x8xf16, 3>
  // CHECK: kernel.async_run %{{.*}}[%{{.*}}, %{{.*}}] to %{{.*}}[%{{.*}}, %{{.*}}] count 8 if %{{.*}} : memref<64x64xf16> to memref<8x8xf16, 3>
  kernel.async_run %x[%c0, %c0] to %tile[%c0, %c0] count 8 if %yes : memref<64x64xf16> to memref<8x8xf16, 3>
  %v = arith.constant dense<1.0> : vector<16x16xf32>
  // CHECK: kernel.each %{{.*}} : vector<16x16xf32> {
  // CHECK-NEXT: ^bb0(%[[I:.*]]: index, %[[J:.*]]: index, %[[V:.*]]: f32):
  // CHECK-NEXT: memref.store %[[V]], %{{.*}}[%[[I]], %[[J]]]
  kernel.each %v : vector<16x16xf32> {
  ^bb0(%i: index, %j: index, %e: f32):
    memref.store %e, %y[%i, %j] : memref<16x16xf32>
  }
  kernel.return
}

// CHECK-LABEL: kernel.func @units form(lanes)
kernel.func @units form(lanes) grid(#g0) group 32 {
  %c0 = arith.constant 0 : index
  %tile = kernel.alloc : memref<16x16xf16, 3>
  // CHECK: kernel.async_commit
  kernel.async_commit
  // CHECK: kernel.async_wait 1
  kernel.async_wait 1
  // CHECK: kernel.load_matrices %{{.*}}[%{{.*}}, %{{.*}}] : memref<16x16xf16, 3> -> vector<8xf16>
  %a = kernel.load_matrices %tile[%c0, %c0] : memref<16x16xf16, 3> -> vector<8xf16>
  // CHECK: kernel.load_matrices %{{.*}}[%{{.*}}, %{{.*}}] transposed : memref<16x16xf16, 3> -> vector<4xf16>
  %b = kernel.load_matrices %tile[%c0, %c0] transposed : memref<16x16xf16, 3> -> vector<4xf16>
  %c = arith.constant dense<0.0> : vector<4xf32>
  // CHECK: kernel.lane_mma %{{.*}}, %{{.*}}, %{{.*}} unit "m16n8k16.f32.f16" : vector<8xf16>, vector<4xf16>, vector<4xf32>
  %d = kernel.lane_mma %a, %b, %c unit "m16n8k16.f32.f16" : vector<8xf16>, vector<4xf16>, vector<4xf32>
  kernel.return
}
