//===- Emit.cpp - CPU objects and the shared object they make -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/Emit.h"
#include "targets/cpu/CPU.h"

using namespace isthmus;

/// Optimizes `code` and appends its object file to `bytes`.
static void emitObject(llvm::Module &code, llvm::TargetMachine &machine,
                       const TargetInfo &info,
                       llvm::SmallVectorImpl<char> &bytes) {
  code.setPICLevel(llvm::PICLevel::BigPIC);
  if (info.vectorBytes >= 64)
    for (llvm::Function &f : code)
      f.addFnAttr("prefer-vector-width", "512");
  optimize(code, machine, info);
  emitFile(code, machine, llvm::CodeGenFileType::ObjectFile, bytes);
}

static mlir::FailureOr<KernelObject> compile(mlir::ModuleOp module,
                                             const TargetInfo &info) {
  KernelObject object;
  if (failed(cpu::lowerToLLVM(module, info, object)))
    return mlir::failure();
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(info, error);
  if (!machine)
    return module.emitError(error);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code = translate(module, *machine, context);
  if (!code)
    return mlir::failure();
  emitObject(*code, *machine, info, object.bytes);
  return object;
}

static mlir::FailureOr<llvm::SmallVector<char, 0>>
linkObjects(llvm::ArrayRef<KernelObject> objects, const TargetInfo &info,
            std::string &error) {
  return linkElf(objects, info,
                 {"-shared", "-znow", "-znoexecstack", "-zseparate-code",
                  "-zmax-page-size=4096"},
                 error);
}

Target cpu::target() {
  return {"cpu",         "x86-64, aarch64 and riscv64 CPUs",
          cpu::parseCPU, cpu::listCPU,
          compile,       linkObjects,
          "elf"};
}
