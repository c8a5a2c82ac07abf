// RUN: ist-opt %s | ist-opt | FileCheck %s

// Softmax over the last dim, rows and columns dynamic: one workgroup a row, in
// tiles of 256. Three sweeps, so that a row of any length fits; the last tile
// is masked, and what the mask leaves out is the neutral element.
#grid = affine_map<()[s0, s1] -> (s0)>
kernel.func @softmax form(tiled) sizes(%m in 1 to 65536, %n in 1 to 1048576)
    in %x: memref<?x?xf32>{%m, %n} align 4, out %y: memref<?x?xf32>{%m, %n} align 4
    grid(#grid) plan "reduction rows=1 tile=256" {
  %c0 = arith.constant 0 : index
  %c256 = arith.constant 256 : index
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %row = kernel.group_id

  %lows = vector.broadcast %lowest : f32 to vector<256xf32>
  %maxima = scf.for %j = %c0 to %n step %c256 iter_args(%acc = %lows) -> vector<256xf32> {
    %t = vector.transfer_read %x[%row, %j], %lowest : memref<?x?xf32>, vector<256xf32>
    %next = arith.maximumf %acc, %t : vector<256xf32>
    scf.yield %next : vector<256xf32>
  }
  %max = vector.reduction <maximumf>, %maxima : vector<256xf32> into f32
  %maxes = vector.broadcast %max : f32 to vector<256xf32>

  %zeros = vector.broadcast %zero : f32 to vector<256xf32>
  %sums = scf.for %j = %c0 to %n step %c256 iter_args(%acc = %zeros) -> vector<256xf32> {
    %t = vector.transfer_read %x[%row, %j], %lowest : memref<?x?xf32>, vector<256xf32>
    %d = arith.subf %t, %maxes : vector<256xf32>
    %e = math.exp %d : vector<256xf32>
    %left = arith.subi %n, %j : index
    %mask = vector.create_mask %left : vector<256xi1>
    %in = arith.select %mask, %e, %zeros : vector<256xi1>, vector<256xf32>
    %next = arith.addf %acc, %in : vector<256xf32>
    scf.yield %next : vector<256xf32>
  }
  %sum = vector.reduction <add>, %sums : vector<256xf32> into f32
  %sumv = vector.broadcast %sum : f32 to vector<256xf32>

  scf.for %j = %c0 to %n step %c256 {
    %t = vector.transfer_read %x[%row, %j], %lowest : memref<?x?xf32>, vector<256xf32>
    %d = arith.subf %t, %maxes : vector<256xf32>
    %e = math.exp %d : vector<256xf32>
    %r = arith.divf %e, %sumv : vector<256xf32>
    vector.transfer_write %r, %y[%row, %j] : vector<256xf32>, memref<?x?xf32>
  }
  kernel.return
}

// CHECK: kernel.func @softmax form(tiled) sizes(%[[M:.*]] in 1 to 65536, %[[N:.*]] in 1 to 1048576)
// CHECK-SAME: plan "reduction rows=1 tile=256"
// CHECK: scf.for %{{.*}} to %[[N]] step
// CHECK: vector.reduction <maximumf>
// CHECK: vector.create_mask
// CHECK: vector.transfer_write
