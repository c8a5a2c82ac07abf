// RUN: ist-opt %s | ist-opt | FileCheck %s

// The last rung of the ladder: one workgroup, one thread of control.

// NonZero of a vector: how many there are is data, so the output is as large as
// the input may need, with the count beside it.
#one = affine_map<()[s0] -> (1)>
kernel.func @nonzero form(tiled) sizes(%n in 0 to 1048576) in %x: memref<?xf32>{%n},
    out %y: memref<1x?xi64>{%n}, out %count: memref<i64> grid(#one) plan "serial" {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %found = scf.for %i = %c0 to %n step %c1 iter_args(%k = %c0) -> index {
    %v = memref.load %x[%i] : memref<?xf32>
    %is = arith.cmpf une, %v, %zero : f32
    %next = scf.if %is -> index {
      %i64 = arith.index_cast %i : index to i64
      memref.store %i64, %y[%c0, %k] : memref<1x?xi64>
      %k1 = arith.addi %k, %c1 : index
      scf.yield %k1 : index
    } else {
      scf.yield %k : index
    }
    scf.yield %next : index
  }
  %total = arith.index_cast %found : index to i64
  memref.store %total, %count[] : memref<i64>
  kernel.return
}

// Gather with indices that nothing checked: a defined value and an error code.
#rows = affine_map<()[s0] -> (s0)>
kernel.func @gather form(tiled) sizes(%n in 1 to 65536) in %x: memref<1000x64xf32> align 16,
    in %at: memref<?xi64>{%n}, out %y: memref<?x64xf32>{%n} align 16 grid(#rows) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0 : i64
  %size = arith.constant 1000 : i64
  %lo = arith.constant -1000 : i64
  %g = kernel.group_id
  %raw = memref.load %at[%g] : memref<?xi64>
  %below = arith.cmpi slt, %raw, %lo : i64
  %above = arith.cmpi sge, %raw, %size : i64
  %out = arith.ori %below, %above : i1
  kernel.fail_if %out, "index out of range"
  %negative = arith.cmpi slt, %raw, %zero : i64
  %wrapped = arith.addi %raw, %size : i64
  %norm = arith.select %negative, %wrapped, %raw : i64
  %safe = arith.select %out, %zero, %norm : i64
  %row = arith.index_cast %safe : i64 to index
  %v = vector.load %x[%row, %c0] {alignment = 16} : memref<1000x64xf32>, vector<64xf32>
  vector.store %v, %y[%g, %c0] {alignment = 16} : memref<?x64xf32>, vector<64xf32>
  kernel.return
}

// CHECK: kernel.func @nonzero form(tiled)
// CHECK-SAME: out %{{.*}}: memref<i64> grid(#{{.*}}) plan "serial"
// CHECK: kernel.func @gather
// CHECK: kernel.fail_if %{{.*}}, "index out of range"
