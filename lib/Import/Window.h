//===- Window.h - windows of convolutions and pools -----*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_WINDOW_H
#define ISTHMUS_LIB_IMPORT_WINDOW_H

#include "lib/Import/NodeContext.h"

namespace isthmus {

/// Beyond it, sums and products of what a window is made of could overflow.
constexpr int64_t kMaxWindow = int64_t(1) << 31;
inline bool isPad(int64_t pad) {
  return pad >= -kMaxWindow && pad <= kMaxWindow;
}

/// The attributes of a node that slides a window over the dims from 2 on, with
/// auto_pad resolved.
struct Window {
  llvm::SmallVector<int64_t> strides, dilations;
  llvm::SmallVector<int64_t> pads; // the begins, then the ends
  Sizes out;                       // spatial sizes of the result
};

mlir::FailureOr<Window> windowOf(NodeContext &c, ImportValue &x,
                                 llvm::ArrayRef<OpFoldResult> kernel,
                                 bool ceilMode);

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_WINDOW_H
