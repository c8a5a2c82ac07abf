//===- Graph.h - the graph dialect -----------------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_GRAPH_H
#define ISTHMUS_DIALECTS_GRAPH_GRAPH_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Graph/GraphOpsDialect.h.inc"
#define GET_OP_CLASSES
#include "dialects/Graph/GraphOps.h.inc"

namespace isthmus::graph {

/// Attributes on the arguments and results of a graph function.
///
/// Arguments of type `index` come first, one per symbolic dim:
///   graph.symbol = "batch", graph.min, graph.max (i64)
/// then the model's inputs:
///   graph.name = "x", graph.dtype = "f32" (a DType name of program.fbs; tells
///   u8 from i8), graph.dims = one attribute per dim, an i64 (static) or a
///   string (a symbol).
/// Results: graph.name, graph.dtype.
/// A result that lives in an input's memory, and that input: graph.inout = the
/// other one's graph.name.
inline constexpr llvm::StringLiteral kSymbolAttr = "graph.symbol";
inline constexpr llvm::StringLiteral kMinAttr = "graph.min";
inline constexpr llvm::StringLiteral kMaxAttr = "graph.max";
inline constexpr llvm::StringLiteral kNameAttr = "graph.name";
inline constexpr llvm::StringLiteral kDTypeAttr = "graph.dtype";
inline constexpr llvm::StringLiteral kDimsAttr = "graph.dims";
inline constexpr llvm::StringLiteral kInoutAttr = "graph.inout";

/// The sizes of a tensor of a graph function, as static attributes or as the
/// SSA values that define them: never by inspecting the tensor. Fails only on
/// an op that is not allowed in a graph function.
mlir::FailureOr<llvm::SmallVector<mlir::OpFoldResult>>
getSizes(mlir::Value tensor);

/// The blocks of a function that the host runs: its body and those of scf
/// operations, outer ones first.
llvm::SmallVector<mlir::Block *> hostBlocks(mlir::func::FuncOp func);

/// Checks what all transforms rely on: no tensor is asked for its dims, and the
/// sizes of every tensor that is computed with are known. A dynamic result or
/// argument of an scf operation has none: it goes through a graph.reshape to
/// the same type, whose operands they are. Slices are whole rows of dim 0.
mlir::LogicalResult verifySizes(mlir::ModuleOp module);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_GRAPH_H
