//===- AMD.cpp - the amd target: HSA code objects -------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/amd/AMD.h"
#include "targets/Emit.h"

#include "llvm/BinaryFormat/ELF.h"
#include "llvm/BinaryFormat/MsgPackDocument.h"
#include "llvm/Object/ELFObjectFile.h"

using namespace isthmus;
using mlir::LLVM::cconv::CConv;

namespace {
/// LLVM 22.1 drops the waits that a fence asks for where a loop comes back to
/// it with writes under way, but is not entered with such (llvm-project pull
/// request 211684): they are said once more, where it does not look.
struct Waits {
  const char *own;  // for a lane's writes to workgroup memory
  const char *wide; // and to bindings
};

struct Row {
  const char *arch;
  unsigned wave, ldsBytes;
  llvm::ArrayRef<MatrixUnit> (*units)();
  Waits waits;
  const char *family = nullptr; // the generic target that the chip runs too
};
} // namespace

static constexpr Waits gfx9Waits = {"s_waitcnt lgkmcnt(0)",
                                    "s_waitcnt vmcnt(0) lgkmcnt(0)"};
static constexpr Waits gfx11Waits = {
    "s_waitcnt lgkmcnt(0)",
    "s_waitcnt vmcnt(0) lgkmcnt(0)\ns_waitcnt_vscnt null, 0x0"};
static constexpr Waits gfx12Waits = {
    "s_wait_dscnt 0x0", "s_wait_loadcnt_dscnt 0x0\ns_wait_storecnt 0x0"};

static const Row rows[] = {
    {"gfx90a", 64, 64 << 10, amd::gfx90aUnits, gfx9Waits},
    {"gfx942", 64, 64 << 10, amd::gfx94Units, gfx9Waits, "gfx9-4-generic"},
    {"gfx950", 64, 160 << 10, amd::gfx950Units, gfx9Waits, "gfx9-4-generic"},
    {"gfx1100", 32, 64 << 10, amd::gfx11Units, gfx11Waits, "gfx11-generic"},
    {"gfx1201", 32, 64 << 10, amd::gfx12Units, gfx12Waits, "gfx12-generic"},
    // One code for a family.
    {"gfx9-4-generic", 64, 64 << 10, amd::gfx94Units, gfx9Waits},
    {"gfx11-generic", 32, 64 << 10, amd::gfx11Units, gfx11Waits},
    {"gfx12-generic", 32, 64 << 10, amd::gfx12Units, gfx12Waits}};

static const std::pair<const char *, const char *> products[] = {
    {"mi210", "gfx90a"},    {"mi250x", "gfx90a"}, {"mi300x", "gfx942"},
    {"mi325x", "gfx942"},   {"mi355x", "gfx950"}, {"rx7900xtx", "gfx1100"},
    {"rx9070xt", "gfx1201"}};

// Nothing of the dispatch is read but the ids of the workgroup and the lane,
// so the argument blob ends with our last argument.
static const std::pair<const char *, const char *> attributes[] = {
    {"amdgpu-flat-work-group-size", "{group},{group}"},
    {"uniform-work-group-size", "true"},
    {"amdgpu-no-workitem-id-y", ""},
    {"amdgpu-no-workitem-id-z", ""},
    {"amdgpu-no-workgroup-id-y", ""},
    {"amdgpu-no-workgroup-id-z", ""},
    {"amdgpu-no-dispatch-ptr", ""},
    {"amdgpu-no-dispatch-id", ""},
    {"amdgpu-no-queue-ptr", ""},
    {"amdgpu-no-implicitarg-ptr", ""},
    {"amdgpu-no-hostcall-ptr", ""},
    {"amdgpu-no-heap-ptr", ""},
    {"amdgpu-no-default-queue", ""},
    {"amdgpu-no-completion-action", ""},
    {"amdgpu-no-multigrid-sync-arg", ""},
    {"amdgpu-no-lds-kernel-id", ""}};

static const LanesFacts commonFacts = {
    CConv::AMDGPU_KERNEL,
    CConv::C,
    {"llvm.amdgcn.workgroup.id.x", 32, std::nullopt},
    {"llvm.amdgcn.workitem.id.x", 32, std::nullopt},
    {"llvm.amdgcn.s.barrier", 0, std::nullopt},
    {"llvm.amdgcn.s.barrier", 0, std::nullopt},
    LanesFacts::Shuffle::byAddress,
    "llvm.amdgcn.ds.bpermute",
    /*fenceScope=*/"workgroup",
    /*fenceMemory=*/"local",
    /*privateSpace=*/5,
    /*bf16=*/true,
    attributes};

