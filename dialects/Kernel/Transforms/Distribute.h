//===- Distribute.h - form(tiled) to form(lanes) ---------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_DISTRIBUTE_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_DISTRIBUTE_H

#include "dialects/Kernel/Kernel.h"
#include "targets/Target.h"

#include "mlir/Pass/Pass.h"

#include <memory>

namespace isthmus::kernel {

/// Rewrites a kernel in form(tiled) that names its group to form(lanes): the
/// points of each outermost scf.forall are dealt to the lanes, and so are the
/// elements of tiles (vectors outside of such loops); one lane does what else
/// has effects, and barriers stand where memory passes from lane to lane.
/// Of the target it asks the lanes of a subgroup, the matrix units, and how
/// workgroup memory is filled and read. Fails, on the op, at what lanes cannot
/// do.
mlir::LogicalResult distribute(FuncOp kernel, const TargetInfo &info);

/// The same for every kernel of a module, as `ist-distribute`.
std::unique_ptr<mlir::Pass> createDistributePass();

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_DISTRIBUTE_H
