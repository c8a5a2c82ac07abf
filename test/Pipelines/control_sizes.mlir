// REQUIRES: istc
// RUN: split-file %s %t
// RUN: not istc %t/dim.mlir --emit=kernel 2>&1 | FileCheck %s --check-prefix=DIM
// RUN: not istc %t/unknown.mlir --emit=kernel 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not istc %t/rows.mlir --emit=kernel 2>&1 | FileCheck %s --check-prefix=ROWS
// RUN: not istc %t/deep.mlir --emit=kernel 2>&1 | FileCheck %s --check-prefix=DIM

/// Sizes are values: no tensor is asked for its dims, in no region.
// DIM: error: IST-C0001: 'tensor.dim' op asks a tensor for its size

/// A dynamic result of a branch is only passed on until graph.reshape names its
/// sizes.
// UNKNOWN: error: IST-C0001: 'graph.read' op uses a tensor of unknown sizes

/// Slices are one piece of memory.
// ROWS: error: IST-C0001: 'tensor.extract_slice' op extracts something else than rows of dim 0

//--- dim.mlir
func.func @main(%n: index {graph.symbol = "n"}, %x: tensor<?xi64> {graph.name = "x", graph.dtype = "i64", graph.dims = ["n"]}) {
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?xi64>
  return
}

//--- deep.mlir
func.func @main(%n: index {graph.symbol = "n"}, %x: tensor<?xi64> {graph.name = "x", graph.dtype = "i64", graph.dims = ["n"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %d = tensor.dim %x, %i : tensor<?xi64>
  }
  return
}

//--- unknown.mlir
func.func @main(%n: index {graph.symbol = "n"}, %x: tensor<?xi64> {graph.name = "x", graph.dtype = "i64", graph.dims = ["n"]}) {
  %c0 = arith.constant 0 : index
  %c = arith.cmpi eq, %n, %c0 : index
  %r = scf.if %c -> tensor<?xi64> {
    scf.yield %x : tensor<?xi64>
  } else {
    %e = tensor.empty(%c0) : tensor<?xi64>
    scf.yield %e : tensor<?xi64>
  }
  %v = graph.read %r at %c0 : tensor<?xi64>
  return
}

//--- rows.mlir
func.func @main(%x: tensor<4x4xi64> {graph.name = "x", graph.dtype = "i64", graph.dims = [4, 4]})
    -> (tensor<4x2xi64> {graph.name = "y", graph.dtype = "i64"}) {
  %y = tensor.extract_slice %x[0, 0] [4, 2] [1, 1] : tensor<4x4xi64> to tensor<4x2xi64>
  return %y : tensor<4x2xi64>
}
