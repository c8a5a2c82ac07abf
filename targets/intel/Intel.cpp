//===- Intel.cpp - the intel target: SPIR-V -------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/intel/Intel.h"
#include "targets/Emit.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/Endian.h"

using namespace isthmus;
using mlir::LLVM::cconv::CConv;

namespace {
struct Row {
  const char *arch;
  unsigned maxGroup, workgroupBytes;
};
} // namespace

// spirv64 asks for what every device since 2015 has. The others are the same
// code with the limits of one chip.
static const Row rows[] = {{"spirv64", 256, 64 << 10},
                           {"pvc", 1024, 128 << 10},
                           {"bmg", 1024, 128 << 10}};

static const std::pair<const char *, const char *> products[] = {
    {"max1100", "pvc"}, {"max1550", "pvc"}, {"b570", "bmg"}, {"b580", "bmg"}};

// The version is in the triple: without one, LLVM makes 1.4, which OpenCL 2
// does not take.
static constexpr const char *kTriple = "spirv64v1.2-unknown-unknown";

// OpenCL's names; LLVM's SPIR-V backend turns them into built-ins.
static const LanesFacts facts = {CConv::SPIR_KERNEL,
                                 CConv::SPIR_FUNC,
                                 {"_Z12get_group_idj", 64, 0},
                                 {"_Z12get_local_idj", 64, 0},
                                 {"_Z7barrierj", 0, 1}, // 1: workgroup memory
                                 {"_Z7barrierj", 0, 3}, // and global memory
                                 LanesFacts::Shuffle::none,
                                 nullptr,
                                 /*fenceScope=*/nullptr,
                                 /*fenceMemory=*/nullptr,
                                 /*privateSpace=*/0,
                                 /*bf16=*/false, // would need SPV_KHR_bfloat16
                                 /*attributes=*/{}};

static std::optional<TargetInfo> parse(llvm::StringRef arch,
                                       std::string &error) {
  arch = chipOf(arch, products);
  for (const Row &row : rows) {
    if (arch != row.arch)
      continue;
    TargetInfo info;
    info.name = std::string("intel:") + row.arch;
    info.form = kernel::Form::lanes;
    info.triple = kTriple;
    info.maxGroup = row.maxGroup;
    info.workgroupBytes = row.workgroupBytes;
    std::string chip = &row == rows ? "" : std::string(",") + row.arch;
    info.requires_ = {{"intel.features", "spirv64" + chip}};
    return info;
  }
  error = "unknown intel chip '" + arch.str() + "'; known:";
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

/// The kernel as LLVM bitcode: SPIR-V modules have no linker of LLVM's.
static mlir::FailureOr<KernelObject> compile(mlir::ModuleOp module,
                                             const TargetInfo &info) {
  KernelObject object;
  std::string error;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(info, error);
  if (!machine)
    return mlir::emitError(module.getLoc(), error);
  auto code = makeLanesModule(module, info, facts, *machine, context, object);
  if (failed(code))
    return mlir::failure();
  llvm::raw_svector_ostream stream(object.bytes);
  llvm::WriteBitcodeToFile(**code, stream);
  return object;
}

static mlir::FailureOr<llvm::SmallVector<char, 0>>
link(llvm::ArrayRef<KernelObject> objects, const TargetInfo &info,
     std::string &error) {
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(info, error);
  if (!machine)
    return mlir::failure();
  llvm::LLVMContext context;
  llvm::Module all("kernels", context);
  all.setTargetTriple(machine->getTargetTriple());
  all.setDataLayout(machine->createDataLayout());
  for (const KernelObject &object : objects) {
    auto code = llvm::parseBitcodeFile(
        {{object.bytes.data(), object.bytes.size()}, object.name}, context);
    if (!code) {
      error = llvm::toString(code.takeError());
      return mlir::failure();
    }
    if (llvm::Linker::linkModules(all, std::move(*code))) {
      error = "linking the kernels failed at " + object.name;
      return mlir::failure();
    }
  }
  llvm::SmallVector<char, 0> bytes;
  emitFile(all, *machine, llvm::CodeGenFileType::ObjectFile, bytes);
  return bytes;
}

/// Capabilities that OpenCL leaves to the device.
static std::vector<std::pair<std::string, std::string>>
requirements(llvm::ArrayRef<char> code) {
  static const std::pair<uint32_t, const char *> optional[] = {{9, "float16"},
                                                               {10, "float64"}};
  std::vector<std::pair<std::string, std::string>> found;
  size_t words = code.size() / 4;
  auto word = [&](size_t i) {
    return llvm::support::endian::read32le(code.data() + 4 * i);
  };
  // Capabilities come first, behind a header of five words.
  for (size_t i = 5; i + 1 < words && word(i) == (2u << 16 | 17); i += 2)
    for (auto [number, feature] : optional)
      if (word(i + 1) == number)
        found.push_back({"intel.features", feature});
  return found;
}

Target intel::target() {
  return {"intel", "Intel GPUs and OpenCL devices, as SPIR-V",
          parse,   list,
          compile, link,
          "spirv", requirements};
}
