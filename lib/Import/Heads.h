//===- Heads.h - tensors of attention heads -------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_IMPORT_HEADS_H
#define ISTHMUS_IMPORT_HEADS_H

#include "lib/Import/OpHelpers.h"

namespace isthmus {

/// Queries, keys or values: [batch, heads, sequence, dim], or with the sequence
/// before the heads.
struct Heads {
  ImportValue *value = nullptr;
  bool sequenceFirst = false;

  mlir::OpFoldResult batch() const { return value->sizes[0]; }
  mlir::OpFoldResult heads() const {
    return value->sizes[sequenceFirst ? 2 : 1];
  }
  mlir::OpFoldResult sequence() const {
    return value->sizes[sequenceFirst ? 1 : 2];
  }
  mlir::OpFoldResult dim() const { return value->sizes[3]; }
  template <typename T> llvm::SmallVector<T> order(T b, T h, T s, T d) const {
    if (sequenceFirst)
      return {b, s, h, d};
    return {b, h, s, d};
  }
};

/// A tensor of rank 3 with its heads apart, or of rank 4 as it is.
mlir::FailureOr<Heads> splitHeads(NodeContext &c, ImportValue &x,
                                  int64_t heads);

} // namespace isthmus

#endif // ISTHMUS_IMPORT_HEADS_H
