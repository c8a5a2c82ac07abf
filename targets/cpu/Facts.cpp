//===- Facts.cpp - the cpu target's rows ----------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/cpu/CPU.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

using namespace isthmus;

namespace {
struct Row {
  const char *arch, *triple, *cpu, *features;
  unsigned vectorBytes, registers;
  bool fma, half;
  const char *requiredArch, *requiredFeatures;
  llvm::ArrayRef<MatrixUnit> (*units)();
};
} // namespace

// Feature levels of the x86-64 psABI, and with dot products of bytes; aarch64
// with its base NEON; riscv64 with the RVV 1.0 vector extension. The last two
// are assembled only.
static const Row rows[] = {
    {"x86-64-v2", "x86_64-unknown-linux-gnu", "x86-64-v2", "", 16, 16, false,
     false, "x86_64", "sse4.2,popcnt", cpu::sse2Units},
    {"x86-64-v3", "x86_64-unknown-linux-gnu", "x86-64-v3", "", 32, 16, true,
     true, "x86_64", "avx2,fma,f16c,bmi,bmi2,lzcnt,movbe", cpu::avx2Units},
    {"x86-64-v3-vnni", "x86_64-unknown-linux-gnu", "x86-64-v3", "+avxvnni", 32,
     16, true, true, "x86_64", "avx2,fma,f16c,bmi,bmi2,lzcnt,movbe,avxvnni",
     cpu::avxVnniUnits},
    {"x86-64-v4", "x86_64-unknown-linux-gnu", "x86-64-v4", "-prefer-256-bit",
     64, 32, true, true, "x86_64",
     "avx2,fma,f16c,bmi,bmi2,lzcnt,movbe,avx512f,avx512bw,avx512cd,avx512dq,"
     "avx512vl",
     cpu::avx512Units},
    {"x86-64-v4-vnni", "x86_64-unknown-linux-gnu", "x86-64-v4",
     "+avx512vnni,-prefer-256-bit", 64, 32, true, true, "x86_64",
     "avx2,fma,f16c,bmi,bmi2,lzcnt,movbe,avx512f,avx512bw,avx512cd,avx512dq,"
     "avx512vl,avx512vnni",
     cpu::avx512VnniUnits},
    {"aarch64", "aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32, true,
     true, "aarch64", "", cpu::wideningUnits},
    {"riscv64", "riscv64-unknown-linux-gnu", "generic-rv64",
     "+m,+a,+f,+d,+c,+v,+zvl128b", 16, 32, true, false, "riscv64", "",
     cpu::wideningUnits},
};

static const Row *rowOf(llvm::StringRef arch) {
  for (const Row &r : rows)
    if (arch == r.arch)
      return &r;
  return nullptr;
}

/// The best row that the machine running the compiler satisfies.
static const Row *nativeRow() {
#if defined(__x86_64__)
  llvm::StringMap<bool> has = llvm::sys::getHostCPUFeatures();
  auto all = [&](std::initializer_list<const char *> names) {
    for (const char *name : names)
      if (!has.lookup(name))
        return false;
    return true;
  };
  if (all({"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq",
           "avx512vl"}))
    return rowOf(has.lookup("avx512vnni") ? "x86-64-v4-vnni" : "x86-64-v4");
  if (all({"avx2", "fma", "f16c", "bmi2"}))
    return rowOf(has.lookup("avxvnni") ? "x86-64-v3-vnni" : "x86-64-v3");
  return rowOf("x86-64-v2");
#elif defined(__aarch64__)
  return rowOf("aarch64");
#elif defined(__riscv)
  return rowOf("riscv64");
#else
#error "add a row for this machine"
#endif
}

std::optional<TargetInfo> cpu::parseCPU(llvm::StringRef arch,
                                        std::string &error) {
  const Row *row = arch == "native" || arch.empty() ? nativeRow() : rowOf(arch);
  if (!row) {
    error = "unknown cpu '" + arch.str() + "'; known: native";
    for (const Row &r : rows)
      error += std::string(", ") + r.arch;
    return std::nullopt;
  }
  TargetInfo info;
  info.name = std::string("cpu:") + row->arch;
  info.triple = row->triple;
  info.cpu = row->cpu;
  info.features = row->features;
  info.vectorBytes = row->vectorBytes;
  info.vectorRegisters = row->registers;
  info.fma = row->fma;
  info.half = row->half;
  info.units = row->units();
  info.requires_ = {{"cpu.arch", row->requiredArch},
                    {"cpu.features", row->requiredFeatures}};
  return info;
}

std::vector<std::string> cpu::listCPU() {
  std::vector<std::string> names = {"native"};
  for (const Row &r : rows)
    names.push_back(r.arch);
  return names;
}
