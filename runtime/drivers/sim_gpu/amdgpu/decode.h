//===- decode.h - machine code to instructions ------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_AMDGPU_DECODE_H
#define ISTHMUS_SIM_GPU_AMDGPU_DECODE_H

#include "wave.h"

namespace isthmus::simgpu::amdgpu {

/// One instruction's text to its record. False: `error` says what is not known.
bool parseInstruction(std::string_view text, const KernelFacts &kernel,
                      Inst &inst, std::string &error);

/// Fills `kernel.code` with what is reachable from `kernel.entry`. `image` is
/// the code object as it is loaded, whose executable part is [begin, end).
bool decodeKernel(const std::string &chip, const std::vector<uint8_t> &image,
                  uint64_t begin, uint64_t end, KernelFacts &kernel,
                  std::string &error);

} // namespace isthmus::simgpu::amdgpu

#endif // ISTHMUS_SIM_GPU_AMDGPU_DECODE_H
