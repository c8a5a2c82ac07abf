//===- load.cpp - PTX ----------------------------------------------------===//
#include "machine.h"

using namespace isthmus::simgpu;

std::unique_ptr<Module> isthmus::simgpu::loadPtx(const std::string &chip,
                                                 const void *, size_t,
                                                 LoadError &kind,
                                                 std::string &error) {
  kind = LoadError::unsupported;
  error = "code for " + chip + " is not executed yet";
  return nullptr;
}
