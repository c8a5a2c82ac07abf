//===- Lifetimes.h - from where to where memory is needed ------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_LIFETIMES_H
#define ISTHMUS_LIB_PIPELINES_LIFETIMES_H

#include "lib/Artifact/program_generated.h"

namespace isthmus {

/// Sets `first` and `last` of the function's transients from its code, and
/// `pool` of those that a loop carries into its next iteration: the next one is
/// made while the last one is still read.
///
/// What is made before a loop and used in it lives until the loop's end. Behind
/// every end_loop and end_if stands a nop, the first command that is reached
/// whatever was taken; lifetimes that end with a loop or branch end there.
void setLifetimes(fb::FunctionT &function);

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_LIFETIMES_H
