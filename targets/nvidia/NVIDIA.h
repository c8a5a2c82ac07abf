//===- NVIDIA.h - the nvidia target -----------------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TARGETS_NVIDIA_NVIDIA_H
#define ISTHMUS_TARGETS_NVIDIA_NVIDIA_H

#include "targets/Target.h"

namespace isthmus::nvidia {

Target target();

/// mma.sync, which every chip that has a row has.
llvm::ArrayRef<MatrixUnit> matrixUnits();

} // namespace isthmus::nvidia

#endif // ISTHMUS_TARGETS_NVIDIA_NVIDIA_H
