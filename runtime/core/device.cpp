//===- device.cpp - devices and the drivers behind them -------------------===//
#include "device.h"
#include "drivers.h"
#include "observe.h"
#include "trace.h"
#include "transfer.h"

#include <cstdarg>
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
  return readBlob(
      key, [](size_t n) { return allocate(nullptr, n); }, bytes);
}
void cachePut(void *, const char *key, const void *data, size_t bytes) {
  writeBlob(key, data, bytes);
}

uint64_t clockNs(void *) { return nowNs(); }

unsigned long long ull(uint64_t v) { return v; }

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

__attribute__((
    tls_model("initial-exec"))) thread_local CurrentCall isthmus::currentCall;

ist_status ist_device::logged(int status, const char *format, ...) {
  auto s = static_cast<ist_status>(status);
  if (!observed)
    return s;
  char what[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(what, sizeof what, format, args);
  va_end(args);
  if (logCalls) {
    char line[640];
    std::snprintf(line, sizeof line, "%s.%s = %s", name, what,
                  ist_status_name(s));
    logLine(nullptr, IST_LOG_INFO, line);
  }
  if (traced) {
    // A launch is called after its kernel: "launch(k, ...".
    bool launch = std::strncmp(what, "launch(", 7) == 0;
    char title[128];
    const char *from = what + (launch ? 7 : 0);
    std::snprintf(title, sizeof title, "%.*s",
                  static_cast<int>(std::strcspn(from, launch ? "," : "(")),
                  from);
    char detail[640];
    std::snprintf(detail, sizeof detail, "%s.%s = %s", name, what,
                  ist_status_name(s));
    traceSpan(launch ? "launch" : "driver", title,
              currentCall.begin ? currentCall.begin : nowNs(),
              currentCall.queue, detail, currentCall.nodes);
    currentCall = {};
  }
  return s;
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

  ist_device *d = make<ist_device>();
  if (!d)
    return outOfMemory(error, sizeof(ist_device), "a device");
  d->driver = driver;
  std::memcpy(d->name, found.name, sizeof d->name);
  const char *log = std::getenv("ISTHMUS_LOG");
  char ignored[2];
  d->logCalls = log && isSubset("calls", log, ignored, sizeof ignored);
  d->traced = tracing();
  const char *check = std::getenv("ISTHMUS_CHECK");
  d->checking = check && std::strcmp(check, "1") == 0;
  d->observed = d->logCalls || d->traced;
  d->description.struct_size = sizeof d->description;
  d->ledger.limit = options.memory_limit;
  d->store.init(d);
  d->own.open(d, "the runtime", "");
  d->callers.open(d, "the caller's allocations", "");
  ist_native native = {sizeof native, options.native_kind, options.native};
  if (d->observed)
    currentCall = {nowNs(), nullptr, nullptr};
  int s = d->logged(driver->open(&driverHost, found.index,
                                 options.native_kind ? &native : nullptr,
                                 &d->device, error),
                    "open()");
  if (!s)
    s = d->logged(driver->describe(d->device, &d->description, error),
                  "describe()");
  if (s) {
    d->release();
    return static_cast<ist_status>(s);
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
  if (device) {
    driver->close(device);
    logged(0, "close()");
  }
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

ist_status ist_device::driverAlloc(ist_memory_kind kind, uint64_t bytes,
                                   ist_driver_queue *queue,
                                   ist_driver_memory *out, ist_error *error) {
  IST_RECORD(error);
  if (queue && pool && kind == IST_MEMORY_KIND_DEVICE)
    return logged(pool->alloc(queue, bytes, out, error),
                  "pool.alloc(%llu bytes)", ull(bytes));
  return logged(
      driver->alloc(device, kind, bytes, out, error), "alloc(%s, %llu bytes)",
      kind == IST_MEMORY_KIND_DEVICE ? "device" : "host visible", ull(bytes));
}

void ist_device::driverFree(ist_driver_memory *memory,
                            ist_driver_queue *queue) {
  if (!memory->bytes)
    return;
  ist_error ignored;
  bool ordered = queue && pool && !memory->host &&
                 pool->free(queue, memory, &ignored) == IST_OK;
  logged(0, "%sfree(0x%llx, %llu bytes)", ordered ? "pool." : "",
         ull(memory->address), ull(memory->bytes));
  if (!ordered)
    driver->free(device, memory);
  *memory = {};
}

ist_status ist_device::import(const void *p, uint64_t bytes, Imported *out,
                              ist_error *error) {
  IST_RECORD(error);
  ist_import import = {sizeof import, IST_IMPORT_HOST, 0,
                       reinterpret_cast<uint64_t>(p), bytes};
  return logged(driver->import(device, &import, out, error),
                "import(%p, %llu bytes)", p, ull(bytes));
}

ist_status ist_device::memInfo(uint64_t *available, uint64_t *total,
                               ist_error *error) {
  IST_RECORD(error);
  return logged(driver->mem_info(device, available, total, error),
                "mem_info()");
}

ist_status ist_device::callerAlloc(ist_memory kind, uint64_t bytes, void **out,
                                   ist_error *error) {
  CallerMemory m = {{}, kind};
  if (ist_status s =
          callers.alloc(kind == IST_MEMORY_HOST ? IST_MEMORY_KIND_HOST_VISIBLE
                                                : IST_MEMORY_KIND_DEVICE,
                        bytes ? bytes : 1, &m.memory, error))
    return s;
  ::pthread_mutex_lock(&callersLock);
  bool ok = callerMemory.push(m);
  ::pthread_mutex_unlock(&callersLock);
  if (!ok) {
    callers.free(&m.memory);
    return outOfMemory(error, sizeof m, "an allocation's record");
  }
  *out = kind == IST_MEMORY_HOST ? m.memory.host
                                 : reinterpret_cast<void *>(m.memory.address);
  return IST_OK;
}

bool ist_device::callerFree(void *p) {
  CallerMemory found = {};
  ::pthread_mutex_lock(&callersLock);
  for (size_t i = callerMemory.size(); i-- > 0;) {
    CallerMemory &m = callerMemory[i];
    void *given = m.kind == IST_MEMORY_HOST
                      ? m.memory.host
                      : reinterpret_cast<void *>(m.memory.address);
    if (given != p)
      continue;
    found = m;
    m = callerMemory.back();
    callerMemory.pop();
    break;
  }
  ::pthread_mutex_unlock(&callersLock);
  if (!found.memory.bytes)
    return false;
  callers.free(&found.memory);
  return true;
}

bool ist_device::hostAddress(const void *host, uint64_t bytes,
                             uint64_t *address) {
  if (!callers.bytes())
    return false;
  bool found = false;
  auto p = reinterpret_cast<uintptr_t>(host);
  ::pthread_mutex_lock(&callersLock);
  for (const CallerMemory &m : callerMemory) {
    auto begin = reinterpret_cast<uintptr_t>(m.memory.host);
    if (!begin || p < begin || bytes > m.memory.bytes ||
        p - begin > m.memory.bytes - bytes)
      continue;
    *address = m.memory.address + (p - begin);
    found = true;
    break;
  }
  ::pthread_mutex_unlock(&callersLock);
  return found;
}

ist_status ist_device::queueCreate(const char *kind, void *native,
                                   ist_driver_queue **out, ist_error *error) {
  IST_RECORD(error);
  ist_native theirs = {sizeof theirs, kind, native};
  int s = driver->queue_create(device, kind ? &theirs : nullptr, out, error);
  if (!s && traced) {
    char track[80];
    std::snprintf(track, sizeof track, "%s queue", name);
    traceTrackName(*out, track);
  }
  return logged(s, "queue_create(%s)", kind ? kind : "");
}

void ist_device::queueDestroy(ist_driver_queue *queue) {
  if (!queue)
    return;
  driver->queue_destroy(queue);
  logged(0, "queue_destroy()");
}

ist_status ist_device::copy(ist_driver_queue *queue, uint64_t to, uint64_t from,
                            uint64_t bytes, ist_error *error) {
  IST_RECORD_ON(queue, error);
  ist_status s = logged(driver->copy(queue, to, from, bytes, error),
                        "copy(to 0x%llx, from 0x%llx, %llu bytes)", ull(to),
                        ull(from), ull(bytes));
  return s || !checking ? s : waitFor(queue, "a copy", "", error);
}

ist_status ist_device::fill(ist_driver_queue *queue, uint64_t to, uint8_t value,
                            uint64_t bytes, ist_error *error) {
  IST_RECORD_ON(queue, error);
  ist_status s =
      logged(driver->fill(queue, to, value, bytes, error),
             "fill(0x%llx, %u, %llu bytes)", ull(to), value, ull(bytes));
  return s || !checking ? s : waitFor(queue, "a fill", "", error);
}

ist_status ist_device::launch(ist_driver_queue *queue, const ist_launch &launch,
                              const char *name, ist_error *error,
                              const char *nodes) {
  IST_RECORD_ON(queue, error);
  currentCall.nodes = nodes;
  ist_status s = logged(driver->launch(queue, &launch, error),
                        "launch(%.100s, grid %llu)", name, ull(launch.grid));
  if (s || !checking)
    return s;
  char what[320];
  bool known = nodes && *nodes;
  std::snprintf(what, sizeof what, "kernel %.100s%s%.180s%s", name,
                known ? " (of " : "", known ? nodes : "", known ? ")" : "");
  return waitFor(queue, what, "", error);
}

ist_status ist_device::waitFor(ist_driver_queue *queue, const char *what,
                               const char *name, ist_error *error) {
  // One command at a time on all of the device's queues.
  ::pthread_mutex_lock(&checkLock);
  ist_status s =
      checkSemaphore ? IST_OK : semaphoreCreate(&checkSemaphore, error);
  if (!s)
    s = submit(queue, checkSemaphore, ++checkValue, error);
  if (!s)
    s = semaphoreWait(checkSemaphore, checkValue, UINT64_MAX, error);
  ::pthread_mutex_unlock(&checkLock);
  return s ? fail(error, s, "%s%.100s failed: %.800s", what, name,
                  error->message)
           : IST_OK;
}

ist_status ist_device::submit(ist_driver_queue *queue,
                              ist_driver_semaphore *semaphore, uint64_t value,
                              ist_error *error, uint64_t commands) {
  IST_RECORD_ON(queue, error);
  if (!(description.flags & IST_DEVICE_TELLS_COMMANDS))
    commands = 0; // one that does not know the member refuses it
  ist_driver_point point = {semaphore, value};
  ist_driver_submit submit = {sizeof submit, nullptr, 0, &point, 1, commands};
  return logged(driver->submit(queue, &submit, error),
                "submit(then signal %llu)", ull(value));
}

ist_status ist_device::submitWaits(ist_driver_queue *queue,
                                   const ist_driver_point *points, size_t count,
                                   ist_error *error) {
  IST_RECORD(error);
  ist_driver_submit submit = {sizeof submit, points, count, nullptr, 0, 0};
  return logged(driver->submit(queue, &submit, error),
                "submit(after %zu points)", count);
}

ist_status ist_device::semaphoreCreate(ist_driver_semaphore **out,
                                       ist_error *error) {
  IST_RECORD(error);
  return logged(driver->semaphore_create(device, out, error),
                "semaphore_create()");
}

void ist_device::semaphoreDestroy(ist_driver_semaphore *semaphore) {
  if (!semaphore)
    return;
  driver->semaphore_destroy(semaphore);
  logged(0, "semaphore_destroy()");
}

ist_status ist_device::semaphoreWait(ist_driver_semaphore *semaphore,
                                     uint64_t value, uint64_t timeoutNs,
                                     ist_error *error) {
  IST_RECORD(error);
  return logged(driver->semaphore_wait(semaphore, value, timeoutNs, error),
                "semaphore_wait(%llu)", ull(value));
}

ist_status ist_device::moduleLoad(const void *code, size_t size,
                                  const char *format, ist_driver_module **out,
                                  ist_error *error) {
  IST_RECORD(error);
  ist_module_options options = {sizeof options, format, nullptr};
  return logged(driver->module_load(device, code, size, &options, out, error),
                "module_load(%llu bytes)", ull(size));
}

void ist_device::moduleUnload(ist_driver_module *module) {
  if (!module)
    return;
  driver->module_unload(module);
  logged(0, "module_unload()");
}

ist_status ist_device::kernelGet(ist_driver_module *module,
                                 const ist_kernel_desc &desc,
                                 const ist_driver_kernel **out,
                                 ist_error *error) {
  IST_RECORD(error);
  return logged(driver->kernel_get(module, &desc, out, error),
                "kernel_get(%.100s)", desc.name);
}

ist_status ist_device::counters(void (*visit)(void *, const char *,
                                              const char *, uint64_t),
                                void *user, ist_error *error) {
  auto *table = static_cast<const ist_counters_extension *>(
      driver->extension(device, IST_EXTENSION_COUNTERS));
  if (!table || !IST_HAS(table, ist_counters_extension, reset))
    return fail(error, IST_UNAVAILABLE,
                "device %s does not count what launches cost; simulated GPUs "
                "do (sim:sm_80)",
                name);
  if (visit)
    table->visit(device, visit, user);
  else
    table->reset(device);
  return IST_OK;
}

ist_status ist_device::recordingBegin(ist_driver_queue *queue,
                                      ist_error *error) {
  IST_RECORD(error);
  return logged(recording->begin(queue, error), "recording.begin()");
}

ist_status ist_device::recordingEnd(ist_driver_queue *queue,
                                    ist_driver_recording **out,
                                    ist_error *error) {
  IST_RECORD(error);
  return logged(recording->end(queue, out, error), "recording.end()");
}

ist_status ist_device::recordingReplay(ist_driver_queue *queue,
                                       ist_driver_recording *recorded,
                                       const ist_patch *patches, size_t count,
                                       ist_error *error) {
  IST_RECORD_ON(queue, error);
  return logged(recording->replay(queue, recorded, patches, count, error),
                "recording.replay(%zu patches)", count);
}

void ist_device::recordingDestroy(ist_driver_recording *recorded) {
  recording->destroy(recorded);
  logged(0, "recording.destroy()");
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
