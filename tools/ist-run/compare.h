//===- compare.h - ist-run --compare=reference ------------------*- C++ -*-===//
#ifndef ISTHMUS_TOOLS_COMPARE_H
#define ISTHMUS_TOOLS_COMPARE_H

#include "model.h"

namespace isthmus::tools {

struct CompareOptions {
  std::string reproducer; // folder for what reproduces the failure; may be ""
  std::string dumps;      // folder that istc --dump-dir wrote; may be ""
  std::string command;    // the command line, for the reproducer
};

/// Calls "<function>.compare", which istc --reference adds, and before it
/// "init.compare" if there is one, and names the first launch whose results
/// are not what its reference makes of the same operands. Returns the process's
/// exit code: 0 when all agree.
int compareWithReference(const Model &model, const std::string &function,
                         const std::vector<ist_tensor> &inputs,
                         const CompareOptions &options);

} // namespace isthmus::tools

#endif // ISTHMUS_TOOLS_COMPARE_H
