//===- batch.h - ist-run --batch --------------------------------*- C++ -*-===//
#ifndef ISTHMUS_TOOLS_BATCH_H
#define ISTHMUS_TOOLS_BATCH_H

#include "model.h"

namespace isthmus::tools {

/// One call: inputs in signature order, outputs to write in signature order.
struct Case {
  std::string artifact, function = "main";
  std::vector<std::string> inputs, outputs;
};

/// Runs each case of the JSON list in `path` in a child process of its own and
/// prints one line of JSON for each. Returns the process's exit code: 0 when
/// all were ok.
int runBatch(const std::string &path, const std::string &device,
             unsigned timeoutSeconds);

} // namespace isthmus::tools

#endif // ISTHMUS_TOOLS_BATCH_H
