//===- Work.h - what a kernel computes and moves ---------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Read off form(tensor), where the model's operations are still known; what a
// plan adds (packing, masks, scores computed twice) is not work.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_WORK_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_WORK_H

#include "dialects/Kernel/Kernel.h"

#include "llvm/ADT/SmallVector.h"

#include <optional>

namespace isthmus::kernel {

/// The coefficient times the kernel's sizes named (in order; one may come
/// twice), but `most` where that is less.
struct WorkTerm {
  static constexpr uint64_t kNoMost = UINT64_MAX;
  uint64_t coefficient = 1, most = kNoMost;
  llvm::SmallVector<unsigned> sizes;
};

/// A sum; nothing where nobody knows it.
using WorkSum = std::optional<llvm::SmallVector<WorkTerm>>;

struct Work {
  /// Arithmetic on floats and integers: an addition, a product, a division, a
  /// maximum, a call of a math function count one each, a multiply-add two.
  /// Conversions, comparisons, selections and address arithmetic are none.
  WorkSum flops;
  /// Bytes of bindings, each element once.
  WorkSum reads, writes;
};

/// `kernel` is in form(tensor).
Work workOf(FuncOp kernel);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_WORK_H
