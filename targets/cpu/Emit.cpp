//===- Emit.cpp - CPU objects and the shared object they make -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/cpu/CPU.h"

#include "mlir/Target/LLVMIR/Export.h"
#include "lld/Common/Driver.h"
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
  });
}

static std::unique_ptr<llvm::TargetMachine>
makeMachine(const TargetInfo &info, std::string &error) {
  initializeLLVM();
  llvm::Triple triple(info.triple);
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, info.cpu, info.features, options, llvm::Reloc::PIC_,
      llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
}

/// Optimizes `code` and appends its object file to `bytes`.
static void emitObject(llvm::Module &code, llvm::TargetMachine &machine,
                       const TargetInfo &info,
                       llvm::SmallVectorImpl<char> &bytes) {
  code.setTargetTriple(machine.getTargetTriple());
  code.setDataLayout(machine.createDataLayout());
  code.setPICLevel(llvm::PICLevel::BigPIC);
  for (llvm::Function &f : code) {
    f.addFnAttr("target-cpu", info.cpu);
    if (!info.features.empty())
      f.addFnAttr("target-features", info.features);
    // Nothing may become a call to a C library that is not there.
    f.addFnAttr("no-builtins");
    if (info.vectorBytes >= 64)
      f.addFnAttr("prefer-vector-width", "512");
  }
  llvm::TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  llvm::LoopAnalysisManager lam;
  llvm::FunctionAnalysisManager fam;
  llvm::CGSCCAnalysisManager cgam;
  llvm::ModuleAnalysisManager mam;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = true;
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
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager codegen;
  codegen.add(new llvm::TargetLibraryInfoWrapperPass(library));
  // Every row's target emits objects.
  (void)machine.addPassesToEmitFile(codegen, stream, nullptr,
                                    llvm::CodeGenFileType::ObjectFile);
  codegen.run(code);
}

static mlir::FailureOr<KernelObject> compile(mlir::ModuleOp module,
                                             const TargetInfo &info) {
  KernelObject object;
  if (failed(cpu::lowerToLLVM(module, info, object)))
    return mlir::failure();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code =
      mlir::translateModuleToLLVMIR(module, context);
  if (!code)
    return module.emitError("translation to LLVM IR failed");
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(info, error);
  if (!machine)
    return module.emitError(error);
  emitObject(*code, *machine, info, object.bytes);
  return object;
}

/// Links the objects with lld, in this process. lld keeps global state, so one
/// link at a time.
static mlir::FailureOr<llvm::SmallVector<char, 0>>
linkObjects(llvm::ArrayRef<KernelObject> objects, const TargetInfo &info,
            std::string &error) {
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  llvm::SmallString<128> dir;
  if (std::error_code ec = llvm::sys::fs::createUniqueDirectory("isthmus", dir)) {
    error = "cannot make a temporary folder: " + ec.message();
    return mlir::failure();
  }
  struct Remover {
    llvm::StringRef dir;
    ~Remover() { llvm::sys::fs::remove_directories(dir); }
  } remover{dir};
  std::string out = (dir + "/code.elf").str();
  std::vector<std::string> args = {
      "ld.lld",    "-shared",          "--no-undefined", "--build-id=none",
      "-znow",     "-znoexecstack",    "--hash-style=sysv",
      "--threads=1", "-zseparate-code", "-zmax-page-size=4096", "-o", out};
  // A program without kernels has a code object all the same.
  KernelObject none;
  if (objects.empty()) {
    llvm::LLVMContext context;
    llvm::Module empty("empty", context);
    std::unique_ptr<llvm::TargetMachine> machine = makeMachine(info, error);
    if (!machine)
      return mlir::failure();
    emitObject(empty, *machine, info, none.bytes);
    objects = none;
  }
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

Target cpu::target() {
  return {"cpu", "x86-64, aarch64 and riscv64 CPUs", cpu::parseCPU, cpu::listCPU,
          compile, linkObjects, "elf"};
}
