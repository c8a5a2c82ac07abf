//===- Targets.cpp - the list of targets ----------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/Target.h"
#include "targets/cpu/CPU.h"

using namespace isthmus;

llvm::ArrayRef<Target> isthmus::allTargets() {
  static const Target targets[] = {cpu::target()};
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
  error = "unknown target vendor '" + vendor.str() + "'; this build has: " +
          known + " (istc --list-targets)";
  return nullptr;
}
