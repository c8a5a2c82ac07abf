//===- CPU.h - the cpu target ----------------------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TARGETS_CPU_CPU_H
#define ISTHMUS_TARGETS_CPU_CPU_H

#include "targets/Target.h"

namespace isthmus::cpu {

Target target();

/// The facts of "x86-64-v3", "native", ...
std::optional<TargetInfo> parseCPU(llvm::StringRef arch, std::string &error);
std::vector<std::string> listCPU();

// Dot products of vectors (Units.cpp).
llvm::ArrayRef<MatrixUnit> avx512VnniUnits();
llvm::ArrayRef<MatrixUnit> avx512Units();
llvm::ArrayRef<MatrixUnit> avxVnniUnits();
llvm::ArrayRef<MatrixUnit> avx2Units();
llvm::ArrayRef<MatrixUnit> sse2Units();
llvm::ArrayRef<MatrixUnit> wideningUnits();
/// A product of vectors by one of them, as LLVM's intrinsic; leaves the op.
mlir::LogicalResult lowerMma(kernel::MmaOp op, const TargetInfo &info);

/// Rewrites the one kernel.func in `module` (form(tiled)) into the entry
/// point `void name(const uint64_t *args, uint64_t begin, uint64_t end)` over
/// a body function, in the LLVM dialect.
mlir::LogicalResult lowerToLLVM(mlir::ModuleOp module, const TargetInfo &info,
                                KernelObject &object);

} // namespace isthmus::cpu

#endif // ISTHMUS_TARGETS_CPU_CPU_H
