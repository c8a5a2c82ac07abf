// REQUIRES: ist-kernel
// RUN: ist-kernel %s --target=nvidia:sm_80 -o %t.ptx
// RUN: FileCheck %s --check-prefix=PTX --input-file=%t.ptx
// RUN: ist-kernel %s --target=intel:spirv64 -o %t.spv
// RUN: spirv-dis %t.spv | FileCheck %s --check-prefix=SPV

// What may be one fused step is one, whoever uses the product as well; what may
// not rounds twice.
#grid = affine_map<() -> (1)>
// PTX-LABEL: .visible .entry may(
// PTX: mul{{.*}}.f32
// PTX-NOT: {{add|sub}}.
// PTX-COUNT-3: fma.rn.f32
// PTX-NOT: {{add|sub}}.{{.*}}f32
// SPV: ExtInst {{.*}} fma
// SPV: ExtInst {{.*}} fma
// SPV: ExtInst {{.*}} fma
kernel.func @may form(tiled) in %x: memref<64xf32>, in %s: memref<64xf32>, out %y: memref<4x64xf32> grid(#grid) group 32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  scf.forall (%i) in (64) {
    %a = memref.load %x[%i] : memref<64xf32>
    %b = memref.load %s[%i] : memref<64xf32>
    %m = arith.mulf %a, %b fastmath<contract> : f32
    %p = arith.addf %m, %a fastmath<contract> : f32
    %q = arith.subf %b, %m fastmath<contract> : f32
    %r = arith.subf %m, %b fastmath<contract> : f32
    memref.store %m, %y[%c0, %i] : memref<4x64xf32>
    memref.store %p, %y[%c1, %i] : memref<4x64xf32>
    memref.store %q, %y[%c2, %i] : memref<4x64xf32>
    memref.store %r, %y[%c3, %i] : memref<4x64xf32>
  }
  kernel.return
}

// PTX-LABEL: .visible .entry mayNot(
// PTX-NOT: fma
// PTX: mul{{.*}}.f32
// PTX: add{{.*}}.f32
kernel.func @mayNot form(tiled) in %x: memref<64xf32>, in %s: memref<64xf32>, out %y: memref<64xf32> grid(#grid) group 32 {
  scf.forall (%i) in (64) {
    %a = memref.load %x[%i] : memref<64xf32>
    %b = memref.load %s[%i] : memref<64xf32>
    %m = arith.mulf %a, %b : f32
    %p = arith.addf %m, %a fastmath<contract> : f32
    memref.store %p, %y[%i] : memref<64xf32>
  }
  kernel.return
}
