//===- code_object.h - an AMD code object as a container --------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_AMDGPU_CODE_OBJECT_H
#define ISTHMUS_SIM_GPU_AMDGPU_CODE_OBJECT_H

#include "wave.h"

namespace isthmus::simgpu::amdgpu {

/// A code object as it lies in memory, and the facts of its kernels, code not
/// decoded yet.
struct CodeObject {
  std::string chip; // "gfx942", "gfx11-generic"
  std::vector<uint8_t> image;
  uint64_t codeBegin = 0, codeEnd = 0; // in the image
  std::vector<KernelFacts> kernels;
};

/// Reads an untrusted ELF file. False: `error` says what is wrong.
bool readCodeObject(const uint8_t *data, size_t bytes, CodeObject &object,
                    std::string &error);

} // namespace isthmus::simgpu::amdgpu

#endif // ISTHMUS_SIM_GPU_AMDGPU_CODE_OBJECT_H
