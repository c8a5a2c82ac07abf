/* A driver compiled against version 1 of the table: memory is the host's, code
   is ignored, and its kernels are these functions. With a macro of those below
   it is one that the runtime must refuse. */
#include "isthmus/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ist_driver_device {
  int open;
};
struct ist_driver_queue {
  int unused;
};
struct ist_driver_semaphore {
  uint64_t value;
};
struct ist_driver_module {
  int unused;
};
struct ist_driver_kernel {
  const char *name;
  void (*run)(const uint64_t *args, uint64_t groups);
};

static int failed(ist_error *error, ist_status code, const char *message) {
  error->code = code;
  snprintf(error->message, sizeof error->message, "%s", message);
  return code;
}

static int enumerate(const ist_host *host, ist_identity *identities,
                     uint32_t capacity, uint32_t *count, ist_error *error) {
  const char *absent = getenv("ISTHMUS_ABI_ABSENT");
  if (absent)
    return failed(error, IST_UNAVAILABLE, "libabi.so.1 is not there");
  for (uint32_t i = 0; i < capacity && i < 2; ++i) {
    snprintf(identities[i].summary, sizeof identities[i].summary,
             "test device %u", i);
    snprintf(identities[i].id, sizeof identities[i].id, "abi-%u", i);
  }
  *count = 2;
  return IST_OK;
}

static int opened(const ist_host *host, uint32_t index,
                  const ist_native *native, ist_driver_device **out,
                  ist_error *error) {
  if (native && strcmp(native->kind, "abi.context"))
    return failed(error, IST_UNAVAILABLE, "not a context of this driver");
  ist_driver_device *device = host->allocate(host->user, sizeof *device);
  if (!device)
    return failed(error, IST_RESOURCE_EXHAUSTED, "no memory");
  if (native)
    ++*(int *)native->handle;
  host->log(host->user, IST_LOG_INFO, "abi driver opened");
  *out = device;
  return IST_OK;
}

/* The host table outlives the device; a driver may keep it, this one does not.
 */
static void closed(ist_driver_device *device) { free(device); }

static int describe(ist_driver_device *device, ist_description *out,
                    ist_error *error) {
  static const ist_fact facts[] = {{"abi.arch", "one"}};
  out->summary = "test device";
  out->facts = facts;
  out->fact_count = 1;
  out->flags = IST_DEVICE_SYNCHRONOUS;
  out->alignment = 64;
  out->max_grid = UINT32_MAX;
  out->max_alloc = 1 << 20;
  return IST_OK;
}

static int mem_info(ist_driver_device *device, uint64_t *available,
                    uint64_t *total, ist_error *error) {
  *available = *total = 1 << 20;
  return IST_OK;
}

static const void *extension(ist_driver_device *device, const char *name) {
  return NULL;
}

static int alloc(ist_driver_device *device, ist_memory_kind kind,
                 uint64_t bytes, ist_driver_memory *out, ist_error *error) {
  void *p = bytes <= 1 << 20 ? aligned_alloc(64, (bytes + 63) / 64 * 64) : NULL;
  if (!p)
    return failed(error, IST_RESOURCE_EXHAUSTED, "out of memory");
  out->address = (uint64_t)p;
  out->host = p;
  out->handle = p;
  out->bytes = bytes;
  return IST_OK;
}

static void release(ist_driver_device *device, ist_driver_memory *memory) {
  free(memory->handle);
}

static int import(ist_driver_device *device, const ist_import *import,
                  ist_driver_memory *out, ist_error *error) {
  if (!ist_tail_is_zero(import, sizeof *import))
    return failed(error, IST_UNIMPLEMENTED, "a newer import");
  out->address = import->memory;
  out->host = (void *)import->memory;
  out->handle = NULL;
  out->bytes = import->bytes;
  return IST_OK;
}

static int queue_create(ist_driver_device *device, const ist_native *native,
                        ist_driver_queue **out, ist_error *error) {
  *out = malloc(sizeof **out);
  return *out ? IST_OK : failed(error, IST_RESOURCE_EXHAUSTED, "no memory");
}

static void queue_destroy(ist_driver_queue *queue) { free(queue); }

static int copy(ist_driver_queue *queue, uint64_t to, uint64_t from,
                uint64_t bytes, ist_error *error) {
  memcpy((void *)to, (const void *)from, bytes);
  return IST_OK;
}

static int fill(ist_driver_queue *queue, uint64_t to, uint8_t value,
                uint64_t bytes, ist_error *error) {
  memset((void *)to, value, bytes);
  return IST_OK;
}

