//===- NVIDIA.cpp - the nvidia target: PTX text ---------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/nvidia/NVIDIA.h"
#include "targets/Emit.h"

using namespace isthmus;
using mlir::LLVM::cconv::CConv;

namespace {
struct Row {
  const char *arch, *features;
};
} // namespace

// PTX versions: the first that knows the chip, so that old drivers take it.
static const Row rows[] = {{"sm_80", "+ptx70"},
                           {"sm_86", "+ptx71"},
                           {"sm_89", "+ptx78"},
                           {"sm_90a", "+ptx80"},
                           {"sm_100a", "+ptx86"}};

static const std::pair<const char *, const char *> products[] = {
    {"a100", "sm_80"},  {"a10", "sm_86"},   {"rtx3090", "sm_86"},
    {"l4", "sm_89"},    {"l40s", "sm_89"},  {"rtx4090", "sm_89"},
    {"h100", "sm_90a"}, {"h200", "sm_90a"}, {"b200", "sm_100a"}};

static const std::pair<const char *, const char *> attributes[] = {
    {"nvvm.reqntid", "{group}"}};

static const LanesFacts facts = {
    CConv::PTX_Kernel,
    CConv::C,
    {"llvm.nvvm.read.ptx.sreg.ctaid.x", 32, std::nullopt},
    {"llvm.nvvm.read.ptx.sreg.tid.x", 32, std::nullopt},
    {"llvm.nvvm.barrier.cta.sync.aligned.all", 0, 0},
    {"llvm.nvvm.barrier.cta.sync.aligned.all", 0, 0},
    LanesFacts::Shuffle::xorMask,
    "llvm.nvvm.shfl.sync.bfly.i32",
    /*fenceScope=*/nullptr,
    /*fenceMemory=*/nullptr,
    /*privateSpace=*/0,
    /*bf16=*/true,
    attributes,
    {"llvm.nvvm.cp.async.ca.shared.global.4.s",
     "llvm.nvvm.cp.async.ca.shared.global.8.s",
     "llvm.nvvm.cp.async.cg.shared.global.16.s",
     "llvm.nvvm.cp.async.commit.group", "llvm.nvvm.cp.async.wait.group"},
    "llvm.nvvm.ldmatrix.sync.aligned.m8n8"};

/// What a device must offer to run this PTX. All that a chip builds upon is
/// named, so that of two variants that fit the one for the later chip asks for
/// more, and is taken. An `a` or `f` is no base for later chips: what follows
/// it is.
static std::string featuresFor(const Row &wanted) {
  std::string all;
  for (const Row &row : rows) {
    llvm::StringRef base = llvm::StringRef(row.arch).rtrim("af");
    all += base.str() + ",";
    if (&row != &wanted)
      continue;
    if (base != row.arch)
      all += std::string(row.arch) + ",";
    break;
  }
  return all + llvm::StringRef(wanted.features).drop_front().str(); // "+ptx80"
}

static std::optional<TargetInfo> parse(llvm::StringRef arch,
                                       std::string &error) {
  arch = chipOf(arch, products);
  for (const Row &row : rows) {
    if (arch != row.arch)
      continue;
    TargetInfo info;
    info.name = std::string("nvidia:") + row.arch;
    info.form = kernel::Form::lanes;
    info.triple = "nvptx64-nvidia-cuda";
    info.cpu = row.arch;
    info.features = row.features;
    info.subgroup = 32;
    info.busyGroups = 128;
    info.maxGroup = 1024;
    // Static .shared; chips have more for kernels that size it at launch.
    info.workgroupBytes = 48 << 10;
    info.units = nvidia::matrixUnits();
    info.asyncCopyBytes = 16;
    info.matrixLoads = true;
    info.requires_ = {{"nvidia.features", featuresFor(row)}};
    return info;
  }
  error = "unknown nvidia chip '" + arch.str() + "'; known:";
  for (const Row &row : rows)
    error += std::string(" ") + row.arch;
  return std::nullopt;
}

static std::vector<std::string> list() {
  std::vector<std::string> names;
  for (const Row &row : rows)
    names.push_back(row.arch);
  return names;
}

static mlir::FailureOr<KernelObject> compile(mlir::ModuleOp module,
                                             const TargetInfo &info) {
  mlir::Location loc = module.getLoc();
  KernelObject object;
  std::string error;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(info, error);
  if (!machine)
    return mlir::emitError(loc, error);
  auto code = makeLanesModule(module, info, facts, *machine, context, object);
  if (failed(code))
    return mlir::failure();
  emitFile(**code, *machine, llvm::CodeGenFileType::AssemblyFile, object.bytes);
  // Code generation may still have asked for a library function.
  llvm::StringRef text(object.bytes.data(), object.bytes.size());
  if (size_t at = text.find(".extern"); at != llvm::StringRef::npos)
    return mlir::emitError(loc, "kernel '")
           << object.name << "' needs a library: "
           << text.substr(at).take_until([](char c) { return c == '\n'; });
  return object;
}

/// One PTX module: the first one's header, then all bodies. The names in a
/// kernel's body begin with the kernel's.
static mlir::FailureOr<llvm::SmallVector<char, 0>>
link(llvm::ArrayRef<KernelObject> objects, const TargetInfo &info,
     std::string &error) {
  if (objects.empty())
    return emitNothing(info, llvm::CodeGenFileType::AssemblyFile, error);
  llvm::SmallVector<char, 0> all;
  for (const KernelObject &object : objects) {
    llvm::StringRef text(object.bytes.data(), object.bytes.size());
    llvm::StringRef header = ".address_size 64\n";
    if (!all.empty())
      text = text.substr(text.find(header) + header.size());
    all.append(text.begin(), text.end());
  }
  return all;
}

Target nvidia::target() {
  return {"nvidia", "NVIDIA GPUs, as PTX", parse, list, compile, link, "ptx"};
}