/// With what this chip waits for.
static LanesFacts factsOf(llvm::StringRef chip) {
  LanesFacts facts = commonFacts;
  for (const Row &row : rows)
    if (chip == row.arch) {
      facts.wait = row.waits.own;
      facts.wideWait = row.waits.wide;
    }
  return facts;
}

// v5: ROCm 5.4 and later load it; v6, which generic chips need, 6.3.
static constexpr int kCodeObjectVersion = 500, kGenericVersion = 600;

static std::optional<TargetInfo> parse(llvm::StringRef arch,
                                       std::string &error) {
  arch = chipOf(arch, products);
  for (const Row &row : rows) {
    if (arch != row.arch)
      continue;
    TargetInfo info;
    info.name = std::string("amd:") + row.arch;
    info.form = kernel::Form::lanes;
    info.triple = "amdgcn-amd-amdhsa";
    info.cpu = row.arch;
    info.subgroup = row.wave;
    info.busyGroups = 128;
    info.maxGroup = 1024;
    info.workgroupBytes = row.ldsBytes;
    info.units = row.units();
    // With its family, code for one chip asks for more than the family's, and
    // is taken where both fit.
    std::string features = row.family ? row.family + std::string(",") : "";
    info.requires_ = {{"amd.features", features + row.arch}};
    return info;
  }
  error = "unknown amd chip '" + arch.str() + "'; known:";
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

/// What the metadata of an object with one kernel says of its registers.
static Registers registersOf(llvm::ArrayRef<char> bytes) {
  Registers found;
  using Elf = llvm::object::ELF64LE;
  auto file = llvm::object::ELFFile<Elf>::create({bytes.data(), bytes.size()});
  if (!file)
    return llvm::consumeError(file.takeError()), found;
  auto sections = file->sections();
  if (!sections)
    return llvm::consumeError(sections.takeError()), found;
  for (const Elf::Shdr &section : *sections) {
    if (section.sh_type != llvm::ELF::SHT_NOTE)
      continue;
    llvm::Error error = llvm::Error::success();
    for (const Elf::Note note : file->notes(section, error)) {
      llvm::msgpack::Document metadata;
      if (note.getType() != llvm::ELF::NT_AMDGPU_METADATA ||
          !metadata.readFromBlob(note.getDescAsStringRef(section.sh_addralign),
                                 /*Multi=*/false))
        continue;
      auto kernels = metadata.getRoot().getMap()["amdhsa.kernels"].getArray();
      auto kernel = kernels[0].getMap();
      auto number = [&](const char *key) {
        llvm::msgpack::DocNode &n = kernel[key];
        return n.getKind() == llvm::msgpack::Type::UInt
                   ? static_cast<int>(n.getUInt())
                   : -1;
      };
      int spills[] = {number(".vgpr_spill_count"), number(".sgpr_spill_count")};
      found = {number(".vgpr_count"), number(".sgpr_count"),
               spills[0] < 0 || spills[1] < 0 ? -1 : spills[0] + spills[1]};
    }
    llvm::consumeError(std::move(error));
  }
  return found;
}

static mlir::FailureOr<KernelObject> compile(mlir::ModuleOp module,
                                             const TargetInfo &info) {
  KernelObject object;
  std::string error;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(info, error);
  if (!machine)
    return mlir::emitError(module.getLoc(), error);
  auto code = makeLanesModule(module, info, factsOf(info.cpu), *machine,
                              context, object);
  if (failed(code))
    return mlir::failure();
  (*code)->addModuleFlag(llvm::Module::Error, "amdhsa_code_object_version",
                         llvm::StringRef(info.cpu).ends_with("-generic")
                             ? kGenericVersion
                             : kCodeObjectVersion);
  emitFile(**code, *machine, llvm::CodeGenFileType::ObjectFile, object.bytes);
  object.registers = registersOf(object.bytes);
  return object;
}

/// One shared object. Each kernel brings a metadata note of its own; AMD's
/// loader (comgr) joins them.
static mlir::FailureOr<llvm::SmallVector<char, 0>>
link(llvm::ArrayRef<KernelObject> objects, const TargetInfo &info,
     std::string &error) {
  return linkElf(objects, info, {"-shared"}, error);
}

Target amd::target() {
  return {"amd",  "AMD GPUs, as HSA code objects", parse, list, compile, link,
          "hsaco"};
}
