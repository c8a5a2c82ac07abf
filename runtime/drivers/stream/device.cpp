//===- device.cpp - devices, memory, modules and errors -------------------===//
#include "stream.h"

#include <cstdarg>
#include <cstdio>

using namespace isthmus;
using namespace isthmus::stream;

void Device::fact(const char *key, const char *format, ...) {
  size_t n = description.fact_count;
  if (n == sizeof facts / sizeof *facts || textUsed == sizeof text)
    return;
  char *value = text + textUsed;
  size_t room = sizeof text - textUsed;
  va_list args;
  va_start(args, format);
  int length = std::vsnprintf(value, room, format, args);
  va_end(args);
  if (length < 0)
    return;
  size_t used = static_cast<size_t>(length);
  textUsed += used < room ? used + 1 : room;
  facts[n] = {key, value};
  description.fact_count = n + 1;
}

ist_status Device::failed(Code code, ist_error *error, const char *format,
                          ...) {
  char what[256];
  va_list args;
  va_start(args, format);
  std::vsnprintf(what, sizeof what, format, args);
  va_end(args);
  Explanation e;
  ops->explain(*this, code, &e);
  if (!e.lost)
    return fail(error, e.status, "%s:%u: %s: %s (%d): %s", driver, index, what,
                e.name, code, e.text);
  fail(error, IST_DEVICE_LOST,
       "%s:%u: %s: %s (%d): %s; the device is lost for this process: open "
       "another or start the process again; with ISTHMUS_CHECK=1 the runtime "
       "names the kernel",
       driver, index, what, e.name, code, e.text);
  // Only the first one's words are kept, whoever came to report it.
  uint32_t expected = 0;
  if (__atomic_compare_exchange_n(&lost, &expected, 1, false, __ATOMIC_ACQUIRE,
                                  __ATOMIC_ACQUIRE)) {
    loss = *error;
    __atomic_store_n(&lost, 2, __ATOMIC_RELEASE);
  }
  ::pthread_cond_broadcast(&changed);
  return IST_DEVICE_LOST;
}

ist_status Device::alive(ist_error *error) {
  uint32_t now = __atomic_load_n(&lost, __ATOMIC_ACQUIRE);
  if (now == 0)
    return IST_OK;
  if (now == 1) // being written at this moment
    return fail(error, IST_DEVICE_LOST, "%s:%u: the device is lost", driver,
                index);
  *error = loss;
  return IST_DEVICE_LOST;
}

ist_status stream::checkNative(const Device &d, const ist_native &native,
                               const char *kind, ist_error *error) {
  if (ist_status s = known(d, native, "native handle", error))
    return s;
  if (kind && native.kind && std::strcmp(native.kind, kind) == 0)
    return IST_OK;
  return fail(error, IST_UNAVAILABLE, "driver %s takes over %s%s, not '%.64s'",
              d.driver, kind ? "a " : "none of the caller's contexts",
              kind ? kind : "", native.kind ? native.kind : "");
}

int stream::open(const Ops &ops, const char *driver, const ist_host *host,
                 uint32_t index, const ist_native *native,
                 ist_driver_device **out, ist_error *error) {
  Device *d = make<Device>();
  if (!d)
    return outOfMemory(error, sizeof *d, "a device");
  d->ops = &ops;
  d->host = host;
  d->driver = driver;
  if (native)
    if (ist_status s = checkNative(*d, *native, ops.contextKind, error)) {
      destroy(d);
      return s;
    }
  d->index = index;
  d->description.struct_size = sizeof d->description;
  d->description.summary = d->summary;
  d->description.facts = d->facts;
  d->description.alignment = 256;
  d->description.max_grid = UINT32_MAX;
  d->description.max_alloc = INT64_MAX;
  d->description.flags = IST_DEVICE_TELLS_COMMANDS;
  ::pthread_mutex_init(&d->lock, nullptr);
  pthread_condattr_t attributes;
  ::pthread_condattr_init(&attributes);
  ::pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  ::pthread_cond_init(&d->changed, &attributes);
  ::pthread_condattr_destroy(&attributes);
  if (int s = ops.open(*d, index, native, error)) {
    ::pthread_cond_destroy(&d->changed);
    ::pthread_mutex_destroy(&d->lock);
    destroy(d);
    return s;
  }
  *out = reinterpret_cast<ist_driver_device *>(d);
  return IST_OK;
}

