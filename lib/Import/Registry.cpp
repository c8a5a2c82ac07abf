//===- Registry.cpp - operators by name and opset ---------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Registry.h"

using namespace isthmus;

namespace isthmus {
// One per file of Ops/.
void registerContractionOps(Registry &);
void registerConvertOps(Registry &);
void registerElementwiseOps(Registry &);
void registerGatherOps(Registry &);
void registerNormalizationOps(Registry &);
void registerPoolOps(Registry &);
void registerReduceOps(Registry &);
void registerShapeOps(Registry &);
void registerUnaryOps(Registry &);
} // namespace isthmus

const Registry &Registry::get() {
  static const Registry registry = [] {
    Registry r;
    registerContractionOps(r);
    registerConvertOps(r);
    registerElementwiseOps(r);
    registerGatherOps(r);
    registerNormalizationOps(r);
    registerPoolOps(r);
    registerReduceOps(r);
    registerShapeOps(r);
    registerUnaryOps(r);
    return r;
  }();
  return registry;
}

static std::string key(llvm::StringRef domain, llvm::StringRef op) {
  if (domain == "ai.onnx")
    domain = "";
  return (llvm::Twine(domain) + ":" + op).str();
}

void Registry::add(llvm::StringRef op, int minInputs, OpHandler handler,
                   int64_t since, int64_t until, llvm::StringRef domain) {
  entries[key(domain, op)].push_back({handler, minInputs, since, until});
}

const OpEntry *Registry::find(llvm::StringRef domain, llvm::StringRef op,
                              int64_t opset, bool &otherOpset) const {
  otherOpset = false;
  auto it = entries.find(key(domain, op));
  if (it == entries.end())
    return nullptr;
  for (const OpEntry &entry : it->second)
    if (entry.since <= opset && opset <= entry.until)
      return &entry;
  otherOpset = true;
  return nullptr;
}
