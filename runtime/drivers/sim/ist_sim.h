/*===- ist_sim.h - what tests ask of the simulated device -------*- C -*-===*\
|*
|* Exported by the sim plug-in beside ist_driver_entry, for tests that open it
|* with dlopen and dlsym. Any thread.
|*
\*===----------------------------------------------------------------------===*/
#ifndef ISTHMUS_DRIVERS_SIM_IST_SIM_H
#define ISTHMUS_DRIVERS_SIM_IST_SIM_H

#include "isthmus/driver.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Forgets what was configured, as if the process began anew: all options get
   their defaults, then those of `options` ("memory=64M,fail_at=7"), the
   counters of events begin at 0, and lost devices can be opened again. Open
   devices keep the limits they were opened with. INVALID_ARGUMENT: an option
   is not known or its value is wrong; nothing has changed. */
typedef int (*ist_sim_configure_fn)(const char *options, ist_error *error);
#define IST_SIM_CONFIGURE "ist_sim_configure"

typedef struct ist_sim_counters {
  /* Events since ist_sim_configure. */
  uint64_t calls;    /* of the table's functions */
  uint64_t failable; /* those of them that can fail: what fail_at counts */
  uint64_t commands; /* copies, fills and launches that ran; fail_run_at's */
  uint64_t injected; /* failures */
  uint64_t breaches; /* of the contract in isthmus/driver.h, by the caller */
  uint64_t leaks;    /* objects that were left when a device was closed */
  /* What there is now, over all open devices. */
  uint64_t devices, blocks, bytes; /* blocks: allocations and imports */
  uint64_t objects;                /* queues, semaphores, modules, recordings */
} ist_sim_counters;
typedef void (*ist_sim_count_fn)(ist_sim_counters *out);
#define IST_SIM_COUNT "ist_sim_count"

/* Exported by the plug-in of simulated GPUs alone: executes a launch on the
   calling thread, for fakes of vendors' libraries. `chip` is "sm_80" or "gfx942"
   and says what the code is: PTX text or a code object, which is kept. Nothing
   else of the device's is touched. INTERNAL: the kernel faulted, and how. */
typedef struct ist_sim_work {
  const char *chip;
  const void *code;
  size_t code_bytes;
  const char *kernel; /* NULL: only says whether the code can be executed */
  uint64_t grid;
  uint32_t block, dynamic_shared;
  const void *args;
  uint32_t args_bytes;
  const ist_range *ranges; /* all memory that it may touch */
  size_t range_count;
} ist_sim_work;
typedef int (*ist_sim_execute_fn)(const ist_sim_work *work, ist_error *error);
#define IST_SIM_EXECUTE "ist_sim_execute"

#ifdef __cplusplus
}
#endif

#endif /* ISTHMUS_DRIVERS_SIM_IST_SIM_H */
