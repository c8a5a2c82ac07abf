//===- backend.h - what plug-ins over these sources differ in -------------===//
//
// `sim` runs CPU kernels, `sim-gpu` interprets GPUs' code. Each defines what is
// declared in `backend` here, and ist_driver_entry; all else they share.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DRIVERS_SIM_BACKEND_H
#define ISTHMUS_DRIVERS_SIM_BACKEND_H

#include "queue.h"

namespace isthmus::sim {

namespace backend {

/// A device's addresses are the host's. Otherwise the processor faults on them.
extern const bool hostAddresses;
/// The variable of the environment that sets options, and which of them
/// (Options::For) there are.
extern const char *const environment;
extern const uint32_t optionsFor;

/// Fills facts and summary of the device's description; and what they need.
ist_status open(ist_driver_device &device, ist_error *error);
void close(ist_driver_device &device); // also after open failed
const void *extension(const char *name);

ist_status load(ist_driver_device &device, const void *code, size_t bytes,
                const char *format, void **out, ist_error *error);
void unload(void *code);
ist_status find(void *code, const ist_kernel_desc &desc, const void **out,
                ist_error *error);
/// A launch, to its end. Without the device's lock.
ist_status run(const Command &launch, ist_error *error);

} // namespace backend

/// A device that has a name instead of a number.
struct Named {
  const char *name, *summary;
};
/// `devices` may be null: they have numbers.
int enumerate(const Named *devices, uint32_t there, ist_identity *identities,
              uint32_t capacity, uint32_t *count, ist_error *error);
int openDevice(const ist_host *host, uint32_t number, const char *name,
               const ist_native *native, ist_driver_device **out,
               ist_error *error);
ist_driver makeTable(const char *vendor, const char *formats,
                     decltype(ist_driver::enumerate) enumerate,
                     decltype(ist_driver::open) open, const ist_driver *next);

} // namespace isthmus::sim

#endif // ISTHMUS_DRIVERS_SIM_BACKEND_H
