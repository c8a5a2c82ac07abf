//===- WorkReader.h - reading a kernel's work off its body -----*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_WORKREADER_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_WORKREADER_H

#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/Transforms/Work.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/DenseMap.h"

namespace isthmus::kernel {

/// Nothing: not a product of sizes.
using Count = std::optional<WorkTerm>;

WorkTerm constantCount(uint64_t v);
Count multiply(const Count &a, const Count &b);
/// Is `x` at most `y`? Sizes are at least one: with an empty tensor there is no
/// work.
bool divides(const WorkTerm &x, const WorkTerm &y);
void add(WorkSum &sum, const Count &term);

/// What a kernel does with one of its bindings.
struct Use {
  bool whole = false;
  /// By their indices.
  llvm::SmallVector<std::pair<llvm::SmallVector<mlir::Value>, Count>> loads;
  /// Of a binding that is changed in part.
  llvm::SmallVector<Count> stores;
};

class WorkReader {
public:
  explicit WorkReader(FuncOp k) : k(k) {}
  Work run();

private:
  /// How an index of a load comes about.
  struct Index {
    enum { fixed, loop, broadcast, other } kind;
    mlir::Value of = {}; // the loop's variable
  };

  Count count(mlir::OpFoldResult size);
  Count elements(llvm::ArrayRef<mlir::OpFoldResult> sizes);
  llvm::SmallVector<mlir::OpFoldResult> sizesOf(mlir::Value tensor);
  std::optional<unsigned> bindingOf(mlir::Value v);
  mlir::Value outer(mlir::Value v);

  void visit(mlir::linalg::LinalgOp op);
  void visit(graph::ConvOp op);
  void visit(graph::ParallelOp op);
  bool visit(mlir::Operation *op);
  void body(mlir::Block &block, const Count &times, WorkSum &sum);
  std::pair<mlir::Value, int64_t> split(mlir::Value v);
  Count trips(mlir::scf::ForOp op);
  bool dependsOnData(mlir::Value v);
  void load(mlir::Value from, mlir::ValueRange indices, const Count &times);
  Index indexOf(mlir::Value v);
  Count touched(mlir::Value from, mlir::ValueRange indices, const Count &times);
  Count bytes(unsigned binding, llvm::ArrayRef<Count> parts);

  FuncOp k;
  Work work;
  /// Of each binding.
  std::vector<Use> uses;
  /// Of bodies, and what they stand for.
  llvm::DenseMap<mlir::Value, mlir::Value> arguments;
  /// Of loops, by their variables.
  llvm::DenseMap<mlir::Value, Count> steps;
  /// Of the linalg operation whose body is gone through.
  llvm::SmallVector<Count> genericLoops;
};

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_WORKREADER_H
