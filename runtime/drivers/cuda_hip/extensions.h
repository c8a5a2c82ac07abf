//===- extensions.h - what both vendors have beyond the table -------------===//
#ifndef ISTHMUS_DRIVERS_CUDA_HIP_EXTENSIONS_H
#define ISTHMUS_DRIVERS_CUDA_HIP_EXTENSIONS_H

#include "memory.h"
#include "streams.h"

namespace isthmus::gpu {

template <typename V> struct Extensions {
  using Self = Gpu<V>;

  static void *raw(void *stream) { return Streams<V>::raw(stream); }

  /// Of what an open device has, by its library's symbols and its own answers.
  static void find(Device &d) {
    const auto &a = api<V>(d);
    int64_t pools = 0;
    d.recordings = hasGraphs(a);
    d.pools = a.MemAllocAsync && a.MemFreeAsync &&
              !Devices<V>::attribute(a, self<V>(d).device, Attribute::pools,
                                     &pools) &&
              pools;
    d.peers = a.MemcpyPeerAsync;
    d.timestamps = a.EventElapsedTime;
    d.tiles = V::hasTiles(self<V>(d));
  }

  static Code streamCapturing(Device &d, void *stream, bool *out) {
    int status = 0;
    Code code = api<V>(d).StreamIsCapturing(raw(stream), &status);
    *out = status != 0;
    return code;
  }
  static void *nativeContext(Device &d) { return self<V>(d).context; }
  static void *nativeStream(Device &, void *stream) { return raw(stream); }

  static Code poolAlloc(Device &d, void *stream, uint64_t bytes,
                        ist_driver_memory *out) {
    out->handle = Memory<V>::handle(Memory<V>::Kind::device);
    return api<V>(d).MemAllocAsync(&out->address, bytes, raw(stream));
  }
  static Code poolFree(Device &d, void *stream, ist_driver_memory *memory) {
    return api<V>(d).MemFreeAsync(memory->address, raw(stream));
  }

  static Code peerCopy(Device &d, void *stream, Device &from,
                       const Command &c) {
    return V::peerCopy(self<V>(d), raw(stream), self<V>(from), c);
  }

  static Code timestampCreate(Device &d, void **timestamp) {
    return api<V>(d).EventCreate(timestamp, 0); // one that keeps time
  }
  static void timestampDestroy(Device &d, void *timestamp) {
    api<V>(d).EventDestroy(timestamp);
  }
  static Code timestampRecord(Device &d, void *stream, void *timestamp) {
    return api<V>(d).EventRecord(timestamp, raw(stream));
  }
  static Code timestampElapsed(Device &d, void *begin, void *end,
                               uint64_t *nanoseconds) {
    float ms = 0;
    Code code = api<V>(d).EventElapsedTime(&ms, begin, end);
    *nanoseconds = ms > 0 ? static_cast<uint64_t>(double(ms) * 1e6 + 0.5) : 0;
    return code;
  }
};

} // namespace isthmus::gpu

#endif // ISTHMUS_DRIVERS_CUDA_HIP_EXTENSIONS_H
