//===- sim.cpp - a device that is not there -------------------------------===//
//
// The functions of a plug-in whose device is simulated: late, within limits,
// and failing where it is told to; checking what it is asked against
// isthmus/driver.h. backend.h is what plug-ins differ in.
//
//===----------------------------------------------------------------------===//
#include "backend.h"

#include <cstdarg>
#include <cstdio>

using namespace isthmus;
using namespace isthmus::sim;

ist_status ist_driver_device::init(const ist_host *h, uint32_t n,
                                   const char *called, ist_error *error) {
  host = h;
  number = n;
  std::snprintf(name, sizeof name, "%s", called);
  options = sim::options();
  nextAddress = kFirstAddress;
  description.flags = 0;
  description.alignment = static_cast<uint32_t>(options.alignment);
  description.max_grid = options.max_grid;
  description.max_alloc =
      options.max_alloc ? options.max_alloc : options.memory;
  ::pthread_mutex_init(&lock, nullptr);
  pthread_condattr_t attributes;
  ::pthread_condattr_init(&attributes);
  ::pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  ::pthread_cond_init(&changed, &attributes);
  ::pthread_condattr_destroy(&attributes);
  return backend::open(*this, error);
}

ist_driver_device::~ist_driver_device() {
  backend::close(*this);
  ::pthread_cond_destroy(&changed);
  ::pthread_mutex_destroy(&lock);
}

void ist_driver_device::log(ist_log_level level, const char *format, ...) {
  char line[640];
  int n = std::snprintf(line, sizeof line, "%s: ", name);
  va_list args;
  va_start(args, format);
  std::vsnprintf(line + n, sizeof line - static_cast<size_t>(n), format, args);
  va_end(args);
  host->log(host->user, level, line);
}

ist_status ist_driver_device::breach(ist_error *error, const char *format,
                                     ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(text, sizeof text, format, args);
  va_end(args);
  count(counters.breaches);
  log(IST_LOG_ERROR, "the driver contract is broken: %s", text);
  return fail(error, IST_INTERNAL,
              "sim: the driver contract is broken: %s; report this", text);
}

ist_status ist_driver_device::lostError(ist_error *error) const {
  return fail(error, IST_DEVICE_LOST,
              "device %s is lost; open another, or start the process again",
              name);
}

void ist_driver_device::lose() {
  losing = true;
  ::pthread_cond_broadcast(&changed);
  while (running)
    ::pthread_cond_wait(&changed, &lock);
  lost = true;
  sim::lose(number);
  ::pthread_cond_broadcast(&changed);
}

ist_status ist_driver_device::enter(const char *function, ist_error *error) {
  ist_status s = injectAtCall(function, error);
  Lock l(*this);
  if (s == IST_DEVICE_LOST)
    lose();
  return lost && s != IST_DEVICE_LOST ? lostError(error) : s;
}

