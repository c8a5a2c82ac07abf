//===- extensions.cpp - what not every vendor has -------------------------===//
#include "stream.h"

using namespace isthmus;
using namespace isthmus::stream;

namespace {

//===----------------------------------------------------------------------===//
// Captures, native handles
//===----------------------------------------------------------------------===//

int capturing(ist_driver_queue *queue, uint32_t *out, ist_error *error) {
  Queue &q = *of(queue);
  Device &d = *q.device;
  if (ist_status s = d.alive(error))
    return s;
  bool is = false;
  Entered entered(d, /*commands=*/true);
  if (ist_status s = entered.ok(error))
    return s;
  if (Code code = d.ops->streamCapturing(d, q.stream, &is))
    return d.failed(code, error, "asking whether a queue is being captured");
  *out = is;
  return IST_OK;
}
const ist_capture_extension captureExtension = {sizeof(ist_capture_extension),
                                                capturing};

int nativeDevice(ist_driver_device *device, ist_native *out, ist_error *error) {
  Device &d = *of(device);
  if (ist_status s = d.alive(error))
    return s;
  if (!d.ops->contextKind || !d.ops->nativeContext)
    return fail(error, IST_UNAVAILABLE, "%s has no contexts to hand out",
                d.driver);
  out->kind = d.ops->contextKind;
  out->handle = d.ops->nativeContext(d);
  return IST_OK;
}
int nativeQueue(ist_driver_queue *queue, ist_native *out, ist_error *error) {
  Queue &q = *of(queue);
  Device &d = *q.device;
  if (ist_status s = d.alive(error))
    return s;
  out->kind = d.ops->queueKind;
  out->handle = d.ops->nativeStream(d, q.stream);
  return IST_OK;
}
const ist_native_extension nativeExtension = {sizeof(ist_native_extension),
                                              nativeDevice, nativeQueue};

//===----------------------------------------------------------------------===//
// Pools
//===----------------------------------------------------------------------===//

int poolAlloc(ist_driver_queue *queue, uint64_t bytes, ist_driver_memory *out,
              ist_error *error) {
  Queue &q = *of(queue);
  Device &d = *q.device;
  if (ist_status s = d.alive(error))
    return s;
  Entered entered(d);
  if (ist_status s = entered.ok(error))
    return s;
  ist_driver_memory memory = {};
  if (Code code = d.ops->poolAlloc(d, q.stream, bytes, &memory))
    return allocFailed(d, code, bytes, error);
  memory.bytes = bytes;
  *out = memory;
  return IST_OK;
}
int poolFree(ist_driver_queue *queue, ist_driver_memory *memory,
             ist_error *error) {
  Queue &q = *of(queue);
  Device &d = *q.device;
  if (ist_status s = d.alive(error))
    return s;
  Entered entered(d);
  if (ist_status s = entered.ok(error))
    return s;
  if (Code code = d.ops->poolFree(d, q.stream, memory))
    return d.failed(code, error, "giving back %llu bytes", ull(memory->bytes));
  return IST_OK;
}
const ist_pool_extension poolExtension = {sizeof(ist_pool_extension), poolAlloc,
                                          poolFree};

//===----------------------------------------------------------------------===//
// Peers
//===----------------------------------------------------------------------===//

int peerCopy(ist_driver_queue *queue, uint64_t to, ist_driver_device *from,
             uint64_t fromAddress, uint64_t bytes, ist_error *error) {
  Queue &q = *of(queue);
  Device &d = *q.device;
  if (ist_status s = d.alive(error))
    return s;
  if (ist_status s = of(from)->alive(error))
    return s;
  if (of(from)->ops != d.ops)
    return fail(error, IST_UNAVAILABLE, "%s copies to none but its own devices",
                d.driver);
  if (!bytes)
    return IST_OK;
  Entered entered(d, /*commands=*/true);
  if (ist_status s = entered.ok(error)) {
    q.failed = true;
    return s;
  }
  Command c = {};
  c.kind = Command::copy;
  c.to = to;
  c.from = fromAddress;
  c.bytes = bytes;
  if (Code code = d.ops->peerCopy(d, q.stream, *of(from), c)) {
    q.failed = true;
    return d.failed(code, error, "copying %llu bytes from device %u",
                    ull(bytes), of(from)->index);
  }
  return IST_OK;
}
const ist_peer_extension peerExtension = {sizeof(ist_peer_extension), peerCopy};

//===----------------------------------------------------------------------===//
// Timestamps
//===----------------------------------------------------------------------===//

int timestampCreate(ist_driver_device *device, ist_driver_timestamp **out,
                    ist_error *error) {
  Device &d = *of(device);
  if (ist_status s = d.alive(error))
    return s;
  Entered entered(d);
  if (ist_status s = entered.ok(error))
    return s;
  Timestamp *t = make<Timestamp>();
  if (!t)
    return outOfMemory(error, sizeof *t, "a timestamp");
  *t = {&d, nullptr};
  if (Code code = d.ops->timestampCreate(d, &t->handle)) {
    destroy(t);
    return d.failed(code, error, "making a timestamp");
  }
  *out = reinterpret_cast<ist_driver_timestamp *>(t);
  return IST_OK;
}
void timestampDestroy(ist_driver_timestamp *timestamp) {
  Timestamp *t = of(timestamp);
  Entered entered(*t->device);
  t->device->ops->timestampDestroy(*t->device, t->handle);
  destroy(t);
}
int timestampRecord(ist_driver_queue *queue, ist_driver_timestamp *timestamp,
                    ist_error *error) {
  Queue &q = *of(queue);
  Device &d = *q.device;
  if (ist_status s = d.alive(error))
    return s;
  Entered entered(d, /*commands=*/true);
  if (ist_status s = entered.ok(error))
    return s;
  if (Code code = d.ops->timestampRecord(d, q.stream, of(timestamp)->handle)) {
    q.failed = true;
    return d.failed(code, error, "taking the time");
  }
  return IST_OK;
}
int timestampElapsed(ist_driver_timestamp *begin, ist_driver_timestamp *end,
                     uint64_t *nanoseconds, ist_error *error) {
  Device &d = *of(begin)->device;
  if (ist_status s = d.alive(error))
    return s;
  Entered entered(d);
  if (ist_status s = entered.ok(error))
    return s;
  uint64_t ns = 0;
  if (Code code =
          d.ops->timestampElapsed(d, of(begin)->handle, of(end)->handle, &ns))
    return d.failed(code, error, "asking for the time between two events");
  *nanoseconds = ns;
  return IST_OK;
}
const ist_timestamp_extension timestampExtension = {
    sizeof(ist_timestamp_extension), timestampCreate, timestampDestroy,
    timestampRecord, timestampElapsed};

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

int encodeTile(Device &d, const ist_tile &tile, void *descriptor,
               ist_error *error) {
  bool zeros = true;
  for (uint64_t r : tile.reserved)
    zeros &= r == 0;
  if (!zeros)
    return fail(error, IST_UNIMPLEMENTED,
                "the %s driver was given a tile with members that it does not "
                "know; update it",
                d.driver);
  if (tile.rank == 0 || tile.rank > IST_TILE_MAX_RANK)
    return fail(error, IST_INVALID_ARGUMENT,
                "a tile of rank %u; a device takes 1 to %d", tile.rank,
                IST_TILE_MAX_RANK);
  return d.ops->tileEncode(d, tile, descriptor, error);
}

int checkTile(ist_driver_device *device, const ist_tile *tile,
              ist_error *error) {
  Device &d = *of(device);
  if (ist_status s = d.alive(error))
    return s;
  alignas(64) char descriptor[kDescriptorBytes];
  return encodeTile(d, *tile, descriptor, error);
}
const ist_tile_extension tileExtension = {sizeof(ist_tile_extension),
                                          checkTile};

} // namespace

