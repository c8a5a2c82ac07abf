//===- kernels.h - kernels and their launches ------------------*- C++ -*-===//
#ifndef ISTHMUS_TOOLS_INFO_KERNELS_H
#define ISTHMUS_TOOLS_INFO_KERNELS_H

#include "model.h"

#include <nlohmann/json.hpp>

namespace isthmus::tools {

nlohmann::json kernelsJson(const ist_program *p, const ist_artifact_info &info);

/// What a device does at most, a second; 0: not known.
struct Peaks {
  double flops = 0, bytes = 0;
};

/// Of the function that `m` has selected; their work is for the sizes given.
nlohmann::json launchesJson(const Model &m, const Shapes &shapes,
                            const Peaks &peaks);

/// What the two gave, as parts of `j`: each kernel with its launches.
void printKernels(const nlohmann::json &j);
void printLaunches(const nlohmann::json &launches);

} // namespace isthmus::tools

#endif // ISTHMUS_TOOLS_INFO_KERNELS_H
