//===- Kernel.h - the kernel dialect ---------------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_KERNEL_H
#define ISTHMUS_DIALECTS_KERNEL_KERNEL_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Kernel/KernelOpsDialect.h.inc"
#include "dialects/Kernel/KernelOpsEnums.h.inc"

namespace isthmus::kernel {

enum class Access : int32_t { in = 0, out = 1, inout = 2 };

/// The range of one size, both ends included.
struct SizeRange {
  int64_t min = 0;
  int64_t max = std::numeric_limits<int64_t>::max();
};

/// One binding: a memref type, and for each `?` of it which size it is.
struct Binding {
  Access access;
  mlir::MemRefType type;
  llvm::SmallVector<int64_t> dims;
  int64_t align = 0; // bytes; 0: the element's natural alignment
};

/// The memory space of workgroup memory, on every target.
inline constexpr unsigned kWorkgroupSpace = 3;

/// The memory space of a lane's own memory (memref.alloca), in form(lanes).
inline constexpr unsigned kPrivateSpace = 5;

} // namespace isthmus::kernel

#define GET_ATTRDEF_CLASSES
#include "dialects/Kernel/KernelOpsAttributes.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Kernel/KernelOpsTypes.h.inc"
#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.h.inc"

#endif // ISTHMUS_DIALECTS_KERNEL_KERNEL_H
