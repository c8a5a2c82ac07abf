//===- streams.h - streams and events of both vendors --------------------===//
#ifndef ISTHMUS_DRIVERS_CUDA_HIP_STREAMS_H
#define ISTHMUS_DRIVERS_CUDA_HIP_STREAMS_H

#include "gpu.h"

namespace isthmus::gpu {

template <typename V> struct Streams {
  using Self = Gpu<V>;
  using Symbols = typename V::Symbols;

  // A stream and whether it is ours to end, in one pointer.
  struct Stream {
    void *handle;
    bool ours;
  };
  static void *raw(void *stream) {
    return static_cast<Stream *>(stream)->handle;
  }

  static int streamOpen(Device &d, const ist_native *native, void **out,
                        ist_error *error) {
    if (native)
      if (ist_status s = V::checkStream(d, self<V>(d), native->handle, error))
        return s;
    Stream *s = make<Stream>();
    if (!s)
      return outOfMemory(error, sizeof *s, "a queue");
    *s = {native ? native->handle : nullptr, !native};
    if (!native)
      if (Code code = api<V>(d).StreamCreate(&s->handle, flags::nonBlocking)) {
        destroy(s);
        return d.failed(code, error, "making a stream");
      }
    *out = s;
    return IST_OK;
  }
  static void streamClose(Device &d, void *stream) {
    Stream *s = static_cast<Stream *>(stream);
    if (s->ours)
      api<V>(d).StreamDestroy(s->handle);
    destroy(s);
  }
  static void streamDrain(Device &d, void *stream) {
    Stream *s = static_cast<Stream *>(stream);
    int capturing = 0;
    if (s->ours ||
        (!api<V>(d).StreamIsCapturing(s->handle, &capturing) && !capturing))
      api<V>(d).StreamSynchronize(s->handle);
  }

  static Code copy(Device &d, void *stream, const Command &c) {
    return V::copy(api<V>(d), raw(stream), c);
  }
  static Code fill(Device &d, void *stream, const Command &c) {
    return api<V>(d).MemsetD8Async(c.to, c.value, c.bytes, raw(stream));
  }
  static Code launch(Device &d, void *stream, const Command &c) {
    void *arguments[kMaxArgs + 1];
    pointAtArgs(c, arguments);
    if (c.cluster > 1)
      return V::launchCluster(self<V>(d), raw(stream), c, arguments);
    return api<V>(d).LaunchKernel(
        c.kernel->handle, static_cast<unsigned>(c.grid), 1, 1, c.kernel->block,
        1, 1, c.dynamicShared, raw(stream), arguments, nullptr);
  }

  static Code streamWait(Device &d, void *stream, void *event) {
    return api<V>(d).StreamWaitEvent(raw(stream), event, 0);
  }
  static Code eventCreate(Device &d, void **event) {
    return api<V>(d).EventCreate(event,
                                 flags::disableTiming | flags::blockingSync);
  }
  static void eventDestroy(Device &d, void *event) {
    api<V>(d).EventDestroy(event);
  }
  static Code eventRecord(Device &d, void *stream, void *event) {
    return api<V>(d).EventRecord(event, raw(stream));
  }
  static Code eventQuery(Device &d, void *event, bool *done, Code *) {
    Code code = api<V>(d).EventQuery(event);
    *done = code == 0;
    return code == kNotReady ? 0 : code;
  }
  static Code eventSynchronize(Device &d, void *event) {
    return api<V>(d).EventSynchronize(event);
  }
};

} // namespace isthmus::gpu

#endif // ISTHMUS_DRIVERS_CUDA_HIP_STREAMS_H
