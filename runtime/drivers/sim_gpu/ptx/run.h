//===- run.h - executes a workgroup ---------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_PTX_RUN_H
#define ISTHMUS_SIM_GPU_PTX_RUN_H

#include "warp.h"

namespace isthmus::simgpu::ptx {

/// False: `fault` says why.
bool runGroup(const Program &program, const Launch &launch, uint32_t number,
              Counters &counters, Fault &fault);

} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_RUN_H
