//===- Plan.h - how a kernel is run: plans and their choice ----*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A plan takes a kernel from form(tensor) to form(tiled). Plans are tried in
// order, the best first; each that declines says why. The last two, `loops`
// and `serial`, take every kernel with one operation in it, one with an
// epilogue, and every row group: lowering is total.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_PLAN_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_PLAN_H

#include "dialects/Kernel/Kernel.h"
#include "targets/Target.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace isthmus::kernel {

struct PlanOptions {
  /// Refuse every k-th plan that would have been accepted, to prove the ladder
  /// in tests; 0 refuses none. `serial` cannot be refused.
  unsigned refuseEvery = 0;
  unsigned refuseCounter = 0;
  /// Only `serial`: what other plans are compared with.
  bool reference = false;
};

/// What became of one plan: `declined` is empty for the one that was taken,
/// `taken` what it says of itself. Of plans for other kinds of targets `tried`
/// is false.
struct PlanRemark {
  std::string plan, declined, taken = "";
  bool tried = true;
};

/// Plans `kernel` for `info` and rewrites it to form(tiled), with a group where
/// the target runs lanes (Distribute.h takes it from there). Fails only when no
/// plan accepts, which for a kernel of one operation is a bug.
mlir::LogicalResult planKernel(FuncOp kernel, const TargetInfo &info,
                               PlanOptions &options,
                               llvm::SmallVectorImpl<PlanRemark> &remarks);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_PLAN_H
