//===- decode.cpp - machine code to instructions --------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "decode.h"

#include "llvm/MC/MCAsmInfo.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCDisassembler/MCDisassembler.h"
#include "llvm/MC/MCInst.h"
#include "llvm/MC/MCInstPrinter.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCRegisterInfo.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/MCTargetOptions.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Triple.h"

#include <algorithm>
#include <mutex>

using namespace isthmus::simgpu::amdgpu;

extern "C" {
void LLVMInitializeAMDGPUTargetInfo();
void LLVMInitializeAMDGPUTargetMC();
void LLVMInitializeAMDGPUDisassembler();
}

namespace {
/// LLVM's disassembler for one chip and wave size.
struct Disassembler {
  llvm::Triple triple{"amdgcn-amd-amdhsa"};
  llvm::MCTargetOptions options;
  std::unique_ptr<llvm::MCRegisterInfo> registers;
  std::unique_ptr<llvm::MCAsmInfo> assembly;
  std::unique_ptr<llvm::MCInstrInfo> instructions;
  std::unique_ptr<llvm::MCSubtargetInfo> chip;
  std::unique_ptr<llvm::MCContext> context;
  std::unique_ptr<llvm::MCDisassembler> disassembler;
  std::unique_ptr<llvm::MCInstPrinter> printer;

  bool open(const std::string &cpu, bool wave64, std::string &error) {
    static std::once_flag once;
    std::call_once(once, [] {
      LLVMInitializeAMDGPUTargetInfo();
      LLVMInitializeAMDGPUTargetMC();
      LLVMInitializeAMDGPUDisassembler();
    });
    const llvm::Target *target =
        llvm::TargetRegistry::lookupTarget(triple, error);
    if (!target)
      return false;
    const char *features = "";
    if (cpu.compare(0, 4, "gfx9") != 0)
      features = wave64 ? "+wavefrontsize64" : "+wavefrontsize32";
    registers.reset(target->createMCRegInfo(triple));
    assembly.reset(target->createMCAsmInfo(*registers, triple, options));
    instructions.reset(target->createMCInstrInfo());
    chip.reset(target->createMCSubtargetInfo(triple, cpu, features));
    context = std::make_unique<llvm::MCContext>(triple, assembly.get(),
                                                registers.get(), chip.get());
    disassembler.reset(target->createMCDisassembler(*chip, *context));
    printer.reset(
        target->createMCInstPrinter(triple, assembly->getAssemblerDialect(),
                                    *assembly, *instructions, *registers));
    if (disassembler && printer)
      return true;
    error = "LLVM has no disassembler for " + cpu;
    return false;
  }
};

bool sameRegister(const Operand &a, const Operand &b) {
  return a.kind == b.kind && a.kind == Operand::vector &&
         a.index < b.index + b.count && b.index < a.index + a.count;
}

/// Runs both halves of a VOPD: both read before either writes.
void runDual(Wave &w, const Inst &i) {
  const Inst &x = *i.second->second, &y = *i.second;
  if (!y.secondReadsFirst) {
    x.run(w, x);
    y.run(w, y);
    return;
  }
  uint32_t *row = w.row(x.d[0].index), before[kLanes], after[kLanes];
  std::copy_n(row, kLanes, before);
  x.run(w, x);
  std::copy_n(row, kLanes, after);
  std::copy_n(before, kLanes, row);
  y.run(w, y);
  std::copy_n(after, kLanes, row);
}
void runOut(Wave &w, const Inst &i) { w.fail(i, "runs out of its code"); }
} // namespace

/// One instruction's text, VOPD's two halves included.
static bool decodeText(std::string_view text, KernelFacts &kernel, Inst &inst,
                       std::string &error) {
  size_t both = text.find(" :: ");
  if (both == std::string_view::npos)
    return parseInstruction(text, kernel, inst, error);
  auto x = std::make_unique<Inst>(), y = std::make_unique<Inst>();
  if (!parseInstruction(text.substr(0, both), kernel, *x, error) ||
      !parseInstruction(text.substr(both + 4), kernel, *y, error))
    return false;
  inst = *x;
  inst.text = x->text + " :: " + y->text;
  inst.uses.insert(inst.uses.end(), y->uses.begin(), y->uses.end());
  for (unsigned n = 0; n < y->sources; ++n)
    y->secondReadsFirst |= sameRegister(x->d[0], y->s[n]);
  inst.run = runDual;
  y->second = x.get();
  inst.second = y.get();
  kernel.seconds.push_back(std::move(x));
  kernel.seconds.push_back(std::move(y));
  return true;
}

