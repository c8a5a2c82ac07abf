// The suite's kernels for targets that stop at form(tiled). Parameters are the sizes
// in order, then the bindings; 256 elements a workgroup.
#tiles = affine_map<()[s0, s1] -> (s0 ceildiv 256)>
#tiles1 = affine_map<()[s0] -> (s0 ceildiv 256)>
#each = affine_map<()[s0] -> (s0)>
#one = affine_map<()[s0] -> (1)>

// y = a + b
kernel.func @add form(tiled) sizes(%n in 0 to 1073741824)
    in %a: memref<?xi32>{%n} align 4, in %b: memref<?xi32>{%n} align 4,
    out %y: memref<?xi32>{%n} align 4 grid(#tiles1) {
  %c256 = arith.constant 256 : index
  %g = kernel.group_id
  %begin = arith.muli %g, %c256 : index
  %left = arith.subi %n, %begin : index
  %count = arith.minui %left, %c256 : index
  scf.forall (%i) in (%count) {
    %at = arith.addi %begin, %i : index
    %u = memref.load %a[%at] : memref<?xi32>
    %v = memref.load %b[%at] : memref<?xi32>
    %r = arith.addi %u, %v : i32
    memref.store %r, %y[%at] : memref<?xi32>
  }
  kernel.return
}

// y = x * k + 1
kernel.func @scale form(tiled) sizes(%n in 0 to 1099511627776, %k in 0 to 4294967295)
    in %x: memref<?xi32>{%n} align 4, out %y: memref<?xi32>{%n} align 4 grid(#tiles) {
  %c256 = arith.constant 256 : index
  %one = arith.constant 1 : i32
  %factor = arith.index_cast %k : index to i32
  %g = kernel.group_id
  %begin = arith.muli %g, %c256 : index
  %left = arith.subi %n, %begin : index
  %count = arith.minui %left, %c256 : index
  scf.forall (%i) in (%count) {
    %at = arith.addi %begin, %i : index
    %v = memref.load %x[%at] : memref<?xi32>
    %m = arith.muli %v, %factor : i32
    %r = arith.addi %m, %one : i32
    memref.store %r, %y[%at] : memref<?xi32>
  }
  kernel.return
}

// ++y[workgroup]
kernel.func @count form(tiled) sizes(%n in 0 to 1073741824)
    inout %y: memref<?xi32>{%n} align 4 grid(#each) {
  %one = arith.constant 1 : i32
  %g = kernel.group_id
  %v = memref.load %y[%g] : memref<?xi32>
  %r = arith.addi %v, %one : i32
  memref.store %r, %y[%g] : memref<?xi32>
  kernel.return
}

// n rounds of a generator over one word, none of which can be left out
kernel.func @spin form(tiled) sizes(%n in 0 to 1099511627776)
    inout %y: memref<1xi32> align 4 grid(#one) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %shift = arith.constant 15 : i32
  %factor = arith.constant 1664525 : i32
  %term = arith.constant 1013904223 : i32
  %first = memref.load %y[%c0] : memref<1xi32>
  %last = scf.for %i = %c0 to %n step %c1 iter_args(%v = %first) -> i32 {
    %s = arith.shrui %v, %shift : i32
    %x = arith.xori %v, %s : i32
    %m = arith.muli %x, %factor : i32
    %r = arith.addi %m, %term : i32
    scf.yield %r : i32
  }
  memref.store %last, %y[%c0] : memref<1xi32>
  kernel.return
}
