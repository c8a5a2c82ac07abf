// RUN: ist-opt %s | ist-opt | FileCheck %s --check-prefix=TILED
// RUN: ist-opt %s --ist-distribute=subgroup=32 --canonicalize --cse | FileCheck %s
// RUN: ist-opt %s --ist-distribute --canonicalize --cse | FileCheck %s --check-prefix=TREE

// Softmax over rows by tiles of 128 elements, a workgroup a row: what a CPU runs
// on vectors, dealt to 64 lanes. A register is an element; the tile's sums are
// joined by shuffles in a subgroup, then through workgroup memory; where
// subgroups are not known, by a tree.
// TILED: kernel.func @softmax form(tiled)
// CHECK-LABEL: kernel.func @softmax form(lanes)
// CHECK-DAG: %[[LANE:.*]] = kernel.lane_id
// CHECK-DAG: %[[M:.*]] = kernel.alloc : memref<2xf32, 3>
// CHECK: scf.for {{.*}} -> (f32, f32)
// CHECK: scf.if {{.*}} -> (f32)
// CHECK: memref.load %{{.*}} : memref<?x?xf32>
// CHECK-COUNT-5: kernel.shuffle
// CHECK: memref.store %{{.*}} : memref<2xf32, 3>
// CHECK: kernel.barrier
// CHECK-COUNT-2: memref.load %{{.*}} : memref<2xf32, 3>
// CHECK: arith.maximumf
// CHECK: kernel.barrier
// CHECK-NOT: vector<
// CHECK: kernel.return
// TREE-LABEL: kernel.func @softmax form(lanes)
// TREE-NOT: kernel.shuffle
// TREE: kernel.alloc : memref<64xf32, 3>
// TREE-COUNT-8: kernel.barrier
#grid = affine_map<()[s0, s1] -> (s0)>
kernel.func @softmax form(tiled) sizes(%m in 1 to 65536, %n in 1 to 1048576)
    in %x: memref<?x?xf32>{%m, %n}, out %y: memref<?x?xf32>{%m, %n} grid(#grid) group 64 {
  %c0 = arith.constant 0 : index
  %c128 = arith.constant 128 : index
  %zero = arith.constant dense<0.0> : vector<128xf32>
  %lowest = arith.constant dense<0xFF800000> : vector<128xf32>
  %row = kernel.group_id
  %maxima = scf.for %j = %c0 to %n step %c128 iter_args(%acc = %lowest) -> vector<128xf32> {
    %left = arith.subi %n, %j : index
    %mask = vector.create_mask %left : vector<128xi1>
    %v = vector.maskedload %x[%row, %j], %mask, %lowest : memref<?x?xf32>, vector<128xi1>, vector<128xf32> into vector<128xf32>
    %a = arith.maximumf %acc, %v : vector<128xf32>
    scf.yield %a : vector<128xf32>
  }
  %max = vector.reduction <maximumf>, %maxima : vector<128xf32> into f32
  %high = vector.broadcast %max : f32 to vector<128xf32>
  %sums = scf.for %j = %c0 to %n step %c128 iter_args(%acc = %zero) -> vector<128xf32> {
    %left = arith.subi %n, %j : index
    %mask = vector.create_mask %left : vector<128xi1>
    %v = vector.maskedload %x[%row, %j], %mask, %lowest : memref<?x?xf32>, vector<128xi1>, vector<128xf32> into vector<128xf32>
    %d = arith.subf %v, %high : vector<128xf32>
    %e = math.exp %d : vector<128xf32>
    vector.maskedstore %y[%row, %j], %mask, %e : memref<?x?xf32>, vector<128xi1>, vector<128xf32>
    %a = arith.addf %acc, %e : vector<128xf32>
    scf.yield %a : vector<128xf32>
  }
  %sum = vector.reduction <add>, %sums : vector<128xf32> into f32
  %all = vector.broadcast %sum : f32 to vector<128xf32>
  scf.for %j = %c0 to %n step %c128 {
    %left = arith.subi %n, %j : index
    %mask = vector.create_mask %left : vector<128xi1>
    %e = vector.maskedload %y[%row, %j], %mask, %zero : memref<?x?xf32>, vector<128xi1>, vector<128xf32> into vector<128xf32>
    %r = arith.divf %e, %all : vector<128xf32>
    vector.maskedstore %y[%row, %j], %mask, %r : memref<?x?xf32>, vector<128xi1>, vector<128xf32>
  }
  kernel.return
}
