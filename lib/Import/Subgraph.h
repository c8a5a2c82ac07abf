//===- Subgraph.h - graphs inside nodes -----------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_SUBGRAPH_H
#define ISTHMUS_LIB_IMPORT_SUBGRAPH_H

#include "lib/Import/NodeContext.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace isthmus {

/// Imports the graph of an attribute in place, with `inputs` for its inputs.
/// The scope is that of the node. `suffix` keeps the names of nodes apart.
mlir::FailureOr<llvm::SmallVector<ImportValue *>>
importSubgraph(NodeContext &c, const onnx::GraphProto &graph,
               llvm::ArrayRef<ImportValue *> inputs, const llvm::Twine &suffix);

/// A block of its own for the builder, whose place is found later: nothing of
/// the operation around it is known before its body is imported, and what the
/// import found may be a reason to begin again.
class Trial {
public:
  explicit Trial(NodeContext &c);
  Trial(const Trial &) = delete;
  ~Trial() { end(); }

  mlir::Block *block() { return &place.getRegion().front(); }
  /// The builder goes back to where it was, behind this.
  void end();
  /// What was built stands at the end of `target`, or where this was begun.
  void moveTo(mlir::Block *target);
  void keep();
  /// What was built, and what was reported, is forgotten. The importer's caches
  /// may hold values of it: they stay alive until it ends.
  void discard();

  /// The operation that stands here while this is open.
  mlir::scf::ExecuteRegionOp place;

private:
  NodeContext &c;
  size_t diagnostics;
  bool open = true;
};

/// The one known element of a value, if it is.
std::optional<int64_t> knownScalar(const ImportValue &v);
/// Neither a sequence nor an optional.
inline bool isTensor(const ImportValue *v) { return !v->list && !v->absent; }
/// The one element of a condition, 0 or not, on the host.
mlir::FailureOr<OpFoldResult> hostCondition(NodeContext &c, ImportValue &v);
/// `tensor` with dims of `type` that are dynamic or not: a cast.
mlir::Value asType(NodeContext &c, mlir::Value tensor,
                   mlir::RankedTensorType type, llvm::ArrayRef<OpFoldResult> s);
/// A value for an argument or result of an scf operation, whose sizes have
/// names from here on.
ImportValue *bindSizes(NodeContext &c, DType dtype, Sizes sizes,
                       mlir::Value tensor);

/// `length` elements from `start` on along an axis.
ImportValue *sliceAlong(NodeContext &c, ImportValue &x, int64_t axis,
                        OpFoldResult start, OpFoldResult length);
/// The same without the dim, which is 1.
ImportValue *elementAlong(NodeContext &c, ImportValue &x, int64_t axis,
                          OpFoldResult at);
/// A new dim at `axis` over values of one shape.
mlir::FailureOr<ImportValue *>
stack(NodeContext &c, llvm::ArrayRef<ImportValue *> values, int64_t axis);

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_SUBGRAPH_H