namespace isthmus::sim {

template <typename T> uint32_t length(const T *list) {
  uint32_t n = 0;
  for (; list; list = list->next)
    ++n;
  return n;
}

template <typename T, typename End>
void endAll(ist_driver_device &d, T *&list, const char *what, End end) {
  if (uint32_t n = length(list)) {
    count(counters.leaks, n);
    d.log(IST_LOG_ERROR, "%u %s%s left when the device was closed", n, what,
          n == 1 ? " was" : "s were");
  }
  while (list)
    end(list);
}

void close(ist_driver_device *d) {
  callWithoutResult();
  endAll(*d, d->queues, "queue", queueDestroy);
  endAll(*d, d->recordings, "recording", recordingExtension.destroy);
  endAll(*d, d->semaphores, "semaphore", semaphoreDestroy);
  endAll(*d, d->modules, "module", moduleUnload);
  uint64_t bytes = 0, blocks = d->blocks.size();
  for (Block *b : d->blocks)
    bytes += b->bytes;
  if (blocks) {
    count(counters.leaks, static_cast<int64_t>(blocks));
    d->log(IST_LOG_ERROR,
           "%llu allocations and imports of %llu bytes were left when the "
           "device was closed",
           static_cast<unsigned long long>(blocks),
           static_cast<unsigned long long>(bytes));
  }
  while (!d->blocks.empty())
    d->free(d->blocks.back());
  count(counters.devices, -1);
  destroy(d);
}

int describe(ist_driver_device *d, ist_description *out, ist_error *error) {
  if (ist_status s = d->enter("describe", error))
    return s;
  size_t size = out->struct_size;
  *out = d->description;
  out->struct_size = size;
  return IST_OK;
}

int memInfo(ist_driver_device *d, uint64_t *available, uint64_t *total,
            ist_error *error) {
  if (ist_status s = d->enter("mem_info", error))
    return s;
  Lock l(*d);
  *total = d->options.memory;
  *available = d->options.memory - d->used;
  return IST_OK;
}

const void *extension(ist_driver_device *d, const char *name) {
  if (std::strcmp(name, IST_EXTENSION_RECORDING) == 0)
    return d->options.recording ? &recordingExtension : nullptr;
  return backend::extension(name);
}

int alloc(ist_driver_device *d, ist_memory_kind kind, uint64_t bytes,
          ist_driver_memory *out, ist_error *error) {
  if (ist_status s = d->enter("alloc", error))
    return s;
  Lock l(*d);
  Block *b;
  if (ist_status s = d->alloc(bytes, &b, error))
    return s;
  *out = {b->address, kind == IST_MEMORY_KIND_HOST_VISIBLE ? b->host : nullptr,
          b, bytes};
  return IST_OK;
}

void freeMemory(ist_driver_device *d, ist_driver_memory *memory) {
  callWithoutResult();
  Lock l(*d);
  d->free(static_cast<Block *>(memory->handle));
}

int import(ist_driver_device *d, const ist_import *import,
           ist_driver_memory *out, ist_error *error) {
  if (ist_status s = d->enter("import", error))
    return s;
  if (!ist_tail_is_zero(import, sizeof *import))
    return unknown("memory to import", error);
  Lock l(*d);
  Block *b;
  bool host = import->kind == IST_IMPORT_HOST;
  if (ist_status s = host ? d->importHost(*import, &b, error)
                          : d->importAddress(*import, &b, error))
    return s;
  *out = {b->address, host ? b->host : nullptr, b, b->bytes};
  return IST_OK;
}

} // namespace isthmus::sim

int sim::enumerate(const Named *devices, uint32_t there,
                   ist_identity *identities, uint32_t capacity, uint32_t *count,
                   ist_error *error) {
  if (ist_status s = injectAtCall("enumerate", error))
    return s;
  Options o = options();
  *count = there;
  for (uint32_t i = 0; i < capacity && i < there; ++i) {
    std::snprintf(identities[i].summary, sizeof identities[i].summary, "%s",
                  devices ? devices[i].summary : "simulated device");
    std::snprintf(identities[i].name, sizeof identities[i].name, "%s",
                  devices ? devices[i].name : "");
    if (devices)
      std::snprintf(identities[i].id, sizeof identities[i].id, "sim-%s",
                    devices[i].name);
    else
      std::snprintf(identities[i].id, sizeof identities[i].id, "sim-%u", i);
    identities[i].memory_bytes = o.memory;
  }
  return IST_OK;
}

int sim::openDevice(const ist_host *host, uint32_t number, const char *name,
                    const ist_native *native, ist_driver_device **out,
                    ist_error *error) {
  ist_status s = injectAtCall("open", error);
  if (s == IST_DEVICE_LOST && number < kMaxDevices)
    lose(number);
  if (s)
    return s;
  if (native)
    return fail(error, IST_UNAVAILABLE,
                "the sim driver has no context of kind '%.64s' to take over",
                native->kind);
  if (isLost(number))
    return fail(error, IST_DEVICE_LOST,
                "device %s is lost; open another, or start the process again",
                name);
  ist_driver_device *d = make<ist_driver_device>();
  if (!d)
    return outOfMemory(error, sizeof *d, "a simulated device");
  if (ist_status failed = d->init(host, number, name, error)) {
    destroy(d);
    return failed;
  }
  count(counters.devices);
  *out = d;
  return IST_OK;
}

ist_driver sim::makeTable(const char *vendor, const char *formats,
                          decltype(ist_driver::enumerate) enumerate,
                          decltype(ist_driver::open) open,
                          const ist_driver *next) {
  ist_driver table = IST_DRIVER_TABLE("sim", vendor, formats);
  table.next = next;
  return table;
}

extern "C" {

IST_API int ist_sim_configure(const char *options, ist_error *error) {
  return configure(options, error);
}

IST_API void ist_sim_count(ist_sim_counters *out) {
  auto *from = reinterpret_cast<uint64_t *>(&counters);
  auto *to = reinterpret_cast<uint64_t *>(out);
  for (size_t i = 0; i < sizeof *out / 8; ++i)
    to[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
}
}
