// REQUIRES: ist-kernel
// RUN: ist-kernel %s --target=intel:spirv64 -o %t.spv
// RUN: spirv-dis %t.spv | FileCheck %s --implicit-check-not=OpBitReverse

/// Three dims of two in reverse order: LLVM reverses 3 bits of the index, which
/// SPIR-V has no integer for. The middle one stays, the last becomes the first.
// CHECK-DAG: OpShiftLeftLogical %{{uint|ulong}} %{{.*}} %{{.*}}_2{{$}}
// CHECK-DAG: OpBitwiseOr
#grid = affine_map<() -> (1)>
kernel.func @reversal form(tiled) in %x: memref<2x2x2xf32>, out %y: memref<2x2x2xf32> grid(#grid) group 32 {
  scf.forall (%i) in (8) {
    %c2 = arith.constant 2 : index
    %a = arith.remui %i, %c2 : index
    %p = arith.divui %i, %c2 : index
    %b = arith.remui %p, %c2 : index
    %c = arith.divui %p, %c2 : index
    %v = memref.load %x[%a, %b, %c] : memref<2x2x2xf32>
    memref.store %v, %y[%c, %b, %a] : memref<2x2x2xf32>
  }
  kernel.return
}