bool isthmus::simgpu::amdgpu::decodeKernel(const std::string &cpu,
                                           const std::vector<uint8_t> &image,
                                           uint64_t begin, uint64_t end,
                                           KernelFacts &kernel,
                                           std::string &error) {
  Disassembler d;
  if (!d.open(cpu, kernel.waveSize == 64, error))
    return false;
  kernel.codeBegin = begin;
  std::vector<int32_t> &indexAt = kernel.indexAt;
  indexAt.assign(size_t(end - begin) / 4 + 1, -1);
  std::vector<uint64_t> open{kernel.entry};
  struct Found {
    uint64_t address, next;
    Inst inst;
    int64_t target;
  };
  std::vector<Found> found;
  auto where = [&](uint64_t address) {
    char text[32];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)address);
    return "kernel '" + kernel.name + "', at " + text + ": ";
  };
  while (!open.empty()) {
    uint64_t address = open.back();
    open.pop_back();
    for (;;) {
      if (address < begin || address > end || address % 4) {
        error = where(address) + "leaves its code";
        return false;
      }
      if (indexAt[(address - begin) / 4] >= 0)
        break;
      if (address == end) { // what LLVM makes of a body without a way through
        Found f{address, address, {}, -1};
        f.inst.run = runOut;
        f.inst.flow = Flow::none;
        f.inst.text = "the end of the code";
        f.inst.address = address;
        indexAt[(address - begin) / 4] = int32_t(found.size());
        found.push_back(std::move(f));
        break;
      }
      llvm::MCInst mc;
      uint64_t size = 0;
      auto status = d.disassembler->getInstruction(
          mc, size,
          llvm::ArrayRef<uint8_t>(image.data() + address,
                                  size_t(end - address)),
          address, llvm::nulls());
      if (status != llvm::MCDisassembler::Success || !size || size % 4 ||
          size > end - address) {
        error = where(address) + "no instruction of " + cpu;
        return false;
      }
      std::string text, why;
      llvm::raw_string_ostream os(text);
      d.printer->printInst(&mc, address, "", *d.chip, os);
      os.flush();
      Found f{address, address + size, {}, -1};
      if (!decodeText(text, kernel, f.inst, why)) {
        error = where(address) + why;
        return false;
      }
      f.inst.address = address;
      bool jumps = f.inst.text.compare(0, 8, "s_branch") == 0;
      bool branches = jumps || f.inst.text.compare(0, 9, "s_cbranch") == 0;
      if (branches)
        f.target = int64_t(address) + 4 + int64_t(f.inst.offset) * 4;
      indexAt[(address - begin) / 4] = int32_t(found.size());
      bool ends = f.inst.text.compare(0, 8, "s_endpgm") == 0;
      if (branches)
        open.push_back(uint64_t(f.target));
      address = f.next;
      found.push_back(std::move(f));
      if (jumps || ends)
        break;
    }
  }
  // In the order of addresses, so that the next one is the next one.
  std::vector<uint32_t> order(found.size());
  for (uint32_t n = 0; n < order.size(); ++n)
    order[n] = n;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return found[a].address < found[b].address;
  });
  for (uint32_t n = 0; n < order.size(); ++n)
    indexAt[(found[order[n]].address - begin) / 4] = int32_t(n);
  kernel.code.reserve(found.size());
  for (uint32_t n : order) {
    Found &f = found[n];
    if (f.target >= 0)
      f.inst.target = uint32_t(indexAt[(uint64_t(f.target) - begin) / 4]);
    kernel.code.push_back(std::move(f.inst));
  }
  return true;
}
