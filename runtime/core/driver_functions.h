//===- driver_functions.h - the driver table as drivers here write it -----===//
//
// Declares the table's functions as each driver in this repository names them,
// but for enumerate and open, of which a library may have several. Included in
// a driver's own namespace; no guard.
//
//===----------------------------------------------------------------------===//
void close(ist_driver_device *);
int describe(ist_driver_device *, ist_description *, ist_error *);
int memInfo(ist_driver_device *, uint64_t *available, uint64_t *total,
            ist_error *);
const void *extension(ist_driver_device *, const char *name);
int alloc(ist_driver_device *, ist_memory_kind, uint64_t, ist_driver_memory *,
          ist_error *);
void freeMemory(ist_driver_device *, ist_driver_memory *);
int import(ist_driver_device *, const ist_import *, ist_driver_memory *,
           ist_error *);
int queueCreate(ist_driver_device *, const ist_native *, ist_driver_queue **,
                ist_error *);
void queueDestroy(ist_driver_queue *);
int copy(ist_driver_queue *, uint64_t to, uint64_t from, uint64_t bytes,
         ist_error *);
int fill(ist_driver_queue *, uint64_t to, uint8_t value, uint64_t bytes,
         ist_error *);
int launch(ist_driver_queue *, const ist_launch *, ist_error *);
int submit(ist_driver_queue *, const ist_driver_submit *, ist_error *);
int semaphoreCreate(ist_driver_device *, ist_driver_semaphore **, ist_error *);
void semaphoreDestroy(ist_driver_semaphore *);
int semaphoreQuery(ist_driver_semaphore *, uint64_t *, ist_error *);
int semaphoreSignal(ist_driver_semaphore *, uint64_t, ist_error *);
int semaphoreWait(ist_driver_semaphore *, uint64_t value, uint64_t timeout,
                  ist_error *);
int moduleLoad(ist_driver_device *, const void *, size_t,
               const ist_module_options *, ist_driver_module **, ist_error *);
void moduleUnload(ist_driver_module *);
int kernelGet(ist_driver_module *, const ist_kernel_desc *,
              const ist_driver_kernel **, ist_error *);

/// Of drivers without the extension, which know the member.
inline bool hasTiles(const ist_launch &launch) {
  return IST_HAS(&launch, ist_launch, tile_count) && launch.tile_count;
}

/// A driver's table: these functions, as they are called where this stands.
#ifndef IST_DRIVER_TABLE
#define IST_DRIVER_TABLE(name, vendor, formats)                                \
  {                                                                            \
    sizeof(ist_driver), name, vendor, formats, enumerate, open, close,         \
        describe, memInfo, extension, alloc, freeMemory, import, queueCreate,  \
        queueDestroy, copy, fill, launch, submit, semaphoreCreate,             \
        semaphoreDestroy, semaphoreQuery, semaphoreSignal, semaphoreWait,      \
        moduleLoad, moduleUnload, kernelGet, nullptr                           \
  }
#endif
