//===- Targets.cpp - the list of targets ----------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/Target.h"
#include "targets/amd/AMD.h"
#include "targets/cpu/CPU.h"
#include "targets/intel/Intel.h"
#include "targets/nvidia/NVIDIA.h"

using namespace isthmus;

llvm::ArrayRef<Target> isthmus::allTargets() {
  static const std::vector<Target> targets = {
#ifdef ISTHMUS_TARGET_CPU
      cpu::target(),
#endif
#ifdef ISTHMUS_TARGET_NVIDIA
      nvidia::target(),
#endif
#ifdef ISTHMUS_TARGET_AMD
      amd::target(),
#endif
#ifdef ISTHMUS_TARGET_INTEL
      intel::target(),
#endif
  };
  return targets;
}

const Target *isthmus::findTarget(llvm::StringRef spec, TargetInfo &info,
                                  std::string &error) {
  auto [vendor, arch] = spec.split(':');
  std::string known;
  for (const Target &target : allTargets()) {
    if (vendor == target.vendor) {
      std::optional<TargetInfo> facts = target.parse(arch, error);
      if (!facts)
        return nullptr;
      info = *facts;
      return &target;
    }
    known += std::string(known.empty() ? "" : ", ") + target.vendor;
  }
  error = "unknown target vendor '" + vendor.str() +
          "'; this build has: " + known + " (istc --list-targets)";
  return nullptr;
}