void stream::close(ist_driver_device *device) {
  Device *d = of(device);
  {
    Entered entered(*d);
    dropPool(*d);
  }
  d->ops->close(*d);
  ::pthread_cond_destroy(&d->changed);
  ::pthread_mutex_destroy(&d->lock);
  destroy(d);
}

int stream::describe(ist_driver_device *device, ist_description *out,
                     ist_error *error) {
  Device *d = of(device);
  if (ist_status s = d->alive(error))
    return s;
  size_t size = out->struct_size, ours = sizeof d->description;
  std::memcpy(out, &d->description, size < ours ? size : ours);
  out->struct_size = size;
  return IST_OK;
}

int stream::memInfo(ist_driver_device *device, uint64_t *available,
                    uint64_t *total, ist_error *error) {
  Device *d = of(device);
  if (ist_status s = d->alive(error))
    return s;
  Entered entered(*d);
  if (ist_status s = entered.ok(error))
    return s;
  uint64_t a = 0, t = 0;
  if (Code code = d->ops->memInfo(*d, &a, &t))
    return d->failed(code, error, "asking for its memory");
  *available = a;
  *total = t;
  return IST_OK;
}

ist_status stream::allocFailed(Device &d, Code code, uint64_t bytes,
                               ist_error *error) {
  ist_status s = d.failed(code, error, "allocating %llu bytes", ull(bytes));
  uint64_t available = 0, total = 0;
  if (s == IST_RESOURCE_EXHAUSTED && !d.ops->memInfo(d, &available, &total))
    return fail(error, s,
                "%.400s; %llu bytes requested, %llu of %llu available: free "
                "some, or use smaller inputs",
                error->message, ull(bytes), ull(available), ull(total));
  return s;
}

int stream::alloc(ist_driver_device *device, ist_memory_kind kind,
                  uint64_t bytes, ist_driver_memory *out, ist_error *error) {
  Device *d = of(device);
  if (ist_status s = d->alive(error))
    return s;
  Entered entered(*d);
  if (ist_status s = entered.ok(error))
    return s;
  ist_driver_memory memory = {};
  Code code = d->ops->alloc(*d, kind, bytes, &memory);
  if (!code) {
    memory.bytes = bytes;
    *out = memory;
    return IST_OK;
  }
  return allocFailed(*d, code, bytes, error);
}

void stream::freeMemory(ist_driver_device *device, ist_driver_memory *memory) {
  Device *d = of(device);
  Entered entered(*d);
  d->ops->free(*d, memory);
}

int stream::import(ist_driver_device *device, const ist_import *import,
                   ist_driver_memory *out, ist_error *error) {
  Device *d = of(device);
  if (ist_status s = d->alive(error))
    return s;
  if (ist_status s = known(*d, *import, "memory to import", error))
    return s;
  Entered entered(*d);
  if (ist_status s = entered.ok(error))
    return s;
  ist_driver_memory memory = {};
  memory.bytes = import->bytes;
  if (int s = d->ops->import(*d, *import, &memory, error))
    return s;
  *out = memory;
  return IST_OK;
}

