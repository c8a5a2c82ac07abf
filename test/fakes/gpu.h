//===- gpu.h - a fake libcuda or libamdhip64 -----------------------------===//
//
// Compiled once for each, as IST_FAKE_HIP says. fake_X is the driver's X; its
// symbol is the name that the vendor exports.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TEST_FAKES_GPU_H
#define ISTHMUS_TEST_FAKES_GPU_H

#include "engine.h"
#ifdef IST_FAKE_HIP
#include "hip.h"
#else
#include "cuda.h"
#endif

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace isthmus::fake {

constexpr int kInvalidContext = 201, kInvalidValue = 1, kOutOfMemory = 2,
              kNoDevice = 100, kInvalidDevice = 101, kInvalidImage = 200,
              kNotFound = 500, kInvalidHandle = 400, kIllegalAddress = 700,
              kRegistered = 712, kNotRegistered = 713, kCapturing = 900;

inline Engine &engine() { return Engine::get(); }

/// Each thread's own: the current contexts or device, and the capture mode.
struct Thread {
  std::vector<void *> contexts;
  int device = 0;
  int captureMode = 0; // global
};
extern thread_local Thread thread;

struct Context {
  int device;
  int retained = 0;
};

struct Lock {
  Lock() { engine().mutex.lock(); }
  ~Lock() { engine().mutex.unlock(); }
};

enum Use {
  plain = 0,
  device = 1, // needs a current context
  unsafe = 2  // not while a stream is being captured
};

int deviceCount();
/// Whether devices have pools: ISTHMUS_FAKE_NO_POOLS says no.
inline int pools() { return !std::getenv("ISTHMUS_FAKE_NO_POOLS"); }
int peerCopy(uint64_t to, int toDevice, uint64_t from, int fromDevice,
             uint64_t bytes, void *stream);
/// What everyone gets after a fault, or 0.
int faulted();
/// How each function begins; not 0: its result.
int begin(const char *symbol, int use);
int currentDevice();
void *contextOf(void *stream);
/// What a launch holds: the driver's array ends with null, and its arguments
/// lie in one blob of 8-byte slots.
std::vector<uint64_t> argumentsOf(void *const *arguments);
Stream *streamOf(void *stream);
int enqueue(void *stream, Work work);
bool valid(uint64_t address, uint64_t bytes);
/// Whether there is somebody to execute this code, and knows all of it.
bool executes(const char *code, size_t size);
/// A module of a host's ELF file, or of what is executed.
int loadImage(void **module, const void *image);

struct Node {
  enum Kind { kernel, copy, fill } kind;
  Launch launch;
  uint64_t to = 0, from = 0, bytes = 0;
  uint8_t value = 0;
  Node *after = nullptr;
};
struct Graph {
  std::vector<Node *> nodes;
};
struct GraphExec {
  std::vector<Node> nodes;
  std::vector<Node *> names;
};

int addNode(void **out, void *graph, void *const *after, size_t count,
            Node node);
int changeNode(void *exec, void *node, Node changed);
Node copyNode(uint64_t to, uint64_t from, size_t bytes);

template <typename T> Node fillNode(const void *params) {
  const T &p = *static_cast<const T *>(params);
  valid(p.to, p.width);
  if (p.elementSize != 1 || p.height != 1)
    engine().misused("a memset node that is no row of bytes");
  Node n;
  n.kind = Node::fill;
  n.to = p.to, n.value = static_cast<uint8_t>(p.value), n.bytes = p.width;
  return n;
}

template <typename T> Node kernelNode(const void *params) {
  const T &p = *static_cast<const T *>(params);
  Node n;
  n.kind = Node::kernel;
  n.launch = {engine().use<isthmus::fake::Kernel>(p.function, "kernel"),
              p.grid[0], p.block[0], argumentsOf(p.arguments), p.sharedBytes};
  return n;
}

} // namespace isthmus::fake

#define ENTER(name, use)                                                       \
  Lock lock;                                                                   \
  if (int code = begin(#name, use))                                            \
  return code

// A function of other types than the table's does not compile, and one that is
// missing does not link: gpu.cpp names them all.
extern "C" {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  __attribute__((                                                              \
      visibility("default"))) result fake_##name parameters __asm__(#symbol);
#define IST_OPTIONAL IST_REQUIRED
#ifdef IST_FAKE_HIP
#include "hip_symbols.h"
#else
#include "cuda_symbols.h"
#endif
}

#endif // ISTHMUS_TEST_FAKES_GPU_H
