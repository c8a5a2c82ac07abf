//===- RowEmitter.h - a row group in form(tiled) ----------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWEMITTER_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWEMITTER_H

#include "dialects/Kernel/Transforms/RowBody.h"
#include "dialects/Kernel/Transforms/RowGroup.h"

namespace isthmus::kernel {

/// How much a body costs: ops, expensive ones counted ten.
int64_t bodyCost(mlir::linalg::GenericOp op);

/// Emits the program of a workgroup that takes some rows of a group, see
/// RowsPlan.cpp.
class RowEmitter {
public:
  /// `lane` is the dim of the space that vectors run along; without `info`
  /// everything is on scalars.
  RowEmitter(TileBuilder &tb, const RowGroup &group, const TargetInfo *info,
             unsigned lane);
  void run(bool serial);

private:
  // RowKeep.cpp
  void chooseWidths(const TargetInfo &info);
  void chooseKept(int64_t bytes);
  bool keepLocally(const RowPart &part, unsigned first, int64_t &bytes);
  bool keepInResult(const RowPart &part, unsigned first, unsigned last);
  std::vector<unsigned> passesOf(mlir::Value v);
  int64_t costOf(const RowPart &part);

  // Values.
  mlir::Value read(const RowPart &part, mlir::OpOperand &operand);
  mlir::Value valueOf(const RowPart &part);
  mlir::Value apply(const RowPart &part, mlir::Value acc);
  mlir::Value neutralOf(const RowPart &part, int64_t width);
  mlir::Value joinLanes(const RowPart &part, mlir::Value acc);
  mlir::Value maskFrom(mlir::Value at);

  // Passes. Accumulators stand row by row, each with all of its reductions.
  using Values = llvm::SmallVector<mlir::Value>;
  using Body = llvm::function_ref<Values(mlir::ValueRange)>;
  void emitRows();
  void emitPass(unsigned number);
  Values columns(unsigned from, mlir::ValueRange accs);
  Values sideBySide(unsigned run, mlir::ValueRange accs);
  Values sweep(mlir::ValueRange accs);
  Values point(mlir::ValueRange accs);
  Values loop(mlir::Value from, mlir::Value to, int64_t step, unsigned dim,
              mlir::ValueRange accs, Body body);
  void setIv(unsigned dim, mlir::Value iv);
  const RowPart &reductionOf(unsigned acc) const {
    return *reductions[acc % reductions.size()];
  }

  TileBuilder &tb;
  mlir::OpBuilder &b;
  mlir::Location loc;
  const RowGroup &group;
  mlir::Value zero; // an index

  // The space with neighbouring dims merged.
  llvm::SmallVector<llvm::SmallVector<unsigned>> runs;
  llvm::SmallVector<mlir::utils::IteratorType> kinds;
  llvm::SmallVector<mlir::OpFoldResult> sizes;
  unsigned laneRun = 0;
  bool vectors, along;
  int64_t lanes = 0, unroll = 1;

  llvm::DenseMap<mlir::OpOperand *, RowPlace> inputs;
  llvm::DenseMap<mlir::Value, RowPlace> outputs;
  struct Kept {
    llvm::SmallVector<RowPlace> places; // one a row
    unsigned pass;                      // that stores it
  };
  llvm::DenseMap<mlir::Value, Kept> kept;

  /// The rows that are emitted in step, so that one works while another waits
  /// for its reductions.
  struct Row {
    Values ivs;
    llvm::DenseMap<mlir::Value, mlir::Value> known; // of the row
    llvm::DenseMap<mlir::Value, mlir::Value> here;  // at these columns
  };
  llvm::SmallVector<Row> rows;
  unsigned at = 0; // the row whose values are asked for
  unsigned pass = 0;
  int64_t width = 0; // of values at these columns, 0: scalars
  mlir::Value mask;  // lanes that are inside, null: all
  llvm::SmallVector<const RowPart *> reductions, stores; // of this pass
};

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWEMITTER_H
