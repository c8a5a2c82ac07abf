//===- chips.h - what code a vendor's chip runs
//----------------------------===//
//
// The vendors' rules of compatibility, spelt out as the list of features that a
// variant needs but to be a subset of. Drivers describe devices by them, and so
// do tools that speak of devices which are not there.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_DRIVERS_CHIPS_H
#define ISTHMUS_RUNTIME_DRIVERS_CHIPS_H

#include <cstddef>
#include <cstdint>

namespace isthmus::chips {

/// "nvidia.features" of a chip of compute capability `capability` (major * 10 +
/// minor) whose driver is that of CUDA `cuda` (12040: 12.4).
void nvidia(int capability, int cuda, char *out, size_t size);
/// "amd.features" of a chip as the driver names it: "gfx942:sramecc+:xnack-".
void amd(const char *arch, char *out, size_t size);
/// "intel.features"; `ip` is the device's version (architecture in the upper
/// ten bits, release in the next eight), 0 where the driver does not tell.
void intel(uint32_t ip, bool float16, bool float64, char *out, size_t size);

} // namespace isthmus::chips

#endif // ISTHMUS_RUNTIME_DRIVERS_CHIPS_H
