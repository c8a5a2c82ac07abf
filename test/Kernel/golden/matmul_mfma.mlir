// RUN: ist-opt %s | ist-opt | FileCheck %s

// x[m, 4096] * w[4096, 4096] in f16 on gfx942: MFMA takes both operands from
// registers, so tiles go global -> registers -> LDS -> registers. The next tile
// is loaded into registers before this one is multiplied; the two waits between
// writing and reading LDS come with form(lanes). How a tile lies over the 64
// lanes is said where it is read for the unit.
#grid = affine_map<()[s0] -> ((s0 ceildiv 128) * 32)>
#loaded = #kernel.layout<register = [1, 2, 4, 2048], lane = [8, 16, 32, 64, 128, 256], subgroup = [512, 1024]>
#operand = #kernel.layout<register = [1, 2, 16, 512, 1024], lane = [32, 64, 128, 256, 4, 8], subgroup = [0, 2048]>
kernel.func @matmul form(tiled) sizes(%m in 1 to 65536)
    in %x: memref<?x4096xf16>{%m} align 16, in %w: memref<4096x4096xf16> align 16,
    out %y: memref<?x4096xf32>{%m} align 16 grid(#grid) group 256 plan "contraction 128x128x32 mfma" {
  %c0 = arith.constant 0 : index
  %c32 = arith.constant 32 : index
  %c128 = arith.constant 128 : index
  %depth = arith.constant 4096 : index
  %pad = arith.constant 0.0 : f16
  %g = kernel.group_id
  %bi = arith.divui %g, %c32 : index
  %bj = arith.remui %g, %c32 : index
  %i = arith.muli %bi, %c128 : index
  %j = arith.muli %bj, %c128 : index
  %as = kernel.alloc : memref<128x32xf16, 3>
  %bs = kernel.alloc : memref<32x128xf16, 3>

  %a0 = vector.transfer_read %x[%i, %c0], %pad {in_bounds = [false, true]} : memref<?x4096xf16>, vector<128x32xf16>
  %b0 = vector.transfer_read %w[%c0, %j], %pad {in_bounds = [true, true]} : memref<4096x4096xf16>, vector<32x128xf16>
  %zero = arith.constant dense<0.0> : vector<128x128xf32>
  %r:3 = scf.for %k = %c0 to %depth step %c32 iter_args(%acc = %zero, %a = %a0, %b = %b0)
      -> (vector<128x128xf32>, vector<128x32xf16>, vector<32x128xf16>) {
    vector.transfer_write %a, %as[%c0, %c0] {in_bounds = [true, true]} : vector<128x32xf16>, memref<128x32xf16, 3>
    vector.transfer_write %b, %bs[%c0, %c0] {in_bounds = [true, true]} : vector<32x128xf16>, memref<32x128xf16, 3>
    // Past the last step this reads beyond the binding: padding, never used.
    %next = arith.addi %k, %c32 : index
    %an = vector.transfer_read %x[%i, %next], %pad : memref<?x4096xf16>, vector<128x32xf16>
    %bn = vector.transfer_read %w[%next, %j], %pad : memref<4096x4096xf16>, vector<32x128xf16>
    %am = vector.transfer_read %as[%c0, %c0], %pad {in_bounds = [true, true]} : memref<128x32xf16, 3>, vector<128x32xf16>
    %al = kernel.relayout %am from #loaded to #operand : vector<128x32xf16>
    %bm = vector.transfer_read %bs[%c0, %c0], %pad {in_bounds = [true, true]} : memref<32x128xf16, 3>, vector<32x128xf16>
    %d = kernel.mma %al, %bm, %acc unit "m16n16k16.f32.f16"
        : vector<128x32xf16>, vector<32x128xf16>, vector<128x128xf32>
    scf.yield %d, %an, %bn : vector<128x128xf32>, vector<128x32xf16>, vector<32x128xf16>
  }
  vector.transfer_write %r#0, %y[%i, %j] {in_bounds = [false, true]} : vector<128x128xf32>, memref<?x4096xf32>
  kernel.return
}

// CHECK: kernel.func @matmul form(tiled)
// CHECK-COUNT-2: kernel.alloc : memref<{{.*}}xf16, 3>
// CHECK: kernel.relayout %{{.*}} from <register = [1, 2, 4, 2048], lane
// CHECK: kernel.mma {{.*}} unit "m16n16k16.f32.f16" : vector<128x32xf16>, vector<32x128xf16>, vector<128x128xf32>
