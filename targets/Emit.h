//===- Emit.h - what targets share on the way out of LLVM -------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TARGETS_EMIT_H
#define ISTHMUS_TARGETS_EMIT_H

#include "lib/Pipelines/LanesToLLVM.h"
#include "targets/Target.h"

#include "llvm/IR/Module.h"
#include "llvm/Support/CodeGen.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>

namespace isthmus {

/// The chip of a product's name ("h100"), or the name itself.
inline llvm::StringRef
chipOf(llvm::StringRef name,
       llvm::ArrayRef<std::pair<const char *, const char *>> products) {
  for (auto [product, chip] : products)
    if (name == product)
      return chip;
  return name;
}

/// LLVM's machine for `info`; null with `error` set.
std::unique_ptr<llvm::TargetMachine>
makeMachine(const TargetInfo &info, std::string &error,
            llvm::CodeGenOptLevel level = llvm::CodeGenOptLevel::Default);

/// The LLVM module of an MLIR module in the LLVM dialect, laid out as `machine`
/// lays data out; null after a diagnostic.
std::unique_ptr<llvm::Module> translate(mlir::ModuleOp module,
                                        const llvm::TargetMachine &machine,
                                        llvm::LLVMContext &context);

/// Optimizes `code` for `machine`. Nothing becomes a call to a library.
void optimize(llvm::Module &code, llvm::TargetMachine &machine,
              const TargetInfo &info);

/// Appends the assembly or the object of `code` to `bytes`.
void emitFile(llvm::Module &code, llvm::TargetMachine &machine,
              llvm::CodeGenFileType type, llvm::SmallVectorImpl<char> &bytes);

/// What emitFile makes of no code at all: a program may have no kernels.
mlir::FailureOr<llvm::SmallVector<char, 0>>
emitNothing(const TargetInfo &info, llvm::CodeGenFileType type,
            std::string &error);

/// Links ELF objects, or none, with lld, in this process; `options` are ld's.
mlir::FailureOr<llvm::SmallVector<char, 0>>
linkElf(llvm::ArrayRef<KernelObject> objects, const TargetInfo &info,
        llvm::ArrayRef<const char *> options, std::string &error);

/// The optimized LLVM module of the one form(lanes) kernel in `module`. It
/// refers to nothing outside but the functions in `facts`.
mlir::FailureOr<std::unique_ptr<llvm::Module>>
makeLanesModule(mlir::ModuleOp module, const TargetInfo &info,
                const LanesFacts &facts, llvm::TargetMachine &machine,
                llvm::LLVMContext &context, KernelObject &object);

} // namespace isthmus

#endif // ISTHMUS_TARGETS_EMIT_H
