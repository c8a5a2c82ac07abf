//===- device.cpp - devices and the drivers behind them -------------------===//
#include "device.h"
#include "drivers.h"
#include "trace.h"
#include "transfer.h"

#include <cstdio>

using namespace isthmus;

namespace {

void logLine(void *, ist_log_level, const char *line) {
  std::fprintf(stderr, "isthmus: %s\n", line);
}

void *allocate(void *, size_t bytes) {
  return bytes <= SIZE_MAX - 63 ? std::aligned_alloc(64, alignUp(bytes, 64))
                                : nullptr;
}
void deallocate(void *, void *memory) { std::free(memory); }

void *cacheGet(void *, const char *key, size_t *bytes) {
  return readBlob(key, [](size_t n) { return allocate(nullptr, n); }, bytes);
}
void cachePut(void *, const char *key, const void *data, size_t bytes) {
  char why[512];
  writeBlob(key, data, bytes, why, sizeof why);
  // Once: each blob of the process goes to the same folder.
  static bool told = false;
  if (*why && !__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
    logLine(nullptr, IST_LOG_WARNING, why);
}

uint64_t clockNs(void *) { return nowNs(); }

/// Whether the environment variable is `value`; unset, empty and "0" are no.
ist_status readSwitch(const char *variable, const char *value, bool *out,
                      ist_error *error) {
  const char *text = std::getenv(variable);
  *out = text && std::strcmp(text, value) == 0;
  if (*out || !text || !*text || std::strcmp(text, "0") == 0)
    return IST_OK;
  return fail(error, IST_INVALID_ARGUMENT,
              "%s is '%.200s'; it can be %s, or 0 or empty for off", variable,
              text, value);
}

} // namespace

const ist_host isthmus::driverHost = {sizeof(ist_host), nullptr,    logLine,
                                      allocate,         deallocate, cacheGet,
                                      cachePut,         clockNs};

bool isthmus::isSubset(const char *list, const char *of, char *missing,
                       size_t size) {
  auto length = [](const char *p) { return std::strcspn(p, ","); };
  for (const char *p = list; *p; p += *p == ',') {
    size_t n = length(p);
    bool found = n == 0;
    for (const char *q = of; *q && !found; q += *q == ',') {
      size_t m = length(q);
      found = m == n && std::memcmp(p, q, n) == 0;
      q += m;
    }
    if (!found) {
      std::snprintf(missing, size, "%.*s", static_cast<int>(n), p);
      return false;
    }
    p += n;
  }
  return true;
}

ist_status ist_device::open(const char *name, const ist_device_options &options,
                            ist_device **out, ist_error *error) {
  *out = nullptr;
  if (!name || !*name)
    name = std::getenv("ISTHMUS_DEVICE");
  if (!name || !*name)
    name = defaultDriver();

  // The table's contract: drivers always get a record to fill.
  ist_error local;
  if (!error)
    error = &local;
  FoundDevice found;
  if (ist_status s = findDevice(name, &found, error))
    return s;
  const ist_driver *driver = found.driver;

  bool logCalls, checking;
  if (ist_status s = readSwitch("ISTHMUS_LOG", "calls", &logCalls, error))
    return s;
  if (ist_status s = readSwitch("ISTHMUS_CHECK", "1", &checking, error))
    return s;
  ist_device *d = make<ist_device>();
  if (!d)
    return outOfMemory(error, sizeof(ist_device), "a device");
  d->driver = driver;
  std::memcpy(d->name, found.name, sizeof d->name);
  d->logCalls = logCalls;
  d->traced = tracing();
  d->checking = checking;
  d->observed = d->logCalls || d->traced;
  d->description.struct_size = sizeof d->description;
  d->ledger.limit = options.memory_limit;
  d->store.init(d);
  d->own.open(d, "the runtime", "");
  d->callers.open(d, "the caller's allocations", "");
  ist_native native = {sizeof native, options.native_kind, options.native};
  if (ist_status s = d->driverOpen(
          found.index, options.native_kind ? &native : nullptr, error)) {
    d->release();
    return s;
  }
  d->findExtensions();
  *out = d;
  return IST_OK;
}

void ist_device::release() {
  if (__atomic_sub_fetch(&references, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  for (CallerMemory &m : callerMemory)
    callers.free(&m.memory); // forgotten by the caller
  semaphoreDestroy(checkSemaphore);
  driverClose();
  own.close();
  callers.close();
  destroy(this);
}

const char *ist_device::fact(const char *key) const {
  for (size_t i = 0; i < description.fact_count; ++i)
    if (std::strcmp(description.facts[i].key, key) == 0)
      return description.facts[i].value;
  return nullptr;
}

ist_status ist_device::callerAlloc(ist_memory kind, uint64_t bytes, void **out,
                                   ist_error *error) {
  CallerMemory m = {{}, kind};
  if (ist_status s =
          callers.alloc(kind == IST_MEMORY_HOST ? IST_MEMORY_KIND_HOST_VISIBLE
                                                : IST_MEMORY_KIND_DEVICE,
                        bytes ? bytes : 1, &m.memory, error))
    return s;
  bool ok;
  {
    Locked locked(callersLock);
    ok = callerMemory.push(m);
  }
  if (!ok) {
    callers.free(&m.memory);
    return outOfMemory(error, sizeof m, "an allocation's record");
  }
  *out = m.given();
  return IST_OK;
}

bool ist_device::callerFree(void *p) {
  CallerMemory found = {};
  {
    Locked locked(callersLock);
    for (size_t i = callerMemory.size(); i-- > 0;) {
      CallerMemory &m = callerMemory[i];
      if (m.given() != p)
        continue;
      found = m;
      m = callerMemory.back();
      callerMemory.pop();
      break;
    }
  }
  if (!found.memory.bytes)
    return false;
  callers.free(&found.memory);
  return true;
}

bool ist_device::hostAddress(const void *host, uint64_t bytes,
                             uint64_t *address) {
  if (!callers.bytes())
    return false;
  auto p = reinterpret_cast<uintptr_t>(host);
  Locked locked(callersLock);
  for (const CallerMemory &m : callerMemory) {
    auto begin = reinterpret_cast<uintptr_t>(m.memory.host);
    if (!begin || p < begin || bytes > m.memory.bytes ||
        p - begin > m.memory.bytes - bytes)
      continue;
    *address = m.memory.address + (p - begin);
    return true;
  }
  return false;
}

extern "C" {

ist_status ist_device_list(void (*visit)(void *, const char *, const char *),
                           void *user, ist_error *error) {
  if (!visit)
    return fail(error, IST_INVALID_ARGUMENT, "ist_device_list: no visitor");
  for (const Driver *d = allDrivers(); d; d = d->after()) {
    uint32_t count = 0;
    ist_error ignored; // ist_driver_list tells it
    if (d->table.enumerate(&driverHost, nullptr, 0, &count, &ignored) != IST_OK)
      continue;
    Array<ist_identity> all;
    if (!all.resize(count))
      return outOfMemory(error, count * sizeof(ist_identity), "devices");
    uint32_t room = count;
    if (int s = d->table.enumerate(&driverHost, all.data(), room, &count,
                                   error ? error : &ignored))
      return static_cast<ist_status>(s);
    for (uint32_t i = 0; i < count && i < room; ++i) {
      char name[64];
      all[i].name[sizeof all[i].name - 1] = 0;
      deviceName(d->table, &all[i], i, count, name, sizeof name);
      char line[320], memory[32] = "";
      if (all[i].memory_bytes)
        std::snprintf(memory, sizeof memory, ", %.1f GiB",
                      static_cast<double>(all[i].memory_bytes) / (1 << 30));
      std::snprintf(line, sizeof line, "%.127s%s%s%.63s", all[i].summary,
                    memory, *all[i].id ? ", " : "", all[i].id);
      visit(user, name, line);
    }
  }
  return IST_OK;
}

ist_status ist_driver_list(void (*visit)(void *, const char *, uint32_t,
                                         const char *),
                           void *user, ist_error *error) {
  if (!visit)
    return fail(error, IST_INVALID_ARGUMENT, "ist_driver_list: no visitor");
  for (const Driver *d = allDrivers(); d; d = d->after()) {
    uint32_t count = 0;
    ist_error why = {};
    bool ok =
        d->table.enumerate(&driverHost, nullptr, 0, &count, &why) == IST_OK;
    visit(user, d->table.name, ok ? count : 0, ok ? nullptr : why.message);
  }
  for (const BrokenPlugin *b = brokenPlugins(); b; b = b->after())
    visit(user, b->path, 0, b->error.message);
  return IST_OK;
}

ist_status ist_device_open(const char *name, const ist_device_options *options,
                           ist_device **out, ist_error *error) {
  if (!out)
    return fail(error, IST_INVALID_ARGUMENT, "ist_device_open: out is NULL");
  *out = nullptr;
  ist_device_options known = IST_DEVICE_OPTIONS_INIT;
  if (ist_status s = readOptions(options, &known, "ist_device_options", error))
    return s;
  return ist_device::open(name, known, out, error);
}

void ist_device_release(ist_device *device) {
  if (device)
    device->release();
}

const char *ist_device_name(const ist_device *device) { return device->name; }

size_t ist_device_fact_count(const ist_device *device) {
  return device->description.fact_count;
}

ist_status ist_device_fact(const ist_device *device, size_t index,
                           const char **key, const char **value,
                           ist_error *error) {
  if (index >= device->description.fact_count)
    return fail(error, IST_NOT_FOUND, "device %s has no fact %zu", device->name,
                index);
  *key = device->description.facts[index].key;
  *value = device->description.facts[index].value;
  return IST_OK;
}

ist_status ist_device_counters(ist_device *device,
                               void (*visit)(void *, const char *, const char *,
                                             uint64_t),
                               void *user, ist_error *error) {
  if (!visit)
    return fail(error, IST_INVALID_ARGUMENT, "ist_device_counters: no visitor");
  return device->counters(visit, user, error);
}

ist_status ist_device_reset_counters(ist_device *device, ist_error *error) {
  return device->counters(nullptr, nullptr, error);
}

ist_status ist_device_alloc(ist_device *device, ist_memory memory,
                            uint64_t bytes, void **out, ist_error *error) {
  if (!out || (memory != IST_MEMORY_HOST && memory != IST_MEMORY_DEVICE))
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_device_alloc: out is NULL, or no such kind of memory");
  *out = nullptr;
  return device->callerAlloc(memory, bytes, out, error);
}

void ist_device_free(ist_device *device, void *memory) {
  if (memory)
    device->callerFree(memory);
}

ist_status ist_device_copy(ist_device *device, void *to, ist_memory toMemory,
                           const void *from, ist_memory fromMemory,
                           uint64_t bytes, ist_error *error) {
  if (bytes == 0)
    return IST_OK;
  if (!to || !from)
    return fail(error, IST_INVALID_ARGUMENT, "ist_device_copy: %s is NULL",
                to ? "from" : "to");
  const ist_memory kinds[] = {toMemory, fromMemory};
  for (ist_memory memory : kinds)
    if (memory != IST_MEMORY_HOST && memory != IST_MEMORY_DEVICE)
      return fail(error, IST_INVALID_ARGUMENT,
                  "ist_device_copy: there is no kind of memory %d",
                  static_cast<int>(memory));
  if (toMemory == IST_MEMORY_HOST && fromMemory == IST_MEMORY_HOST) {
    std::memcpy(to, from, bytes);
    return IST_OK;
  }
  Transfer transfer;
  if (ist_status s = transfer.open(device, error))
    return s;
  if (toMemory == IST_MEMORY_HOST)
    return transfer.toHost(to, reinterpret_cast<uint64_t>(from), bytes, error);
  if (fromMemory == IST_MEMORY_HOST)
    return transfer.toDevice(reinterpret_cast<uint64_t>(to), from, bytes,
                             error);
  return transfer.onDevice(reinterpret_cast<uint64_t>(to),
                           reinterpret_cast<uint64_t>(from), bytes, error);
}

ist_status ist_device_memory(ist_device *device, ist_device_memory_info *out,
                             ist_error *error) {
  if (!out)
    return fail(error, IST_INVALID_ARGUMENT, "ist_device_memory: out is NULL");
  uint64_t available, total;
  if (ist_status s = device->memInfo(&available, &total, error))
    return s;
  const Ledger &l = device->ledger;
  *out = {available, total, l.used(), l.high(), l.limit};
  return IST_OK;
}
}
