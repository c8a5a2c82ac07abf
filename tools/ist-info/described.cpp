//===- described.cpp - devices that are not at hand -----------------------===//
//
// Each row has the numbers that the vendor's driver answers with: compute
// capability and CUDA version (CUDA programming guide, "Compute capabilities"),
// the name in AMD's runtime (LLVM's AMDGPUUsage), the version of Intel's
// graphics (ocloc's table of devices). The features follow by the drivers' own
// rules, runtime/drivers/chips.cpp.
//
//===----------------------------------------------------------------------===//
#include "described.h"

#include "chips.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fstream>

using namespace isthmus;
using namespace isthmus::tools;

namespace {
struct Nvidia {
  const char *name, *people;
  int capability, cuda;
};
struct Amd {
  const char *name, *people, *arch;
};
struct Intel {
  const char *name, *people;
  uint32_t architecture, release;
  bool float64;
};
struct Cpu {
  const char *name, *people, *arch, *features;
};
} // namespace

static const Nvidia nvidia[] = {
    {"v100", "NVIDIA V100", 70, 12040},
    {"t4", "NVIDIA T4", 75, 12040},
    {"a100", "NVIDIA A100", 80, 12040},
    {"a100-cuda11.4", "NVIDIA A100 with an old driver", 80, 11040},
    {"a10", "NVIDIA A10", 86, 12040},
    {"rtx3090", "GeForce RTX 3090", 86, 12040},
    {"orin", "Jetson AGX Orin", 87, 12020},
    {"l4", "NVIDIA L4", 89, 12040},
    {"l40s", "NVIDIA L40S", 89, 12040},
    {"rtx4090", "GeForce RTX 4090", 89, 12040},
    {"h100", "NVIDIA H100", 90, 12040},
    {"h100-cuda11.8", "NVIDIA H100 with an old driver", 90, 11080},
    {"h200", "NVIDIA H200", 90, 12080},
    {"b200", "NVIDIA B200", 100, 12080},
    {"b300", "NVIDIA B300", 103, 13000},
    {"rtx5090", "GeForce RTX 5090", 120, 12080},
};

static const Amd amd[] = {
    {"mi100", "AMD Instinct MI100", "gfx908:sramecc+:xnack-"},
    {"mi210", "AMD Instinct MI210", "gfx90a:sramecc+:xnack-"},
    {"mi250x", "AMD Instinct MI250X", "gfx90a:sramecc+:xnack-"},
    {"mi300x", "AMD Instinct MI300X", "gfx942:sramecc+:xnack-"},
    {"mi355x", "AMD Instinct MI355X", "gfx950:sramecc+:xnack-"},
    {"rx6800xt", "Radeon RX 6800 XT", "gfx1030"},
    {"rx7900xtx", "Radeon RX 7900 XTX", "gfx1100"},
    {"rx7600", "Radeon RX 7600", "gfx1102"},
    {"strixhalo", "Ryzen AI Max+ 395", "gfx1151"},
    {"rx9060xt", "Radeon RX 9060 XT", "gfx1200"},
    {"rx9070xt", "Radeon RX 9070 XT", "gfx1201"},
};

static const Intel intel[] = {
    {"max1550", "Intel Data Center GPU Max 1550", 12, 60, true},
    {"a770", "Intel Arc A770", 12, 55, false},
    {"b580", "Intel Arc B580", 20, 1, true},
    {"lunarlake", "Intel Arc 140V", 20, 4, true},
};

// The levels of the x86-64 psABI and what the drivers of the same names find.
#define LEVEL2 "sse,sse2,sse3,ssse3,sse4.1,sse4.2,popcnt"
#define LEVEL3 LEVEL2 ",avx,avx2,fma,f16c,bmi,bmi2,lzcnt,movbe"
#define LEVEL4 LEVEL3 ",avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
static const Cpu cpus[] = {
    {"nehalem", "Intel Nehalem", "x86_64", LEVEL2},
    {"haswell", "Intel Haswell", "x86_64", LEVEL3},
    {"zen3", "AMD Zen 3", "x86_64", LEVEL3 ",sse4a,vaes"},
    {"skylake-avx512", "Intel Skylake server", "x86_64", LEVEL4},
    {"zen4", "AMD Zen 4", "x86_64", LEVEL4 ",avx512bf16,avx512vnni"},
    {"graviton3", "AWS Graviton3", "aarch64", "neon,sve,fullfp16,bf16,i8mm"},
    {"rva23", "RISC-V with RVA23", "riscv64", ""},
};

const std::vector<Described> &tools::describedDevices() {
  static const std::vector<Described> all = [] {
    std::vector<Described> out;
    char features[1200];
    for (const Nvidia &d : nvidia) {
      chips::nvidia(d.capability, d.cuda, features, sizeof features);
      out.push_back({d.name,
                     fmt::format("{}, CUDA {}.{}", d.people, d.cuda / 1000,
                                 d.cuda % 1000 / 10),
                     "nvidia",
                     "ptx,cubin",
                     {{"nvidia.features", features}}});
    }
    for (const Amd &d : amd) {
      chips::amd(d.arch, features, sizeof features);
      out.push_back(
          {d.name, d.people, "amd", "hsaco", {{"amd.features", features}}});
    }
    for (const Intel &d : intel) {
      chips::intel(d.architecture << 22 | d.release << 14, true, d.float64,
                   features, sizeof features);
      out.push_back(
          {d.name, d.people, "intel", "spirv", {{"intel.features", features}}});
    }
    for (const Cpu &d : cpus)
      out.push_back({d.name,
                     d.people,
                     "cpu",
                     "elf",
                     {{"cpu.arch", d.arch}, {"cpu.features", d.features}}});
    return out;
  }();
  return all;
}

static std::optional<Described> fromFile(const std::string &name,
                                         std::string &error) {
  std::ifstream in(name);
  if (!in) {
    error = fmt::format("'{}' cannot be read", name);
    return std::nullopt;
  }
  try {
    nlohmann::json j = nlohmann::json::parse(in);
    Described d{name, name, j.at("vendor"), j.at("formats"), {}};
    for (auto &[key, value] : j.at("facts").items())
      d.facts.emplace_back(key, value.get<std::string>());
    return d;
  } catch (const nlohmann::json::exception &e) {
    error = fmt::format("'{}' describes no device ({}); it wants \"vendor\", "
                        "\"formats\" and \"facts\"",
                        name, e.what());
    return std::nullopt;
  }
}

std::optional<Described> tools::describedDevice(const std::string &name,
                                                std::string &error) {
  error.clear();
  for (const Described &d : describedDevices())
    if (d.name == name)
      return d;
  if (name.size() > 5 && name.rfind(".json") == name.size() - 5)
    return fromFile(name, error);
  return std::nullopt;
}
