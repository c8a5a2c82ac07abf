//===- Emit.cpp - what targets share on the way out of LLVM ---------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/Emit.h"

#include "lld/Common/Driver.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace isthmus;

static void initializeLLVM() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    llvm::InitializeAllAsmParsers(); // of inline assembly
  });
}

std::unique_ptr<llvm::TargetMachine>
isthmus::makeMachine(const TargetInfo &info, std::string &error,
                     llvm::CodeGenOptLevel level) {
  initializeLLVM();
  llvm::Triple triple(info.triple);
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, info.cpu, info.features, options, llvm::Reloc::PIC_,
      llvm::CodeModel::Small, level));
}

std::unique_ptr<llvm::Module>
isthmus::translate(mlir::ModuleOp module, const llvm::TargetMachine &machine,
                   llvm::LLVMContext &context) {
  // Loads and stores get their alignment here.
  mlir::Builder b(module.getContext());
  module->setAttr(
      mlir::LLVM::LLVMDialect::getDataLayoutAttrName(),
      b.getStringAttr(machine.createDataLayout().getStringRepresentation()));
  module->setAttr(mlir::LLVM::LLVMDialect::getTargetTripleAttrName(),
                  b.getStringAttr(machine.getTargetTriple().str()));
  std::unique_ptr<llvm::Module> code =
      mlir::translateModuleToLLVMIR(module, context);
  if (!code)
    module.emitError("translation to LLVM IR failed");
  return code;
}

void isthmus::optimize(llvm::Module &code, llvm::TargetMachine &machine,
                       const TargetInfo &info) {
  for (llvm::Function &f : code) {
    if (!info.cpu.empty())
      f.addFnAttr("target-cpu", info.cpu);
    if (!info.features.empty())
      f.addFnAttr("target-features", info.features);
    // Nothing may become a call to a C library that is not there.
    f.addFnAttr("no-builtins");
  }
  llvm::TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  llvm::LoopAnalysisManager lam;
  llvm::FunctionAnalysisManager fam;
  llvm::CGSCCAnalysisManager cgam;
  llvm::ModuleAnalysisManager mam;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = info.form == kernel::Form::tiled;
  tuning.SLPVectorization = false;
  llvm::PassBuilder builder(&machine, tuning);
  fam.registerPass([&] { return llvm::TargetLibraryAnalysis(library); });
  builder.registerModuleAnalyses(mam);
  builder.registerCGSCCAnalyses(cgam);
  builder.registerFunctionAnalyses(fam);
  builder.registerLoopAnalyses(lam);
  builder.crossRegisterProxies(lam, fam, cgam, mam);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2)
      .run(code, mam);
}

void isthmus::emitFile(llvm::Module &code, llvm::TargetMachine &machine,
                       llvm::CodeGenFileType type,
                       llvm::SmallVectorImpl<char> &bytes) {
  llvm::TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager codegen;
  codegen.add(new llvm::TargetLibraryInfoWrapperPass(library));
  // Every row's target emits what is asked of it.
  (void)machine.addPassesToEmitFile(codegen, stream, nullptr, type);
  codegen.run(code);
}

mlir::FailureOr<llvm::SmallVector<char, 0>>
isthmus::emitNothing(const TargetInfo &info, llvm::CodeGenFileType type,
                     std::string &error) {
  llvm::LLVMContext context;
  llvm::Module empty("empty", context);
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(info, error);
  if (!machine)
    return mlir::failure();
  empty.setTargetTriple(machine->getTargetTriple());
  empty.setDataLayout(machine->createDataLayout());
  llvm::SmallVector<char, 0> bytes;
  emitFile(empty, *machine, type, bytes);
  return bytes;
}

// lld keeps global state, so one link at a time.
mlir::FailureOr<llvm::SmallVector<char, 0>>
isthmus::linkElf(llvm::ArrayRef<KernelObject> objects, const TargetInfo &info,
                 llvm::ArrayRef<const char *> options, std::string &error) {
  // A program without kernels has a code object all the same.
  KernelObject none;
  if (objects.empty()) {
    auto bytes = emitNothing(info, llvm::CodeGenFileType::ObjectFile, error);
    if (failed(bytes))
      return mlir::failure();
    none.bytes = std::move(*bytes);
    objects = none;
  }
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  llvm::SmallString<128> dir;
  if (std::error_code ec =
          llvm::sys::fs::createUniqueDirectory("isthmus", dir)) {
    error = "cannot make a temporary folder: " + ec.message();
    return mlir::failure();
  }
  struct Remover {
    llvm::StringRef dir;
    ~Remover() { llvm::sys::fs::remove_directories(dir); }
  } remover{dir};
  std::string out = (dir + "/code.elf").str();
  std::vector<std::string> args = {"ld.lld"};
  args.insert(args.end(), options.begin(), options.end());
  args.insert(args.end(), {"--no-undefined", "--build-id=none",
                           "--hash-style=sysv", "--threads=1", "-o", out});
  for (size_t i = 0; i < objects.size(); ++i) {
    std::string path = (dir + "/" + std::to_string(i) + ".o").str();
    std::error_code ec;
    llvm::raw_fd_ostream file(path, ec);
    if (ec) {
      error = "cannot write " + path + ": " + ec.message();
      return mlir::failure();
    }
    file.write(objects[i].bytes.data(), objects[i].bytes.size());
    args.push_back(path);
  }
  std::vector<const char *> argv;
  for (const std::string &arg : args)
    argv.push_back(arg.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  lld::Result result =
      lld::lldMain(argv, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0) {
    error = "linking the kernels failed: " + messages;
    return mlir::failure();
  }
  auto buffer = llvm::MemoryBuffer::getFile(out);
  if (!buffer) {
    error = "cannot read " + out;
    return mlir::failure();
  }
  return llvm::SmallVector<char, 0>((*buffer)->getBufferStart(),
                                    (*buffer)->getBufferEnd());
}

mlir::FailureOr<std::unique_ptr<llvm::Module>>
isthmus::makeLanesModule(mlir::ModuleOp module, const TargetInfo &info,
                         const LanesFacts &facts, llvm::TargetMachine &machine,
                         llvm::LLVMContext &context, KernelObject &object) {
  mlir::Location loc = module.getLoc();
  if (failed(lowerLanesToLLVM(module, info, facts, object)))
    return mlir::failure();
  std::unique_ptr<llvm::Module> code = translate(module, machine, context);
  if (!code)
    return mlir::failure();
  optimize(*code, machine, info);
  // Loaders would find a missing function, but only at the user's.
  llvm::SmallVector<llvm::StringRef> known = {
      facts.groupId.name, facts.laneId.name, facts.barrier.name};
  if (info.prefetchesCaches)
    known.append(std::begin(facts.prefetch), std::end(facts.prefetch));
  for (llvm::Function &f : *code)
    if (f.isDeclaration() && !f.isIntrinsic() &&
        !llvm::is_contained(known, f.getName()))
      return mlir::emitError(loc, "kernel '")
             << object.name << "' needs the function " << f.getName().str()
             << ", which " << info.name << " does not have";
  return code;
}
