// kernels_tiled.mlir for targets with lanes: 64 of them, 256 elements a
// workgroup.
#tiles = affine_map<()[s0, s1] -> (s0 ceildiv 256)>
#tiles1 = affine_map<()[s0] -> (s0 ceildiv 256)>
#each = affine_map<()[s0] -> (s0)>
#one = affine_map<()[s0] -> (1)>

kernel.func @add form(lanes) sizes(%n in 0 to 1073741824)
    in %a: memref<?xi32>{%n} align 4, in %b: memref<?xi32>{%n} align 4,
    out %y: memref<?xi32>{%n} align 4 grid(#tiles1) group 64 {
  %c64 = arith.constant 64 : index
  %c256 = arith.constant 256 : index
  %g = kernel.group_id
  %lane = kernel.lane_id
  %base = arith.muli %g, %c256 : index
  %begin = arith.addi %base, %lane : index
  %behind = arith.addi %base, %c256 : index
  %end = arith.minui %behind, %n : index
  scf.for %i = %begin to %end step %c64 {
    %u = memref.load %a[%i] : memref<?xi32>
    %v = memref.load %b[%i] : memref<?xi32>
    %r = arith.addi %u, %v : i32
    memref.store %r, %y[%i] : memref<?xi32>
  }
  kernel.return
}

kernel.func @scale form(lanes) sizes(%n in 0 to 1099511627776, %k in 0 to 4294967295)
    in %x: memref<?xi32>{%n} align 4, out %y: memref<?xi32>{%n} align 4 grid(#tiles) group 64 {
  %c64 = arith.constant 64 : index
  %c256 = arith.constant 256 : index
  %one = arith.constant 1 : i32
  %factor = arith.index_cast %k : index to i32
  %g = kernel.group_id
  %lane = kernel.lane_id
  %base = arith.muli %g, %c256 : index
  %begin = arith.addi %base, %lane : index
  %behind = arith.addi %base, %c256 : index
  %end = arith.minui %behind, %n : index
  scf.for %i = %begin to %end step %c64 {
    %v = memref.load %x[%i] : memref<?xi32>
    %m = arith.muli %v, %factor : i32
    %r = arith.addi %m, %one : i32
    memref.store %r, %y[%i] : memref<?xi32>
  }
  kernel.return
}

kernel.func @count form(lanes) sizes(%n in 0 to 1073741824)
    inout %y: memref<?xi32>{%n} align 4 grid(#each) group 64 {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1 : i32
  %g = kernel.group_id
  %lane = kernel.lane_id
  %first = arith.cmpi eq, %lane, %c0 : index
  scf.if %first {
    %v = memref.load %y[%g] : memref<?xi32>
    %r = arith.addi %v, %one : i32
    memref.store %r, %y[%g] : memref<?xi32>
  }
  kernel.return
}

kernel.func @spin form(lanes) sizes(%n in 0 to 1099511627776)
    inout %y: memref<1xi32> align 4 grid(#one) group 64 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %shift = arith.constant 15 : i32
  %factor = arith.constant 1664525 : i32
  %term = arith.constant 1013904223 : i32
  %lane = kernel.lane_id
  %only = arith.cmpi eq, %lane, %c0 : index
  scf.if %only {
    %first = memref.load %y[%c0] : memref<1xi32>
    %last = scf.for %i = %c0 to %n step %c1 iter_args(%v = %first) -> i32 {
      %s = arith.shrui %v, %shift : i32
      %x = arith.xori %v, %s : i32
      %m = arith.muli %x, %factor : i32
      %r = arith.addi %m, %term : i32
      scf.yield %r : i32
    }
    memref.store %last, %y[%c0] : memref<1xi32>
  }
  kernel.return
}
