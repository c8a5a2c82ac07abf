//===- extensions.cpp - what the core makes of drivers' extensions --------===//
#include "observe.h"
#include "session.h"
#include "transfer.h"

using namespace isthmus;

namespace {

/// A table of which the driver has all that this header knows.
template <typename T>
void find(const ist_driver *driver, ist_driver_device *device, const char *name,
          const T **out) {
  auto *t = static_cast<const T *>(driver->extension(device, name));
  *out = t && t->struct_size >= sizeof(T) ? t : nullptr;
}

} // namespace

void ist_device::findExtensions() {
  // A trace shows each command, so the core replays them one by one.
  if (!traced)
    find(driver, device, IST_EXTENSION_RECORDING, &recording);
  find(driver, device, IST_EXTENSION_CAPTURE, &capture);
  find(driver, device, IST_EXTENSION_NATIVE, &native);
  find(driver, device, IST_EXTENSION_POOL, &pool);
  find(driver, device, IST_EXTENSION_PEER, &peer);
  find(driver, device, IST_EXTENSION_TIMESTAMP, &timestamps);
}

ist_status ist_device::capturing(ist_driver_queue *queue, bool *out,
                                 ist_error *error) {
  *out = false;
  if (!capture)
    return IST_OK;
  IST_RECORD_ON(queue, error);
  uint32_t is = 0;
  ist_status s =
      logged(capture->capturing(queue, &is, error), "capture.capturing()");
  *out = is != 0;
  return s;
}

ist_status ist_device::copyFrom(ist_device &from, ist_driver_queue *queue,
                                uint64_t to, uint64_t address, uint64_t bytes,
                                ist_error *error) {
  IST_RECORD_ON(queue, error);
  if (!peer || driver != from.driver)
    return fail(error, IST_UNAVAILABLE, "%s does not copy from %s", name,
                from.name);
  return logged(peer->copy(queue, to, from.device, address, bytes, error),
                "peer.copy(to 0x%llx, from 0x%llx of %s, %llu bytes)", ull(to),
                ull(address), from.name, ull(bytes));
}

ist_status ist_device::timestampCreate(ist_driver_timestamp **out,
                                       ist_error *error) {
  IST_RECORD(error);
  return logged(timestamps->create(device, out, error), "timestamp.create()");
}

void ist_device::timestampDestroy(ist_driver_timestamp *timestamp) {
  if (!timestamp)
    return;
  timestamps->destroy(timestamp);
  logged(0, "timestamp.destroy()");
}

ist_status ist_device::timestampRecord(ist_driver_queue *queue,
                                       ist_driver_timestamp *timestamp,
                                       ist_error *error) {
  IST_RECORD_ON(queue, error);
  return logged(timestamps->record(queue, timestamp, error),
                "timestamp.record()");
}

ist_status ist_device::elapsed(ist_driver_timestamp *begin,
                               ist_driver_timestamp *end, uint64_t *nanoseconds,
                               ist_error *error) {
  IST_RECORD(error);
  return logged(timestamps->elapsed(begin, end, nanoseconds, error),
                "timestamp.elapsed()");
}

static ist_status noNative(const ist_driver *driver, ist_error *error) {
  return fail(error, IST_UNAVAILABLE,
              "driver %s has no handles of a vendor's to hand out",
              driver->name);
}

ist_status ist_device::nativeDevice(ist_native *out, ist_error *error) {
  IST_RECORD(error);
  return native ? logged(native->device(device, out, error), "native.device()")
                : noNative(driver, error);
}

ist_status ist_device::nativeQueue(ist_driver_queue *queue, ist_native *out,
                                   ist_error *error) {
  IST_RECORD_ON(queue, error);
  return native ? logged(native->queue(queue, out, error), "native.queue()")
                : noNative(driver, error);
}

extern "C" {

ist_status ist_device_native(ist_device *device, const char **kind,
                             void **handle, ist_error *error) {
  if (!device || !kind || !handle)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_device_native: device, kind or handle is NULL");
  ist_native native = {sizeof native, nullptr, nullptr};
  if (ist_status s = device->nativeDevice(&native, error))
    return s;
  *kind = native.kind;
  *handle = native.handle;
  return IST_OK;
}

ist_status ist_session_native(ist_session *session, const char **kind,
                              void **handle, ist_error *error) {
  if (!session || !kind || !handle)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_session_native: session, kind or handle is NULL");
  if (ist_status s = session->ready(error))
    return s;
  ist_native native = {sizeof native, nullptr, nullptr};
  if (ist_status s =
          session->device->nativeQueue(session->queue, &native, error))
    return s;
  *kind = native.kind;
  *handle = native.handle;
  return IST_OK;
}

ist_status ist_device_copy_from(ist_device *device, void *to, ist_device *other,
                                const void *from, uint64_t bytes,
                                ist_error *error) {
  if (bytes == 0)
    return IST_OK;
  if (!device || !other || !to || !from)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_device_copy_from: a device or an address is NULL");
  auto toAddress = reinterpret_cast<uint64_t>(to),
       fromAddress = reinterpret_cast<uint64_t>(from);
  Transfer here, there;
  if (ist_status s = here.open(device, error))
    return s;
  ist_error why;
  ist_status s = here.fromPeer(toAddress, *other, fromAddress, bytes, &why);
  if (s != IST_UNAVAILABLE) {
    if (s && error)
      *error = why;
    return s;
  }
  // Through the host, in pieces.
  constexpr uint64_t most = 8 << 20;
  uint64_t piece = bytes < most ? bytes : most;
  if ((s = there.open(other, error)))
    return s;
  char *host = static_cast<char *>(std::malloc(piece));
  if (!host)
    return outOfMemory(error, piece, "a copy between devices");
  for (uint64_t at = 0; at < bytes && !s; at += piece) {
    uint64_t n = bytes - at < piece ? bytes - at : piece;
    s = there.toHost(host, fromAddress + at, n, error);
    if (!s)
      s = here.toDevice(toAddress + at, host, n, error);
  }
  std::free(host);
  return s;
}
}
