//===- device_calls.cpp - what a driver is asked, logged and traced -------===//
#include "device.h"
#include "drivers.h"
#include "observe.h"
#include "trace.h"

#include <cstdarg>
#include <cstdio>

using namespace isthmus;

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
    driverHost.log(driverHost.user, IST_LOG_INFO, line);
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

ist_status ist_device::driverOpen(uint32_t index, const ist_native *theirs,
                                  ist_error *error) {
  IST_RECORD(error);
  ist_status s = logged(
      driver->open(&driverHost, index, theirs, &device, error), "open()");
  return s ? s
           : logged(driver->describe(device, &description, error),
                    "describe()");
}

void ist_device::driverClose() {
  if (!device)
    return;
  driver->close(device);
  logged(0, "close()");
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
  Locked locked(checkLock);
  ist_status s =
      checkSemaphore ? IST_OK : semaphoreCreate(&checkSemaphore, error);
  if (!s)
    s = submit(queue, checkSemaphore, ++checkValue, error);
  if (!s)
    s = semaphoreWait(checkSemaphore, checkValue, UINT64_MAX, error);
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
