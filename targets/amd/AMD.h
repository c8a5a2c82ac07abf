//===- AMD.h - the amd target -----------------------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TARGETS_AMD_AMD_H
#define ISTHMUS_TARGETS_AMD_AMD_H

#include "targets/Target.h"

namespace isthmus::amd {

Target target();

/// Matrix units: rows of facts (Units.cpp).
llvm::ArrayRef<MatrixUnit> gfx90aUnits();
llvm::ArrayRef<MatrixUnit> gfx94Units(); // of gfx942 and all of its family
llvm::ArrayRef<MatrixUnit> gfx950Units();
llvm::ArrayRef<MatrixUnit> gfx11Units();
llvm::ArrayRef<MatrixUnit> gfx12Units();

} // namespace isthmus::amd

#endif // ISTHMUS_TARGETS_AMD_AMD_H
