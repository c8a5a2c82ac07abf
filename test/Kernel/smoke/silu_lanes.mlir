// RUN: ist-opt %s | ist-opt | FileCheck %s

// y = x / (1 + exp(-x)): four elements a lane, as one vector where all four are
// there.
#grid = affine_map<()[s0] -> (s0 ceildiv 1024)>
kernel.func @silu form(lanes) sizes(%n in 1 to 1073741824)
    in %x: memref<?xf32>{%n} align 16, out %y: memref<?xf32>{%n} align 16 grid(#grid) group 256 {
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c1024 = arith.constant 1024 : index
  %one = arith.constant 1.0 : f32
  %ones = arith.constant dense<1.0> : vector<4xf32>
  %g = kernel.group_id
  %lane = kernel.lane_id
  %base = arith.muli %g, %c1024 : index
  %mine = arith.muli %lane, %c4 : index
  %begin = arith.addi %base, %mine : index
  %end = arith.addi %begin, %c4 : index
  %whole = arith.cmpi ule, %end, %n : index
  scf.if %whole {
    %v = vector.load %x[%begin] {alignment = 16} : memref<?xf32>, vector<4xf32>
    %m = arith.negf %v : vector<4xf32>
    %e = math.exp %m : vector<4xf32>
    %d = arith.addf %e, %ones : vector<4xf32>
    %r = arith.divf %v, %d : vector<4xf32>
    vector.store %r, %y[%begin] {alignment = 16} : memref<?xf32>, vector<4xf32>
  } else {
    scf.for %i = %begin to %n step %c1 {
      %v = memref.load %x[%i] : memref<?xf32>
      %m = arith.negf %v : f32
      %e = math.exp %m : f32
      %d = arith.addf %e, %one : f32
      %r = arith.divf %v, %d : f32
      memref.store %r, %y[%i] : memref<?xf32>
    }
  }
  kernel.return
}

// CHECK: kernel.func @silu form(lanes)
// CHECK: vector.load
