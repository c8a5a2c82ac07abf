//===- LaneUnits.h - matrix units and copies to LLVM ------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_LANEUNITS_H
#define ISTHMUS_LIB_PIPELINES_LANEUNITS_H

#include "lib/Pipelines/LanesToLLVM.h"

namespace isthmus {

/// Lowers what form(lanes) says of matrix units and asynchronous copies in `f`,
/// a function whose memrefs are in LLVM's address spaces already. Where the
/// target copies no other way, copies are loads and stores, and batches are
/// nothing.
mlir::LogicalResult lowerLaneUnits(mlir::Operation *f, const TargetInfo &info,
                                   const LanesFacts &facts);

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_LANEUNITS_H
