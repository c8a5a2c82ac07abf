// REQUIRES: ist-kernel
// RUN: ist-kernel %s --target=intel:spirv64 -o %t.spv
// RUN: spirv-dis %t.spv | FileCheck %s --implicit-check-not=_255

// LLVM makes an integer of 2 bits of a remainder by 4 in a loop, and its SPIR-V
// backend 8 bits of that: the mask must stay 3.
// CHECK: OpBitwiseAnd %[[T:uint|ulong]] %{{.*}} %[[T]]_3{{$}}
#grid = affine_map<() -> (1)>
kernel.func @remainder form(tiled) in %x: memref<12x18xf32>, out %y: memref<3x4x18xf32> grid(#grid) group 32 {
  %c4 = arith.constant 4 : index
  scf.forall (%i, %j) in (12, 18) {
    %v = memref.load %x[%i, %j] : memref<12x18xf32>
    %r = arith.remui %i, %c4 : index
    %q = arith.divui %i, %c4 : index
    memref.store %v, %y[%q, %r, %j] : memref<3x4x18xf32>
  }
  kernel.return
}
