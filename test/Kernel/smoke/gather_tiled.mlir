// RUN: ist-opt %s | ist-opt | FileCheck %s

// gather_lanes.mlir for targets that stop at form(tiled).
#grid = affine_map<()[s0, s1] -> (s1 ceildiv 256)>
kernel.func @gather form(tiled) sizes(%t in 1 to 1073741824, %n in 1 to 1073741824)
    in %table: memref<?xbf16>{%t}, in %index: memref<?xi64>{%n},
    out %y: memref<?xbf16>{%n} grid(#grid) {
  %c0 = arith.constant 0 : index
  %c256 = arith.constant 256 : index
  %g = kernel.group_id
  %base = arith.muli %g, %c256 : index
  %left = arith.subi %n, %base : index
  %count = arith.minui %left, %c256 : index
  scf.forall (%l) in (%count) {
    %i = arith.addi %base, %l : index
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

// CHECK: kernel.func @gather form(tiled)
// CHECK: kernel.fail_if
