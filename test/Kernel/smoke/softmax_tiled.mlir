// RUN: ist-opt %s | ist-opt | FileCheck %s

// softmax_lanes.mlir for targets that stop at form(tiled).
#grid = affine_map<()[s0, s1] -> (s0)>
kernel.func @softmax form(tiled) sizes(%m in 1 to 65536, %n in 1 to 1048576)
    in %x: memref<?x?xf32>{%m, %n}, out %y: memref<?x?xf32>{%m, %n} grid(#grid) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %row = kernel.group_id
  %max = scf.for %j = %c0 to %n step %c1 iter_args(%acc = %lowest) -> f32 {
    %v = memref.load %x[%row, %j] : memref<?x?xf32>
    %a = arith.maximumf %acc, %v : f32
    scf.yield %a : f32
  }
  %sum = scf.for %j = %c0 to %n step %c1 iter_args(%acc = %zero) -> f32 {
    %v = memref.load %x[%row, %j] : memref<?x?xf32>
    %d = arith.subf %v, %max : f32
    %e = math.exp %d : f32
    %a = arith.addf %acc, %e : f32
    scf.yield %a : f32
  }
  scf.forall (%j) in (%n) {
    %v = memref.load %x[%row, %j] : memref<?x?xf32>
    %d = arith.subf %v, %max : f32
    %e = math.exp %d : f32
    %r = arith.divf %e, %sum : f32
    memref.store %r, %y[%row, %j] : memref<?x?xf32>
  }
  kernel.return
}

// CHECK: kernel.func @softmax form(tiled)
