//===- Target.h - what a target is -----------------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A target is a table of facts plus a few functions. Shared passes ask the
// facts, never which vendor it is.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TARGETS_TARGET_H
#define ISTHMUS_TARGETS_TARGET_H

#include "dialects/Kernel/Kernel.h"
#include "targets/MatrixUnit.h"
#include "targets/Tuning.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace isthmus {

/// The facts about one target that plans and passes may ask.
struct TargetInfo {
  std::string name;     // as given to --target and written in the artifact
  std::string triple;   // LLVM target triple
  std::string cpu;      // LLVM -mcpu
  std::string features; // LLVM -mattr
  kernel::Form form = kernel::Form::tiled; // the form `emit` takes
  unsigned vectorBytes = 16;               // widest vector that is worth using
  unsigned vectorRegisters = 16;           // architectural vector registers
  bool fma = true;             // multiplies and adds with one rounding
  bool half = true;            // converts between f16 and f32
  unsigned subgroup = 0;       // lanes that run as one; 0: not fixed
  unsigned maxGroup = 1;       // lanes a workgroup
  unsigned workgroupBytes = 0; // workgroup memory of a kernel, 0: as you like
  unsigned busyGroups = 16;    // workgroups that a device is busy with
  unsigned l1Bytes = 32 << 10, l2Bytes = 512 << 10;
  /// What multiplies tiles, the fastest of its types first.
  llvm::ArrayRef<MatrixUnit> units;
  /// The most bytes that a lane copies to workgroup memory without waiting; 0:
  /// it loads and stores them.
  unsigned asyncCopyBytes = 0;
  /// Caches bring what they are told of before it is loaded: a ring's producer
  /// tells them of the slot after the one that it copies.
  bool prefetchesCaches = false;
  /// A subgroup loads matrices of 8 rows of 16 bytes from workgroup memory
  /// together (kernel.load_matrices).
  bool matrixLoads = false;
  /// f32 products may be made of tf32 operands: asked for, never a default.
  bool tf32 = false;
  /// Choices that were measured; null: none. Not owned.
  Tuning *tuning = nullptr;
  /// What a device must offer to run this code, as key and value.
  std::vector<std::pair<std::string, std::string>> requires_;
};

/// What a lane of a kernel has of the chip's registers; -1: not known before a
/// driver assembles it, or not a thing to know.
struct Registers {
  int vector = -1, scalar = -1, spilled = -1;
};

/// One kernel, compiled: what the linker and the program writer need.
struct KernelObject {
  std::string name;
  llvm::SmallVector<char, 0> bytes;
  bool usesErrorWord = false;
  std::vector<std::string> errors; // errors[i] is the message of code i + 1
  int64_t workgroupBytes = 0;      // of static workgroup memory
  Registers registers = {};
};

struct Target {
  const char *vendor; // "cpu"
  const char *help;
  /// Facts of `arch` ("x86-64-v3", "native"), or nothing with `error` set.
  std::optional<TargetInfo> (*parse)(llvm::StringRef arch, std::string &error);
  /// The names that parse takes.
  std::vector<std::string> (*list)();
  /// Compiles a module holding one kernel.func in the target's form. Thread
  /// safe for modules of different contexts. Diagnostics go on the op.
  mlir::FailureOr<KernelObject> (*compile)(mlir::ModuleOp, const TargetInfo &);
  /// Joins kernel objects into one code object.
  mlir::FailureOr<llvm::SmallVector<char, 0>> (*link)(
      llvm::ArrayRef<KernelObject>, const TargetInfo &, std::string &error);
  const char *format; // "elf"
  /// What this code asks of a device beyond TargetInfo::requires_, added to
  /// lists of the same key; may be null.
  std::vector<std::pair<std::string, std::string>> (*requirements)(
      llvm::ArrayRef<char> code) = nullptr;
};

/// Every target; targets/Targets.cpp is the only list.
llvm::ArrayRef<Target> allTargets();

/// "vendor:arch" to its target and facts; `error` says what is known.
const Target *findTarget(llvm::StringRef spec, TargetInfo &info,
                         std::string &error);

} // namespace isthmus

#endif // ISTHMUS_TARGETS_TARGET_H
