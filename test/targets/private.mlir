// RUN: ist-kernel %s --target=nvidia:sm_80 -o - | FileCheck %s --check-prefix=PTX
// RUN: ist-kernel %s --target=amd:gfx942 -o %t.hsaco
// RUN: llvm-readelf --notes %t.hsaco | FileCheck %s --check-prefix=NOTE
// RUN: ist-kernel %s --target=intel:spirv64 -o %t.spv
// RUN: spirv-val --target-env opencl2.2 %t.spv
// RUN: spirv-dis %t.spv | FileCheck %s --check-prefix=SPV
// REQUIRES: ist-kernel

// A lane's own memory, indexed by what only the run knows.
#grid = affine_map<()[s0] -> (s0 ceildiv 64)>
kernel.func @own form(lanes) sizes(%n in 1 to 1024) in %x: memref<?xi64>{%n},
    out %y: memref<?xi64>{%n} grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  %g = kernel.group_id
  %lane = kernel.lane_id
  %base = arith.muli %g, %c64 : index
  %i = arith.addi %base, %lane : index
  %mine = arith.cmpi ult, %i, %n : index
  scf.if %mine {
    %m = memref.alloca() : memref<8xi64, 5>
    scf.for %j = %c0 to %n step %c1 {
      %v = memref.load %x[%j] : memref<?xi64>
      %u = arith.index_cast %v : i64 to index
      %at = arith.remui %u, %c8 : index
      memref.store %v, %m[%at] : memref<8xi64, 5>
    }
    %at = arith.remui %lane, %c8 : index
    %v = memref.load %m[%at] : memref<8xi64, 5>
    memref.store %v, %y[%i] : memref<?xi64>
  }
  kernel.return
}

// PTX: .local .align 8 .b8 {{.*}}[64]
// PTX: ld.global.nc.b64
// NOTE: .private_segment_fixed_size: {{[1-9]}}
// SPV: OpVariable %_ptr_Function_{{.*}} Function
