//===- transfer.cpp - copies between host and device without a session ----===//
#include "transfer.h"

using namespace isthmus;

namespace {
/// Larger copies go in pieces of this size.
constexpr uint64_t kStagingBytes = 8 << 20;
} // namespace

Transfer::~Transfer() {
  if (!device)
    return;
  device->queueDestroy(queue); // waits, after a failure
  device->semaphoreDestroy(done);
  device->free(&staging);
}

ist_status Transfer::open(ist_device *d, ist_error *error) {
  device = d;
  if (ist_status s = device->queueCreate(nullptr, nullptr, &queue, error))
    return s;
  return device->semaphoreCreate(&done, error);
}

ist_status Transfer::stage(uint64_t bytes, ist_error *error) {
  if (bytes > kStagingBytes)
    bytes = kStagingBytes;
  if (bytes <= staging.bytes)
    return IST_OK;
  device->free(&staging);
  return device->alloc(IST_MEMORY_KIND_HOST_VISIBLE, bytes, &staging, error);
}

ist_status Transfer::onDevice(uint64_t to, uint64_t from, uint64_t bytes,
                              ist_error *error) {
  if (!bytes)
    return IST_OK;
  if (ist_status s = device->copy(queue, to, from, bytes, error))
    return s;
  return finish(error);
}

ist_status Transfer::finish(ist_error *error) {
  if (ist_status s = device->submit(queue, done, ++submitted, error))
    return s;
  return device->semaphoreWait(done, submitted, UINT64_MAX, error);
}

ist_status Transfer::fromPeer(uint64_t to, ist_device &other, uint64_t from,
                              uint64_t bytes, ist_error *error) {
  if (ist_status s = device->copyFrom(other, queue, to, from, bytes, error))
    return s;
  return finish(error);
}

ist_status Transfer::toDevice(uint64_t to, const void *from, uint64_t bytes,
                              ist_error *error) {
  if (device->shares())
    return onDevice(to, reinterpret_cast<uint64_t>(from), bytes, error);
  if (ist_status s = bytes ? stage(bytes, error) : IST_OK)
    return s;
  for (uint64_t at = 0; at < bytes;) {
    uint64_t n = bytes - at < staging.bytes ? bytes - at : staging.bytes;
    std::memcpy(staging.host, static_cast<const char *>(from) + at, n);
    if (ist_status s = onDevice(to + at, staging.address, n, error))
      return s;
    at += n;
  }
  return IST_OK;
}

ist_status Transfer::toHost(void *to, uint64_t from, uint64_t bytes,
                            ist_error *error) {
  if (device->shares())
    return onDevice(reinterpret_cast<uint64_t>(to), from, bytes, error);
  if (ist_status s = bytes ? stage(bytes, error) : IST_OK)
    return s;
  for (uint64_t at = 0; at < bytes;) {
    uint64_t n = bytes - at < staging.bytes ? bytes - at : staging.bytes;
    if (ist_status s = onDevice(staging.address, from + at, n, error))
      return s;
    std::memcpy(static_cast<char *>(to) + at, staging.host, n);
    at += n;
  }
  return IST_OK;
}
