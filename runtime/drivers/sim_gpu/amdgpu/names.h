//===- names.h - names of operations over the generations -------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_AMDGPU_NAMES_H
#define ISTHMUS_SIM_GPU_AMDGPU_NAMES_H

#include <string>
#include <string_view>

namespace isthmus::simgpu::amdgpu {

/// The name that the tables of operations use: without encoding, and gfx9's
/// where later generations call the same thing otherwise.
std::string canonicalName(std::string_view mnemonic);

} // namespace isthmus::simgpu::amdgpu

#endif // ISTHMUS_SIM_GPU_AMDGPU_NAMES_H
