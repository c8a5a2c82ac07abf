//===- ops.h - what a vendor writes beneath the stream drivers ------------===//
//
// Drivers over a vendor's streams and events share everything but this table:
// see docs/drivers.md. Functions get what the core has checked: the device is
// not lost, sizes are not 0, kernels fit the launch.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DRIVERS_STREAM_OPS_H
#define ISTHMUS_DRIVERS_STREAM_OPS_H

#include "isthmus/driver.h"
#include "support.h"

namespace isthmus::stream {

struct Device;

/// A vendor's result: 0 is success, `explain` knows the others.
using Code = int;

struct Explanation {
  const char *name = "unknown error"; // "CUDA_ERROR_OUT_OF_MEMORY"
  const char *text = "";              // the vendor's own words
  ist_status status = IST_INTERNAL;
  bool lost = false; // the device is gone for this process
};

struct Kernel {
  void *module; // the vendor's
  void *handle;
  char *name;
  Array<ist_arg> args;
  uint32_t argsBytes, block, dynamicShared;
  uint32_t tiles; // arguments that are tiles
  Kernel *next;
};

/// One command of a queue or a recording.
struct Command {
  enum Kind { copy, fill, launch } kind;
  uint64_t to, from, bytes; // copy, fill
  uint8_t value;            // fill
  const Kernel *kernel;     // launch
  uint64_t grid;
  uint32_t cluster, dynamicShared;
  const void *args;
  const ist_tile *tiles; // of a launch
  size_t tileCount;
  const char *descriptors; // the vendor's, one for each tile

  bool empty() const { return kind == launch ? grid == 0 : bytes == 0; }
};

/// The most arguments that a kernel may have: more do not fit a launch of any
/// vendor.
constexpr size_t kMaxArgs = 512;

/// The most tiles of a launch, and a vendor's descriptor: CUDA's tensor map.
constexpr size_t kMaxTiles = 16, kDescriptorBytes = 128;

/// Fills `pointers`, of kMaxArgs + 1, with where each argument of `c` lies, and
/// null at the end (for people and fakes: no vendor asks for that).
inline void pointAtArgs(const Command &c, void **pointers) {
  for (const ist_arg &a : c.kernel->args) {
    const char *at = static_cast<const char *>(c.args) + a.offset;
    if (a.kind == IST_ARG_TILE) {
      uint64_t index;
      std::memcpy(&index, at, sizeof index);
      at = c.descriptors + kDescriptorBytes * index;
    }
    *pointers++ = const_cast<char *>(at);
  }
  *pointers = nullptr;
}

struct Ops {
  // --- devices
  int (*enumerate)(ist_identity *, uint32_t capacity, uint32_t *count,
                   ist_error *);
  /// Sets `vendor`, the summary, limits and facts.
  int (*open)(Device &, uint32_t index, const ist_native *, ist_error *);
  void (*close)(Device &);
  void (*explain)(Device &, Code, Explanation *);
  /// Makes the device the thread's current one, and the former one again; null
  /// where there is no such thing. `commands`: only queue commands follow,
  /// which a caller's stream may be capturing.
  Code (*enter)(Device &, bool commands, uint64_t *state);
  void (*leave)(Device &, bool commands, uint64_t state);

  // --- memory
  Code (*memInfo)(Device &, uint64_t *available, uint64_t *total);
  Code (*alloc)(Device &, ist_memory_kind, uint64_t bytes, ist_driver_memory *);
  void (*free)(Device &, ist_driver_memory *);
  int (*import)(Device &, const ist_import &, ist_driver_memory *, ist_error *);

  // --- code
  int (*moduleLoad)(Device &, const void *code, size_t size,
                    const ist_module_options &, void **module, ist_error *);
  void (*moduleUnload)(Device &, void *module);
  /// Sets `handle`; everything else is set already.
  int (*kernelGet)(Device &, const ist_kernel_desc &, Kernel &, ist_error *);
  void (*kernelRelease)(Device &, Kernel &); // null: nothing to do

  // --- streams
  int (*streamOpen)(Device &, const ist_native *, void **stream, ist_error *);
  void (*streamClose)(Device &, void *stream);
  void (*streamDrain)(Device &, void *stream); // waits for all in it
  Code (*copy)(Device &, void *stream, const Command &);
  Code (*fill)(Device &, void *stream, const Command &);
  Code (*launch)(Device &, void *stream, const Command &);
  Code (*streamWait)(Device &, void *stream, void *event);
  Code (*eventCreate)(Device &, void **event);
  void (*eventDestroy)(Device &, void *event);
  /// The event may have been recorded before; all of that is over.
  Code (*eventRecord)(Device &, void *stream, void *event);
  /// `failure`: what the work before the event ended with, where one can tell
  /// and the device lives on; the result is the asking's.
  Code (*eventQuery)(Device &, void *event, bool *done, Code *failure);
  Code (*eventSynchronize)(Device &, void *event);

  // --- recordings; the device says whether it has them
  Code (*graphCreate)(Device &, const Command *, size_t count,
                      void **graph) = nullptr;
  Code (*graphUpdate)(Device &, void *graph, size_t index,
                      const Command &) = nullptr;
  Code (*graphLaunch)(Device &, void *stream, void *graph) = nullptr;
  void (*graphDestroy)(Device &, void *graph) = nullptr;

  // --- the other extensions, likewise
  Code (*streamCapturing)(Device &, void *stream, bool *out) = nullptr;
  void *(*nativeContext)(Device &) = nullptr;
  void *(*nativeStream)(Device &, void *stream) = nullptr;
  Code (*poolAlloc)(Device &, void *stream, uint64_t bytes,
                    ist_driver_memory *) = nullptr;
  Code (*poolFree)(Device &, void *stream, ist_driver_memory *) = nullptr;
  /// `kind` is copy; its `from` is an address of the other device.
  Code (*peerCopy)(Device &, void *stream, Device &from,
                   const Command &) = nullptr;
  Code (*timestampCreate)(Device &, void **timestamp) = nullptr;
  void (*timestampDestroy)(Device &, void *timestamp) = nullptr;
  Code (*timestampRecord)(Device &, void *stream, void *timestamp) = nullptr;
  Code (*timestampElapsed)(Device &, void *begin, void *end,
                           uint64_t *nanoseconds) = nullptr;
  /// Into kDescriptorBytes, aligned to 64.
  int (*tileEncode)(Device &, const ist_tile &, void *descriptor,
                    ist_error *) = nullptr;

  // --- the caller's own objects: their kinds, or null where none is taken over
  const char *contextKind = nullptr, *queueKind = nullptr;
};

/// Of a vendor whose functions are called as the members are, with `scope`
/// before them. What may be missing is set by the vendor.
#define IST_STREAM_OPS(scope)                                                  \
  {                                                                            \
    scope enumerate, scope open, scope close, scope explain, nullptr, nullptr, \
        scope memInfo, scope alloc, scope free, scope import,                  \
        scope moduleLoad, scope moduleUnload, scope kernelGet, nullptr,        \
        scope streamOpen, scope streamClose, scope streamDrain, scope copy,    \
        scope fill, scope launch, scope streamWait, scope eventCreate,         \
        scope eventDestroy, scope eventRecord, scope eventQuery,               \
        scope eventSynchronize                                                 \
  }

} // namespace isthmus::stream

#endif // ISTHMUS_DRIVERS_STREAM_OPS_H
