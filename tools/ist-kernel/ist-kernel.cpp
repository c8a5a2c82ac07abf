//===- ist-kernel.cpp - compile kernels, for developers -------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every kernel.func of some files, in the target's form or in form(tiled), into
// one code object.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Distribute.h"
#include "targets/Target.h"

#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace isthmus;
namespace cl = llvm::cl;

static cl::list<std::string> inputs(cl::Positional, cl::desc("file.mlir ..."));
static cl::opt<std::string> output("o", cl::desc("the code object"),
                                   cl::init("-"));
static cl::opt<std::string> spec("target", cl::desc("vendor:arch"),
                                 cl::init("cpu:native"));
static cl::opt<bool> listTargets("list-targets",
                                 cl::desc("print the targets and exit"));

static int fail(const char *code, const llvm::Twine &text) {
  llvm::errs() << "error: " << code << ": " << text << "\n";
  return 1;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::ParseCommandLineOptions(argc, argv, "ist-kernel: compile kernels\n");
  if (listTargets) {
    for (const Target &target : allTargets())
      for (const std::string &arch : target.list())
        llvm::outs() << target.vendor << ":" << arch << " " << target.format
                     << "\n";
    return 0;
  }
  // lld forgets all options when it is done.
  std::string path = output;
  TargetInfo info;
  std::string error;
  const Target *target = findTarget(spec, info, error);
  if (!target)
    return fail("IST-T0005", error);

  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerBuiltinDialectTranslation(registry);
  mlir::registerLLVMDialectTranslation(registry);
  registry.insert<kernel::KernelDialect>();
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  std::vector<KernelObject> objects;
  for (const std::string &input : inputs) {
    llvm::SourceMgr sources;
    mlir::SourceMgrDiagnosticHandler handler(sources, &context);
    auto module =
        mlir::parseSourceFile<mlir::ModuleOp>(input, sources, &context);
    if (!module)
      return fail("IST-T0006", input + " does not parse");
    for (kernel::FuncOp k : module->getOps<kernel::FuncOp>()) {
      mlir::OwningOpRef<mlir::ModuleOp> one =
          mlir::ModuleOp::create(k.getLoc());
      auto copy = mlir::cast<kernel::FuncOp>(k->clone());
      one->push_back(copy);
      if (info.form == kernel::Form::lanes && copy.getGroup() &&
          copy.getForm() == kernel::Form::tiled &&
          failed(kernel::distribute(copy, info)))
        return fail("IST-T0007",
                    "kernel '" + k.getSymName() + "' has no form(lanes)");
      mlir::FailureOr<KernelObject> object = target->compile(*one, info);
      if (failed(object))
        return fail("IST-T0007", "kernel '" + k.getSymName() +
                                     "' does not compile for " + info.name);
      objects.push_back(std::move(*object));
    }
  }
  if (objects.empty())
    return fail("IST-T0006", "no kernel.func given");
  auto bytes = target->link(objects, info, error);
  if (failed(bytes))
    return fail("IST-T0008", error);
  std::error_code ec;
  llvm::ToolOutputFile file(path, ec, llvm::sys::fs::OpenFlags(0));
  if (ec)
    return fail("IST-T0009", "cannot write " + path + ": " + ec.message());
  file.os().write(bytes->data(), bytes->size());
  file.keep();
  return 0;
}