static int launch(ist_driver_queue *queue, const ist_launch *launch,
                  ist_error *error) {
  if (!ist_tail_is_zero(launch, sizeof *launch))
    return failed(error, IST_UNIMPLEMENTED, "a newer launch");
  launch->kernel->run(launch->args, launch->grid);
  return IST_OK;
}

static int signal_to(ist_driver_semaphore *semaphore, uint64_t value,
                     ist_error *error) {
  __atomic_store_n(&semaphore->value, value, __ATOMIC_RELEASE);
  return IST_OK;
}

int submit(ist_driver_queue *queue, const ist_driver_submit *submit,
           ist_error *error);
int submit(ist_driver_queue *queue, const ist_driver_submit *submit,
           ist_error *error) {
  for (size_t i = 0; i < submit->signal_count; ++i)
    signal_to(submit->signals[i].semaphore, submit->signals[i].value, error);
  return IST_OK;
}

static int semaphore_create(ist_driver_device *device,
                            ist_driver_semaphore **out, ist_error *error) {
  *out = calloc(1, sizeof **out);
  return *out ? IST_OK : failed(error, IST_RESOURCE_EXHAUSTED, "no memory");
}

static void semaphore_destroy(ist_driver_semaphore *semaphore) {
  free(semaphore);
}

static int semaphore_query(ist_driver_semaphore *semaphore, uint64_t *value,
                           ist_error *error) {
  *value = __atomic_load_n(&semaphore->value, __ATOMIC_ACQUIRE);
  return IST_OK;
}

static int semaphore_wait(ist_driver_semaphore *semaphore, uint64_t value,
                          uint64_t timeout_ns, ist_error *error) {
  while (__atomic_load_n(&semaphore->value, __ATOMIC_ACQUIRE) < value)
    ;
  return IST_OK;
}

static void add_f32(const uint64_t *args, uint64_t groups) {
  const float *a = (const float *)args[0], *b = (const float *)args[1];
  for (uint64_t i = 0; i < args[3]; ++i)
    ((float *)args[2])[i] = a[i] + b[i];
}

static void scale_f32(const uint64_t *args, uint64_t groups) {
  for (uint64_t i = 0; i < args[2]; ++i)
    ((float *)args[1])[i] =
        (float)(int64_t)args[3] * ((const float *)args[0])[i];
}

static const ist_driver_kernel kernels[] = {{"add_f32", add_f32},
                                            {"scale_f32", scale_f32}};

static int module_load(ist_driver_device *device, const void *code, size_t size,
                       const ist_module_options *options,
                       ist_driver_module **out, ist_error *error) {
  *out = malloc(sizeof **out);
  return *out ? IST_OK : failed(error, IST_RESOURCE_EXHAUSTED, "no memory");
}

static void module_unload(ist_driver_module *module) { free(module); }

static int kernel_get(ist_driver_module *module, const ist_kernel_desc *desc,
                      const ist_driver_kernel **out, ist_error *error) {
  *out = kernels; /* the tests' programs carry kernels that they never launch */
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; ++i)
    if (!strcmp(kernels[i].name, desc->name))
      *out = &kernels[i];
  return IST_OK;
}

#ifndef SUBMIT
#define SUBMIT submit
#endif
#ifndef NAME
#define NAME "abi"
#endif

/* As a header of the future would have it. */
struct larger {
  ist_driver table;
  void *more[3];
};

static const struct larger driver = {
#if defined(LARGER)
    {sizeof(struct larger),
#elif defined(SMALLER)
    {offsetof(ist_driver, kernel_get),
#else
    {sizeof(ist_driver),
#endif
     NAME,
     "abi",
     "abi",
     enumerate,
     opened,
     closed,
     describe,
     mem_info,
     extension,
     alloc,
     release,
     import,
     queue_create,
     queue_destroy,
     copy,
     fill,
     launch,
     SUBMIT,
     semaphore_create,
     semaphore_destroy,
     semaphore_query,
     signal_to,
     semaphore_wait,
     module_load,
     module_unload,
     kernel_get},
    /* The first slot behind version 1 is `next`. */
    {NULL, (void *)&driver, (void *)&driver}};

#ifndef NO_ENTRY
__attribute__((visibility("default")))
const ist_driver *ist_driver_entry(uint32_t abi, ist_error *error);
const ist_driver *ist_driver_entry(uint32_t abi, ist_error *error) {
#ifdef OTHER_ABI
  failed(error, IST_UNIMPLEMENTED, "it is for ABI 99");
  return NULL;
#endif
  if (abi != IST_DRIVER_ABI) {
    failed(error, IST_UNIMPLEMENTED, "it is for ABI 1");
    return NULL;
  }
  return &driver.table;
}
#endif