int stream::moduleLoad(ist_driver_device *device, const void *code, size_t size,
                       const ist_module_options *options,
                       ist_driver_module **out, ist_error *error) {
  Device *d = of(device);
  if (ist_status s = d->alive(error))
    return s;
  if (ist_status s = known(*d, *options, "module's options", error))
    return s;
  Module *m = make<Module>();
  if (!m)
    return outOfMemory(error, sizeof *m, "a module");
  *m = {d, nullptr, nullptr};
  Entered entered(*d);
  if (ist_status s = entered.ok(error)) {
    destroy(m);
    return s;
  }
  if (int s = d->ops->moduleLoad(*d, code, size, *options, &m->handle, error)) {
    destroy(m);
    return s;
  }
  *out = reinterpret_cast<ist_driver_module *>(m);
  return IST_OK;
}

static void destroyKernel(Kernel *k) {
  if (k)
    std::free(k->name);
  destroy(k);
}

void stream::moduleUnload(ist_driver_module *module) {
  Module *m = of(module);
  Device &d = *m->device;
  Entered entered(d);
  while (Kernel *k = m->kernels) {
    m->kernels = k->next;
    if (d.ops->kernelRelease)
      d.ops->kernelRelease(d, *k);
    destroyKernel(k);
  }
  d.ops->moduleUnload(d, m->handle);
  destroy(m);
}

/// What the description says must hold together: the artifact is untrusted.
static ist_status checkArgs(const Device &d, const ist_kernel_desc &desc,
                            ist_error *error) {
  if (desc.arg_count > kMaxArgs)
    return fail(error, IST_UNAVAILABLE,
                "kernel '%.100s' has %zu arguments; a launch takes %zu",
                desc.name, desc.arg_count, kMaxArgs);
  for (size_t i = 0; i < desc.arg_count; ++i) {
    const ist_arg &a = desc.args[i];
    if (a.kind == IST_ARG_TILE && !d.tiles)
      return fail(error, IST_UNIMPLEMENTED,
                  "kernel '%.100s' takes a tile descriptor, which %s:%u does "
                  "not make; compile the model for an older chip",
                  desc.name, d.driver, d.index);
    uint32_t size = a.kind == IST_ARG_BYTES ? a.size : 8;
    if (a.size != size || a.offset > desc.args_bytes ||
        size > desc.args_bytes - a.offset)
      return fail(error, IST_DATA_LOSS,
                  "broken artifact: argument %zu of kernel '%.100s' lies "
                  "outside its %u bytes; compile the model again",
                  i, desc.name, desc.args_bytes);
  }
  return IST_OK;
}

int stream::kernelGet(ist_driver_module *module, const ist_kernel_desc *desc,
                      const ist_driver_kernel **out, ist_error *error) {
  Module *m = of(module);
  Device &d = *m->device;
  if (ist_status s = d.alive(error))
    return s;
  if (ist_status s = known(d, *desc, "kernel's description", error))
    return s;
  if (ist_status s = checkArgs(d, *desc, error))
    return s;
  Kernel *k = make<Kernel>();
  char *name = ::strdup(desc->name);
  bool copied = k && name && k->args.resize(desc->arg_count);
  if (!copied) {
    destroyKernel(k);
    std::free(name);
    return outOfMemory(error, sizeof *k, "a kernel");
  }
  k->module = m->handle;
  k->handle = nullptr;
  k->name = name;
  if (desc->arg_count)
    std::memcpy(k->args.data(), desc->args, desc->arg_count * sizeof(ist_arg));
  k->argsBytes = desc->args_bytes;
  k->block = desc->block;
  k->dynamicShared = desc->dynamic_shared;
  k->tiles = 0;
  for (const ist_arg &a : k->args)
    k->tiles += a.kind == IST_ARG_TILE;
  Entered entered(d);
  if (ist_status s = entered.ok(error)) {
    destroyKernel(k);
    return s;
  }
  if (int s = d.ops->kernelGet(d, *desc, *k, error)) {
    destroyKernel(k);
    return s;
  }
  Guard guard(d); // two threads may ask one module
  k->next = m->kernels;
  m->kernels = k;
  *out = reinterpret_cast<const ist_driver_kernel *>(k);
  return IST_OK;
}
