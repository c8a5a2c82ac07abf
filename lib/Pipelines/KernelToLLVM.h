//===- KernelToLLVM.h - what every LLVM target shares -----------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_KERNELTOLLVM_H
#define ISTHMUS_LIB_PIPELINES_KERNELTOLLVM_H

#include "targets/Target.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/PassManager.h"

namespace isthmus {

/// The contiguous row-major memref of `type` at the LLVM pointer `pointer`;
/// `sizes` has one entry a dim.
mlir::Value makeMemRef(mlir::OpBuilder &b, mlir::Location loc,
                       mlir::MemRefType type, mlir::Value pointer,
                       llvm::ArrayRef<mlir::OpFoldResult> sizes);

/// Maps the sizes and bindings of `k` to the values in `arguments`: indices,
/// then LLVM pointers.
void mapArguments(mlir::OpBuilder &b, kernel::FuncOp k,
                  mlir::ValueRange arguments, mlir::IRMapping &map);

/// Makes `fail` a store of its code, noted in `object`, to `errorWord`.
void lowerFailIf(kernel::FailIfOp fail, mlir::Value errorWord,
                 KernelObject &object);

/// The passes from func, scf, arith, math, vector and memref to the LLVM
/// dialect; math without any math library.
void addPassesToLLVM(mlir::OpPassManager &pm, const TargetInfo &info);

/// bf16 as i16 all through `f`, which does no arithmetic on it any more: LLVM
/// would choose or hand on some in f32, and call a library to round it again.
void carryBF16(mlir::LLVM::LLVMFuncOp f);

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_KERNELTOLLVM_H
