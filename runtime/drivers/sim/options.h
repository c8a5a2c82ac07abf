//===- options.h - what is simulated, and what happened -------------------===//
#ifndef ISTHMUS_DRIVERS_SIM_OPTIONS_H
#define ISTHMUS_DRIVERS_SIM_OPTIONS_H

#include "ist_sim.h"
#include "support.h"

namespace isthmus::sim {

constexpr uint32_t kMaxDevices = 8;

/// docs/drivers.md describes each.
struct Options {
  uint64_t devices = 1;
  uint64_t memory = 4ull << 30, max_alloc = 0; // 0: as memory
  uint64_t alignment = 256;
  uint64_t max_grid = 0x7fffffff;
  uint64_t latency_us = 0, call_us = 0;
  uint64_t eager = 1;     // commands may begin before submit
  uint64_t import = 1;    // host memory can be imported
  uint64_t recording = 1; // the extension is there
  uint64_t fail_at = 0, fail_run_at = 0, fail_sticky = 0;
  uint64_t fail_status = IST_INTERNAL;
  uint64_t threads = 0;  // that run workgroups; 0: as many as processors
  uint64_t sanitize = 0; // poison and races are looked for, too
  enum For : uint32_t { CPU = 1, GPU = 2, Both = 3 };
};

/// What this process simulates now. Written by configure() only.
Options options();
ist_status configure(const char *text, ist_error *error);
/// What ist_driver_entry does first: once, from the environment.
bool readEnvironment(uint32_t abi, ist_error *error);

/// Atomic, each.
extern ist_sim_counters counters;
inline void count(uint64_t &counter, int64_t by = 1) {
  __atomic_fetch_add(&counter, static_cast<uint64_t>(by), __ATOMIC_RELAXED);
}

/// Lost devices stay lost until configure().
bool isLost(uint32_t index);
void lose(uint32_t index);

/// A call of a function that can fail: waits call_us, and says whether this one
/// shall fail. The message is put in `error`.
ist_status injectAtCall(const char *function, ist_error *error);
/// The same for a command when it is about to run.
ist_status injectAtRun(const char *command, ist_error *error);
/// A call of a function that cannot fail.
void callWithoutResult();

void sleepUs(uint64_t microseconds);

} // namespace isthmus::sim

#endif // ISTHMUS_DRIVERS_SIM_OPTIONS_H
