//===- LanesToLLVM.h - form(lanes) to the LLVM dialect ----------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One lowering for every SIMT vendor. What differs between them is a record of
// names and numbers.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_LANESTOLLVM_H
#define ISTHMUS_LIB_PIPELINES_LANESTOLLVM_H

#include "targets/Target.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

#include <optional>

namespace isthmus {

/// What a vendor calls one of our ops: an LLVM intrinsic (its name begins with
/// "llvm.") or a function that the vendor's loader defines.
struct LanesCall {
  const char *name;
  unsigned bits;                   // of the integer it returns; 0: nothing
  std::optional<int32_t> argument; // one i32 constant, or none
};

/// How a vendor says what form(lanes) says.
struct LanesFacts {
  mlir::LLVM::CConv kernelConvention; // of the kernel
  mlir::LLVM::CConv callConvention;   // of LanesCall functions
  LanesCall groupId, laneId, barrier;
  /// The barrier that makes bindings visible as well.
  LanesCall wideBarrier;
  /// How a lane gets another's i32; none where subgroups are not known.
  enum class Shuffle { none, xorMask, byAddress } shuffle;
  const char *shuffleName;
  /// The synchronization scope of fences around the barrier, and the memory
  /// they order unless bindings are concerned; null where the barrier itself
  /// orders memory.
  const char *fenceScope, *fenceMemory;
  /// The LLVM address space of memory space 5, a lane's own.
  unsigned privateSpace;
  /// bf16 is a type of the assembler's; else it travels as i16.
  bool bf16;
  /// LLVM function attributes of the kernel; "{group}" becomes the group size.
  llvm::ArrayRef<std::pair<const char *, const char *>> attributes;
  /// Intrinsics that copy 4, 8 and 16 bytes (to, from, bytes that are read),
  /// make a batch, and wait; null where TargetInfo::asyncCopyBytes is 0.
  struct {
    const char *copy4, *copy8, *copy16, *commit, *wait;
  } async = {};
  /// Where TargetInfo::matrixLoads: the intrinsic without its count and type.
  const char *loadMatrices = nullptr;
  /// Assembly that waits for a lane's own writes to workgroup memory, and to
  /// bindings too, before a barrier; null where fences do that.
  const char *wait = nullptr, *wideWait = nullptr;
  /// Where TargetInfo::prefetchesCaches: functions of an address in space 1 and
  /// the number 1, as i64, for elements of 1, 2, 4, 8 and 16 bytes.
  const char *prefetch[5] = {};
};

/// Rewrites the one kernel.func in `module`, form(lanes), into an LLVM function
/// of its name: sizes as i64 by value, then bindings as pointers to space 1,
/// then, if it can fail, the error word. Workgroup memory becomes globals in
/// space 3.
mlir::LogicalResult lowerLanesToLLVM(mlir::ModuleOp module,
                                     const TargetInfo &info,
                                     const LanesFacts &facts,
                                     KernelObject &object);

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_LANESTOLLVM_H
