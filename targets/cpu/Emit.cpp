//===- Emit.cpp - CPU objects and the shared object they make -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/Emit.h"
#include "targets/cpu/CPU.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicInst.h"

using namespace isthmus;

/// The one lane of a constant mask, or nothing.
static std::optional<unsigned> onlyLane(const llvm::Value *mask) {
  auto *constant = llvm::dyn_cast<llvm::Constant>(mask);
  auto *type = llvm::dyn_cast<llvm::FixedVectorType>(mask->getType());
  std::optional<unsigned> lane;
  for (unsigned i = 0; constant && type && i < type->getNumElements(); ++i) {
    llvm::Constant *element = constant->getAggregateElement(i);
    if (!element || (!element->isNullValue() && lane))
      return std::nullopt;
    if (!element->isNullValue())
      lane = i;
  }
  return lane;
}

/// Stores of one lane become plain ones. LLVM 22.1 does so itself, and stores
/// the whole of what the lane was truncated from.
static void storeSingleLanes(llvm::Module &code) {
  llvm::SmallVector<llvm::IntrinsicInst *> stores;
  for (llvm::Function &f : code)
    for (llvm::BasicBlock &block : f)
      for (llvm::Instruction &inst : block)
        if (auto *call = llvm::dyn_cast<llvm::IntrinsicInst>(&inst);
            call && call->getIntrinsicID() == llvm::Intrinsic::masked_store)
          stores.push_back(call);
  for (llvm::IntrinsicInst *store : stores) {
    auto lane = onlyLane(store->getArgOperand(store->arg_size() - 1));
    if (!lane)
      continue;
    llvm::IRBuilder<> b(store);
    llvm::Value *element =
        b.CreateExtractElement(store->getArgOperand(0), *lane);
    b.CreateAlignedStore(element,
                         b.CreateConstGEP1_64(element->getType(),
                                              store->getArgOperand(1), *lane),
                         llvm::Align(1));
    store->eraseFromParent();
  }
}

/// Optimizes `code` and appends its object file to `bytes`.
static void emitObject(llvm::Module &code, llvm::TargetMachine &machine,
                       const TargetInfo &info,
                       llvm::SmallVectorImpl<char> &bytes) {
  code.setPICLevel(llvm::PICLevel::BigPIC);
  if (info.vectorBytes >= 64)
    for (llvm::Function &f : code)
      f.addFnAttr("prefer-vector-width", "512");
  optimize(code, machine, info);
  storeSingleLanes(code);
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
