//===- devices.h - the simulated GPUs and their code ----------------------===//
#ifndef ISTHMUS_SIM_GPU_DEVICES_H
#define ISTHMUS_SIM_GPU_DEVICES_H

#include "backend.h"
#include "machine.h"

namespace isthmus::simgpu {

/// A chip that code is executed for.
struct Chip {
  const char *name, *vendor, *summary;
  const char *features; // of the fact "<vendor>.features"
};
extern const Chip chips[];
extern const uint32_t chipCount;

/// What kernels cost, by their names; for the extension IST_EXTENSION_COUNTERS.
void count(ist_driver_device &device, const std::string &kernel,
           const Counters &counters);
extern const ist_counters_extension countersExtension;

} // namespace isthmus::simgpu

/// What a simulated GPU knows besides what every simulated device does.
struct isthmus::sim::Facts {
  const simgpu::Chip *chip;
  char key[32];
  ist_fact facts[1];
  struct Cost {
    std::string kernel;
    uint64_t launches;
    simgpu::Counters counters;
  };
  std::mutex lock;
  std::vector<Cost> costs; // of lock
};

#endif // ISTHMUS_SIM_GPU_DEVICES_H
