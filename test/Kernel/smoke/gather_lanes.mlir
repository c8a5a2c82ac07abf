// RUN: ist-opt %s | ist-opt | FileCheck %s

// y[i] = table[index[i]]. An index out of range reads element 0 and leaves a code
// in the error word, which is the last parameter.
#grid = affine_map<()[s0, s1] -> (s1 ceildiv 256)>
kernel.func @gather form(lanes) sizes(%t in 1 to 1073741824, %n in 1 to 1073741824)
    in %table: memref<?xbf16>{%t}, in %index: memref<?xi64>{%n},
    out %y: memref<?xbf16>{%n} grid(#grid) group 256 {
  %c0 = arith.constant 0 : index
  %c256 = arith.constant 256 : index
  %g = kernel.group_id
  %base = arith.muli %g, %c256 : index
  %lane = kernel.lane_id
  %i = arith.addi %base, %lane : index
  %mine = arith.cmpi ult, %i, %n : index
  scf.if %mine {
    %v = memref.load %index[%i] : memref<?xi64>
    %at = arith.index_cast %v : i64 to index
    // Unsigned: a negative index is out of range too.
    %beyond = arith.cmpi uge, %at, %t : index
    kernel.fail_if %beyond, "index out of range"
    %safe = arith.select %beyond, %c0, %at : index
    %r = memref.load %table[%safe] : memref<?xbf16>
    memref.store %r, %y[%i] : memref<?xbf16>
  }
  kernel.return
}

// CHECK: kernel.func @gather form(lanes)
// CHECK: kernel.fail_if
