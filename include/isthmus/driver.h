/*===- isthmus/driver.h - what a driver implements ------------------*- C
-*-===*\
|*
|* A driver is a table of functions over one vendor's API. The core does all it
|* does with devices through the table; users of libisthmus never see it.
|*
|* Rules. Every function returns an ist_status (as int) and on failure fills
|* `error`, which the core owns and never passes as NULL. `struct_size` comes
|* first in every struct that may grow; slots are only appended; a reader uses
|* only what the size covers. Functions on a device may come from any thread;
|* functions on one queue never overlap. No driver calls user code.
|*
\*===----------------------------------------------------------------------===*/
#ifndef ISTHMUS_DRIVER_H
#define ISTHMUS_DRIVER_H

#include "isthmus/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Defined by each driver. */
typedef struct ist_driver_device ist_driver_device;
typedef struct ist_driver_queue ist_driver_queue;
typedef struct ist_driver_semaphore ist_driver_semaphore;
typedef struct ist_driver_module ist_driver_module;
typedef struct ist_driver_kernel ist_driver_kernel;

/* What a driver may ask of its host. */
typedef struct ist_host {
  size_t struct_size;
  /* One line, without a newline, for people. */
  void (*log)(const char *line);
} ist_host;

typedef struct ist_fact {
  const char *key, *value;
} ist_fact;

typedef struct ist_description {
  size_t struct_size;
  const char *summary;   /* a line for people: "AMD EPYC, 2 threads" */
  const ist_fact *facts; /* valid until the device is closed */
  size_t fact_count;
} ist_description;

typedef enum ist_memory_kind {
  IST_MEMORY_DEVICE,      /* fastest for kernels; `host` may be NULL */
  IST_MEMORY_HOST_VISIBLE /* `host` is set; the device addresses it too */
} ist_memory_kind;

typedef struct ist_driver_memory {
  uint64_t address; /* on the device */
  void *host;       /* the same bytes on the host, or NULL */
  void *handle;     /* the driver's own */
  uint64_t bytes;
} ist_driver_memory;

typedef struct ist_driver_launch {
  size_t struct_size;
  const ist_driver_kernel *kernel;
  uint64_t grid;        /* workgroups; 0 is a no-op */
  const uint64_t *args; /* the kernel's params in order; copied before return */
  size_t arg_count;
} ist_driver_launch;

typedef struct ist_driver {
  size_t struct_size;
  const char *name;    /* "cpu" */
  const char *formats; /* code formats it loads, comma-separated: "elf" */

  /* How many devices there are now. No vendor library: UNAVAILABLE. */
  int (*enumerate)(uint32_t *count, ist_error *error);
  int (*open)(const ist_host *host, uint32_t index, ist_driver_device **out,
              ist_error *error);
  void (*close)(ist_driver_device *device); /* everything made on it is gone */
  int (*describe)(ist_driver_device *device, ist_description *out,
                  ist_error *error);
  int (*mem_info)(ist_driver_device *device, uint64_t *available,
                  uint64_t *total, ist_error *error);

  /* At least 64-byte aligned; `bytes` > 0. */
  int (*alloc)(ist_driver_device *device, ist_memory_kind kind, uint64_t bytes,
               ist_driver_memory *out, ist_error *error);
  void (*free)(ist_driver_device *device, ist_driver_memory *memory);
  /* Makes the host's memory addressable for as long as the import lives; ended
     by free, which leaves the memory itself alone. */
  int (*import)(ist_driver_device *device, const void *host, uint64_t bytes,
                ist_driver_memory *out, ist_error *error);

  /* Queues run in order. What a queue was given may run before submit, and has
     run once a semaphore submitted after it has its value. */
  int (*queue_create)(ist_driver_device *device, ist_driver_queue **out,
                      ist_error *error);
  void (*queue_destroy)(ist_driver_queue *queue); /* idle */
  int (*copy)(ist_driver_queue *queue, uint64_t to, uint64_t from,
              uint64_t bytes, ist_error *error); /* may overlap */
  int (*fill)(ist_driver_queue *queue, uint64_t to, uint8_t value,
              uint64_t bytes, ist_error *error);
  int (*launch)(ist_driver_queue *queue, const ist_driver_launch *launch,
                ist_error *error);
  /* Then raises `semaphore` to `value`, which is larger than any before. */
  int (*submit)(ist_driver_queue *queue, ist_driver_semaphore *semaphore,
                uint64_t value, ist_error *error);

  /* Timeline semaphores begin at 0 and only rise. */
  int (*semaphore_create)(ist_driver_device *device, ist_driver_semaphore **out,
                          ist_error *error);
  void (*semaphore_destroy)(ist_driver_semaphore *semaphore);
  int (*semaphore_query)(ist_driver_semaphore *semaphore, uint64_t *value,
                         ist_error *error);
  /* DEADLINE_EXCEEDED after `timeout_ns`; UINT64_MAX waits for ever. */
  int (*semaphore_wait)(ist_driver_semaphore *semaphore, uint64_t value,
                        uint64_t timeout_ns, ist_error *error);

  /* `code` is untrusted as a container (DATA_LOSS when malformed); what it does
     when it runs is trusted. UNAVAILABLE: not for this device. */
  int (*module_load)(ist_driver_device *device, const void *code, size_t size,
                     ist_driver_module **out, ist_error *error);
  void (*module_unload)(ist_driver_module *module);
  /* Lives as long as the module. */
  int (*kernel_get)(ist_driver_module *module, const char *name,
                    const ist_driver_kernel **out, ist_error *error);
} ist_driver;

#ifdef __cplusplus
}
#endif

#endif /* ISTHMUS_DRIVER_H */
