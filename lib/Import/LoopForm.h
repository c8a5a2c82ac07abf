//===- LoopForm.h - loops that the program runs ---------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_LOOPFORM_H
#define ISTHMUS_LIB_IMPORT_LOOPFORM_H

#include "lib/Import/Subgraph.h"

namespace isthmus {

/// Loops with more iterations, or more nodes in all, are not unrolled.
inline constexpr int64_t kMaxUnrolled = 64, kMaxUnrolledBodies = 2048;
bool worthUnrolling(int64_t iterations, const onnx::GraphProto &body);

/// The collected values of no iteration at all, along `axis`.
mlir::FailureOr<ImportValue *>
nothing(NodeContext &c, const onnx::ValueInfoProto &info, int64_t axis);

struct LoopSpec {
  /// How often, at most; null: while the condition holds.
  OpFoldResult trips;
  /// Whether it is begun at all: 0 or not.
  OpFoldResult going;
  /// What the first iteration takes.
  llvm::SmallVector<ImportValue *> carried;
  /// How many values of every iteration are collected, one a row.
  int64_t collects = 0;
  /// Imports the body for iteration `at`. Gives the condition (null: goes on),
  /// what the next iteration takes, and the collected values.
  llvm::function_ref<mlir::FailureOr<llvm::SmallVector<ImportValue *>>(
      OpFoldResult at, llvm::ArrayRef<ImportValue *> carried)>
      body;
};

/// A loop of the program: scf.for when the number of iterations is known at its
/// start, else scf.while. Gives the carried values at the end, then the
/// collected ones.
///
/// Carried integers that the host knows stay on the host, and carried sizes
/// that iterations change are carried as integers. Which are: the body is
/// imported as if nothing changed, and again with what did, until that holds.
///
/// Collected values lie in one tensor with a row for each iteration. When their
/// number is known it is made before the loop, else it grows: to twice its rows
/// when they are full.
mlir::FailureOr<llvm::SmallVector<ImportValue *>>
buildLoop(NodeContext &c, const LoopSpec &spec);

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_LOOPFORM_H
