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

#include "llvm/ADT/STLExtras.h"

using namespace isthmus;

llvm::ArrayRef<Target> isthmus::allTargets() {
  static const std::vector<Target> targets = {
#ifdef ISTHMUS_TARGET_CPU
      cpu::target(),
#endif
  };
  return targets;
}

llvm::ArrayRef<Target> isthmus::kernelTargets() {
  static const std::vector<Target> targets = {
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

bool isthmus::isKernelTarget(llvm::StringRef spec) {
  return llvm::any_of(kernelTargets(), [&](const Target &target) {
    return spec.split(':').first == target.vendor;
  });
}

const Target *isthmus::findTarget(llvm::StringRef spec, TargetInfo &info,
                                  std::string &error, bool kernels) {
  auto [vendor, arch] = spec.split(':');
  if (!kernels && isKernelTarget(spec)) {
    error = "no model compiles for " + vendor.str() +
            " yet: its code is made from single kernels in form(lanes) "
            "(ist-kernel), which no plan makes; use --target=cpu:native";
    return nullptr;
  }
  std::string known;
  for (llvm::ArrayRef<Target> targets : {allTargets(), kernelTargets()})
    for (const Target &target : targets) {
      if (vendor == target.vendor) {
        std::optional<TargetInfo> facts = target.parse(arch, error);
        if (!facts)
          return nullptr;
        info = *facts;
        return &target;
      }
      if (kernels || !isKernelTarget(target.vendor))
        known += std::string(known.empty() ? "" : ", ") + target.vendor;
    }
  error = "unknown target vendor '" + vendor.str() +
          "'; this build has: " + known + " (istc --list-targets)";
  return nullptr;
}