ist_status stream::encodeTiles(Device &d, const Command &c, char *descriptors,
                               ist_error *error) {
  const Kernel &k = *c.kernel;
  if (c.tileCount > kMaxTiles)
    return fail(error, IST_UNAVAILABLE,
                "kernel '%.100s' was launched with %zu tiles; a launch takes "
                "%zu",
                k.name, c.tileCount, kMaxTiles);
  for (const ist_arg &a : k.args) {
    uint64_t index;
    std::memcpy(&index, static_cast<const char *>(c.args) + a.offset,
                a.kind == IST_ARG_TILE ? sizeof index : 0);
    if (a.kind == IST_ARG_TILE && index >= c.tileCount)
      return fail(error, IST_INVALID_ARGUMENT,
                  "kernel '%.100s' names tile %llu of a launch with %zu",
                  k.name, ull(index), c.tileCount);
  }
  for (size_t i = 0; i < c.tileCount; ++i)
    if (int s = encodeTile(d, c.tiles[i], descriptors + kDescriptorBytes * i,
                           error))
      return static_cast<ist_status>(s);
  return IST_OK;
}

const void *stream::extension(ist_driver_device *device, const char *name) {
  const Device &d = *of(device);
  const struct {
    const char *name;
    bool has;
    const void *table;
  } all[] = {
      {IST_EXTENSION_RECORDING, d.recordings, &recordingExtension},
      {IST_EXTENSION_CAPTURE, d.ops->streamCapturing != nullptr,
       &captureExtension},
      {IST_EXTENSION_NATIVE, d.ops->nativeStream != nullptr, &nativeExtension},
      {IST_EXTENSION_POOL, d.pools, &poolExtension},
      {IST_EXTENSION_PEER, d.peers, &peerExtension},
      {IST_EXTENSION_TIMESTAMP, d.timestamps, &timestampExtension},
      {IST_EXTENSION_TILE, d.tiles, &tileExtension}};
  for (const auto &e : all)
    if (e.has && std::strcmp(name, e.name) == 0)
      return e.table;
  return nullptr;
}
