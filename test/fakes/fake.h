//===- fake.h - what tests tell and ask a fake vendor library -------------===//
//
// A fake is a shared library made from a driver's symbol table. It keeps what a
// stream is given and runs it as late as the API allows, in an order drawn at
// random from all that may come next, so that a wait that is missing is seen.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TEST_FAKES_FAKE_H
#define ISTHMUS_TEST_FAKES_FAKE_H

#include <cstddef>
#include <cstdint>

namespace isthmus::fake {

/// Runs a kernel: `code` is the module as it was given, `args` its arguments,
/// one after the other. False: it faults. Without a kernel's name: whether the
/// code can be executed at all.
using Exec = bool (*)(void *user, const void *code, size_t size,
                      const char *kernel, uint64_t grid, uint32_t block,
                      uint32_t shared, const void *args, size_t argsBytes);

/// What the fake libcuda makes of a tensor map, and its kernels find in their
/// arguments in the place of one.
constexpr char kTileMagic[] = "a tile";
struct Tile {
  char magic[8];
  uint64_t address, dims[5], strides[4];
  uint16_t box[5];
  uint8_t type, rank, swizzle;
};

struct Control {
  /// Forgets faults, counts and misuse; objects stay.
  void (*reset)(uint32_t seed);
  /// The n-th call from now, from 1, fails with the vendor's `code`; 0: none.
  /// Functions that end something are not counted.
  void (*failAt)(int n, int code);
  /// The next kernel to run faults with `code`, and all calls after it fail.
  void (*faultNext)(int code);
  /// Null: kernels are functions of a host's ELF file. Without a call it is
  /// simulate() where the environment names a plug-in.
  void (*setExec)(Exec exec, void *user);
  /// Calls since reset of one function (the driver's name for it); null: of all
  /// that are counted.
  int (*calls)(const char *symbol);
  /// What was used wrongly; "" if nothing was. Static memory.
  const char *(*misuse)();
  /// Objects that are alive: "2 events, 1 stream", or "".
  const char *(*alive)();
  /// The application's own stream and context, as a caller has them.
  void *(*makeStream)();
  void (*dropStream)(void *stream);
  /// The context that such a stream is of, or null: there are none.
  void *(*contextOf)(void *stream);
  void *(*currentContext)();
  /// Begins to capture it; or ends that, and gives how many commands there
  /// were, or -1 when something broke the capture.
  void (*beginCapture)(void *stream);
  int (*endCapture)(void *stream);
  /// What a stream captured, run by another stream or the same: once for each
  /// call.
  void (*launchCaptured)(void *from, void *to);
};

/// Exported by every fake under this name, as const Control *(*)().
constexpr const char *kControl = "isthmus_fake_control";

} // namespace isthmus::fake

#endif // ISTHMUS_TEST_FAKES_FAKE_H
