// RUN: ist-opt %s | ist-opt | FileCheck %s
// RUN: ist-opt %s --mlir-print-op-generic | ist-opt | FileCheck %s
/// Every op of the dialect, in each spelling that is optional.

// CHECK-LABEL: func.func @weight
func.func @weight() -> tensor<2x3xf32> {
  // CHECK: graph.weight "w" in "a b.bin" at 64 bytes 24 : tensor<2x3xf32>
  %w = graph.weight "w" in "a b.bin" at 64 bytes 24 : tensor<2x3xf32>
  /// An i1 takes a byte; no elements, no bytes.
  // CHECK: graph.weight "m" in "f" at 0 bytes 3 : tensor<3xi1>
  %m = graph.weight "m" in "f" at 0 bytes 3 : tensor<3xi1>
  // CHECK: graph.weight "e" in "f" at 0 bytes 0 : tensor<0x3xf16>
  %e = graph.weight "e" in "f" at 0 bytes 0 : tensor<0x3xf16>
  return %w : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @reshape
func.func @reshape(%x: tensor<?x4xf32>, %n: index, %y: tensor<2x6xi8>) -> (tensor<?xf32>, tensor<12xi8>) {
  // CHECK: graph.reshape %{{.*}} sizes(%{{.*}}) : tensor<?x4xf32> -> tensor<?xf32>
  %a = graph.reshape %x sizes(%n) : tensor<?x4xf32> -> tensor<?xf32>
  // CHECK: graph.reshape %{{.*}} : tensor<2x6xi8> -> tensor<12xi8>
  %b = graph.reshape %y : tensor<2x6xi8> -> tensor<12xi8>
  return %a, %b : tensor<?xf32>, tensor<12xi8>
}

// CHECK-LABEL: func.func @conv
func.func @conv(%x: tensor<?x4x8xf32>, %w: tensor<6x2x3xf32>, %b: tensor<6xf32>, %n: index) -> tensor<?x6x6xf32> {
  // CHECK: graph.conv %{{.*}}, %{{.*}} bias %{{.*}} sizes(%{{.*}}) {{.*}} : tensor<?x4x8xf32>, tensor<6x2x3xf32>, tensor<6xf32> -> tensor<?x6x6xf32>
  %y = graph.conv %x, %w bias %b sizes(%n) {strides = array<i64: 1>, dilations = array<i64: 1>, pads = array<i64: 0, 0>, group = 2 : i64}
     : tensor<?x4x8xf32>, tensor<6x2x3xf32>, tensor<6xf32> -> tensor<?x6x6xf32>
  return %y : tensor<?x6x6xf32>
}

// CHECK-LABEL: func.func @conv_plain
func.func @conv_plain(%x: tensor<1x4x8x8xf16>, %w: tensor<6x4x3x3xf16>) -> tensor<1x6x3x6xf16> {
  // CHECK: graph.conv %{{[^ ]+}}, %{{[^ ]+}} {{{.*}}} : tensor<1x4x8x8xf16>, tensor<6x4x3x3xf16> -> tensor<1x6x3x6xf16>
  %y = graph.conv %x, %w {strides = array<i64: 2, 1>, dilations = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, group = 1 : i64}
     : tensor<1x4x8x8xf16>, tensor<6x4x3x3xf16> -> tensor<1x6x3x6xf16>
  return %y : tensor<1x6x3x6xf16>
}

// CHECK-LABEL: func.func @conv_integers
func.func @conv_integers(%x: tensor<1x4x8xi8>, %w: tensor<6x4x3xi8>) -> tensor<1x6x8xi32> {
  // CHECK: graph.conv %{{.*}}input_unsigned, pad_value = 7 : i64{{.*}} : tensor<1x4x8xi8>, tensor<6x4x3xi8> -> tensor<1x6x8xi32>
  %y = graph.conv %x, %w {strides = array<i64: 1>, dilations = array<i64: 1>, pads = array<i64: 1, 1>, group = 1 : i64, input_unsigned, pad_value = 7 : i64}
     : tensor<1x4x8xi8>, tensor<6x4x3xi8> -> tensor<1x6x8xi32>
  return %y : tensor<1x6x8xi32>
}

// CHECK-LABEL: func.func @gather
func.func @gather(%x: tensor<100x8xf32>, %i: tensor<?xi64>, %n: index) -> tensor<?x8xf32> {
  %c8 = arith.constant 8 : index
  // CHECK: graph.parallel "Gather" space(%{{.*}}, %{{.*}}) ins(%{{.*}}, %{{.*}}) scalars(%{{.*}}) sizes(%{{.*}}) : (tensor<100x8xf32>, tensor<?xi64>) -> tensor<?x8xf32> {
  %y = graph.parallel "Gather" space(%n, %c8) ins(%x, %i) scalars(%n) sizes(%n)
     : (tensor<100x8xf32>, tensor<?xi64>) -> (tensor<?x8xf32>) {
  ^bb0(%p: index, %q: index, %xm: memref<100x8xf32>, %im: memref<?xi64>, %n0: index, %ym: memref<?x8xf32>):
    %j = memref.load %im[%p] : memref<?xi64>
    %k = arith.index_cast %j : i64 to index
    %v = memref.load %xm[%k, %q] : memref<100x8xf32>
    memref.store %v, %ym[%p, %q] : memref<?x8xf32>
    // CHECK: graph.yield
    graph.yield
  }
  return %y : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @serial
func.func @serial() -> (tensor<i64>, tensor<2xf32>) {
  /// A space of rank 0 is one run.
  // CHECK: graph.parallel "Two" : () -> (tensor<i64>, tensor<2xf32>) {
  %y:2 = graph.parallel "Two" : () -> (tensor<i64>, tensor<2xf32>) {
  ^bb0(%a: memref<i64>, %b: memref<2xf32>):
    graph.yield
  }
  return %y#0, %y#1 : tensor<i64>, tensor<2xf32>
}

// CHECK-LABEL: func.func @in_place
func.func @in_place(%x: tensor<4xf32>, %i: tensor<i64>) -> tensor<4xf32> {
  // CHECK: graph.parallel "Set" ins(%{{.*}}, %{{.*}}) {in_place = array<i64: 0>} :
  %y = graph.parallel "Set" ins(%x, %i) {in_place = array<i64: 0>} : (tensor<4xf32>, tensor<i64>) -> tensor<4xf32> {
  ^bb0(%a: memref<4xf32>, %b: memref<i64>, %c: memref<4xf32>):
    graph.yield
  }
  return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @host
func.func @host(%t: tensor<2xi32>, %m: tensor<i1>) -> index {
  %c0 = arith.constant 0 : index
  // CHECK: graph.read %{{.*}} at %{{.*}} : tensor<2xi32>
  %k = graph.read %t at %c0 : tensor<2xi32>
  // CHECK: graph.read %{{.*}} at %{{.*}} : tensor<i1>
  %l = graph.read %m at %c0 : tensor<i1>
  %ok = arith.cmpi sle, %l, %k : index
  // CHECK: graph.check %{{.*}}, "axis 0 is too long"
  graph.check %ok, "axis 0 is too long"
  return %k : index
}
