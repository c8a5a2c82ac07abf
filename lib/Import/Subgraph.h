//===- Subgraph.h - graphs inside nodes -----------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_SUBGRAPH_H
#define ISTHMUS_LIB_IMPORT_SUBGRAPH_H

#include "lib/Import/NodeContext.h"

namespace isthmus {

/// Imports the graph of an attribute in place, with `inputs` for its inputs.
/// The scope is that of the node. `suffix` keeps the names of nodes apart.
mlir::FailureOr<llvm::SmallVector<ImportValue *>>
importSubgraph(NodeContext &c, const onnx::GraphProto &graph,
               llvm::ArrayRef<ImportValue *> inputs, const llvm::Twine &suffix);

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
