//===- Intel.h - the intel target -------------------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TARGETS_INTEL_INTEL_H
#define ISTHMUS_TARGETS_INTEL_INTEL_H

#include "targets/Target.h"

namespace isthmus::intel {

Target target();

} // namespace isthmus::intel

#endif // ISTHMUS_TARGETS_INTEL_INTEL_H
