//===- gpu.cpp - a fake libcuda or libamdhip64 ----------------------------===//
//
// Compiled once for each, as IST_FAKE_HIP says. fake_X is the driver's X; the
// table gives it the name that the vendor exports.
//
//===----------------------------------------------------------------------===//
#include "engine.h"
#ifdef IST_FAKE_HIP
#include "hip.h"
#else
#include "cuda.h"
#endif

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <type_traits>

using namespace isthmus::fake;
using namespace isthmus::gpu;

namespace {

[[maybe_unused]] constexpr int kInvalidContext = 201;
constexpr int kInvalidValue = 1, kOutOfMemory = 2, kNoDevice = 100,
              kInvalidDevice = 101, kInvalidImage = 200, kNotFound = 500,
              kInvalidHandle = 400, kIllegalAddress = 700, kRegistered = 712,
              kNotRegistered = 713, kCapturing = 900;

Engine &engine() { return Engine::get(); }

/// Each thread's own: the current contexts or device, and the capture mode.
struct Thread {
  std::vector<void *> contexts;
  int device = 0;
  int captureMode = 0; // global
};
thread_local Thread thread;

struct Context {
  int device;
  int retained = 0;
};

int deviceCount() {
  const char *n = std::getenv("ISTHMUS_FAKE_DEVICES");
  return n ? std::atoi(n) : 2;
}

struct Lock {
  Lock() { engine().mutex.lock(); }
  ~Lock() { engine().mutex.unlock(); }
};

enum Use {
  plain = 0,
  device = 1, // needs a current context
  unsafe = 2  // not while a stream is being captured
};

/// The first fault is what everyone gets from then on.
int faulted() {
  int fault = engine().fault;
  return fault < 0 ? kIllegalAddress : fault;
}

int begin(const char *symbol, int use) {
  Engine &e = engine();
  if (int code = e.enter(symbol))
    return code;
  if (use & device) {
#ifndef IST_FAKE_HIP
    if (thread.contexts.empty() || !thread.contexts.back()) {
      e.misused(std::string(symbol) + " without a current context");
      return kInvalidContext;
    }
#endif
    if (e.fault)
      return faulted();
  }
  if (use & unsafe && thread.captureMode != 2)
    for (Stream *s : e.streams)
      if (s->capturing) {
        s->broken = true;
        e.misused(std::string(symbol) + " while a stream is captured");
        return kCapturing;
      }
  return 0;
}

int currentDevice() {
#ifdef IST_FAKE_HIP
  return thread.device;
#else
  return static_cast<Context *>(thread.contexts.back())->device;
#endif
}

/// What a launch holds: the driver's array ends with null, and its arguments
/// lie in one blob of 8-byte slots.
std::vector<uint64_t> argumentsOf(void *const *arguments) {
  std::vector<uint64_t> blob;
  const char *first = static_cast<const char *>(*arguments);
  for (; *arguments; ++arguments) {
    const char *p = static_cast<const char *>(*arguments);
    size_t at = static_cast<size_t>(p - first), size = 8;
    if (arguments[1])
      size = static_cast<size_t>(static_cast<const char *>(arguments[1]) - p);
    blob.resize((at + size + 7) / 8);
    std::memcpy(reinterpret_cast<char *>(blob.data()) + at, p, size);
  }
  return blob;
}

Stream *streamOf(void *stream) {
  return engine().use<Stream>(stream, "stream");
}

int enqueue(void *stream, Work work) {
  Stream *s = streamOf(stream);
  if (!s)
    return kInvalidHandle;
  engine().push(s, std::move(work));
  return 0;
}

bool valid(uint64_t address, uint64_t bytes) {
  uint64_t base;
  if (engine().holds(address, bytes, &base))
    return true;
  engine().misused("a command names memory that there is not");
  return false;
}

struct Link {
  std::string code;
};
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

/// The size that the file's own headers give: loaders are told none.
int loadImage(void **module, const void *image) {
  Elf64_Ehdr h;
  std::memcpy(&h, image, sizeof h);
  if (std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
    return kInvalidImage;
  Module *m = engine().make<Module>("module");
  m->code.assign(static_cast<const char *>(image),
                 h.e_shoff + size_t(h.e_shnum) * h.e_shentsize);
  *module = m;
  return 0;
}

int addNode(void **out, void *graph, void *const *after, size_t count,
            Node node) {
  Graph *g = engine().use<Graph>(graph, "graph");
  if (!g)
    return kInvalidHandle;
  if (count > 1 || (count == 0) != g->nodes.empty() ||
      (count && after[0] != g->nodes.back()))
    engine().misused("nodes of a graph are not in order");
  Node *n = engine().make<Node>("graph node");
  *n = std::move(node);
  g->nodes.push_back(n);
  *out = n;
  return 0;
}

int changeNode(void *exec, void *node, Node changed) {
  GraphExec *g = engine().use<GraphExec>(exec, "graph exec");
  if (!g)
    return kInvalidHandle;
  for (size_t i = 0; i < g->names.size(); ++i)
    if (g->names[i] == node) {
      if (g->nodes[i].kind != changed.kind)
        return kInvalidValue;
      g->nodes[i] = std::move(changed);
      return 0;
    }
  engine().misused("a node is not of this graph");
  return kInvalidValue;
}

Work workOf(const Node &n) {
  switch (n.kind) {
  case Node::copy:
    return engine().copy(n.to, n.from, n.bytes);
  case Node::fill:
    return engine().fill(n.to, n.value, n.bytes);
  case Node::kernel:
    break;
  }
  return engine().launch(n.launch);
}

Node copyNode(uint64_t to, uint64_t from, size_t bytes) {
  valid(to, bytes), valid(from, bytes);
  Node n;
  n.kind = Node::copy;
  n.to = to, n.from = from, n.bytes = bytes;
  return n;
}

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
              p.grid[0], p.block[0], argumentsOf(p.arguments)};
  return n;
}

} // namespace

#define ENTER(name, use)                                                       \
  Lock lock;                                                                   \
  if (int code = begin(#name, use))                                            \
  return code

extern "C" {

int fake_Init(unsigned flags) {
  ENTER(Init, plain);
  return flags ? kInvalidValue : deviceCount() ? 0 : kNoDevice;
}
int fake_DriverGetVersion(int *version) {
  ENTER(DriverGetVersion, plain);
  *version = 12040;
  return 0;
}
int fake_DeviceGetCount(int *count) {
  ENTER(DeviceGetCount, plain);
  *count = deviceCount();
  return 0;
}
int fake_DeviceGetName(char *name, int size, int device) {
  ENTER(DeviceGetName, plain);
  if (device < 0 || device >= deviceCount())
    return kInvalidDevice;
  std::snprintf(name, static_cast<size_t>(size), "Fake %d", device);
  return 0;
}
int fake_DeviceTotalMem(size_t *bytes, int) {
  ENTER(DeviceTotalMem, plain);
  *bytes = Engine::kTotal;
  return 0;
}
int fake_DeviceGetUuid(void *uuid, int device) {
  ENTER(DeviceGetUuid, plain);
  std::memset(uuid, 0x10 + device, 16);
  return 0;
}
int fake_DeviceGetPCIBusId(char *id, int size, int device) {
  ENTER(DeviceGetPCIBusId, plain);
  std::snprintf(id, static_cast<size_t>(size), "0000:0%d:00.0", device);
  return 0;
}
int fake_MemGetInfo(size_t *available, size_t *total) {
  ENTER(MemGetInfo, device);
  *available = Engine::kTotal - engine().used;
  *total = Engine::kTotal;
  return 0;
}
int fake_MemAlloc(uint64_t *address, size_t bytes) {
  ENTER(MemAlloc, device | unsafe);
  uint64_t p = engine().allocate(bytes, "device memory", currentDevice());
  if (p)
    *address = p;
  return bytes == 0 ? kInvalidValue : p ? 0 : kOutOfMemory;
}
int fake_MemFree(uint64_t address) {
  ENTER(MemFree, unsafe);
  return engine().release(address, "device memory") ? 0 : kInvalidValue;
}
int fake_HostAlloc(void **p, size_t bytes, unsigned flags) {
  ENTER(HostAlloc, device | unsafe);
  if (flags != 3)
    engine().misused("host memory is not portable and mapped");
  *p = reinterpret_cast<void *>(
      engine().allocate(bytes, "host memory", currentDevice()));
  return *p ? 0 : kOutOfMemory;
}
int fake_HostFree(void *p) {
  ENTER(HostFree, unsafe);
  return engine().release(reinterpret_cast<uint64_t>(p), "host memory")
             ? 0
             : kInvalidValue;
}
int fake_HostRegister(void *p, size_t bytes, unsigned flags) {
  ENTER(HostRegister, device | unsafe);
  uint64_t address = reinterpret_cast<uint64_t>(p), base;
  if ((flags & ~8u) != 3 || bytes == 0)
    return kInvalidValue;
  if (engine().holds(address, 1, &base) ||
      engine().holds(address + bytes - 1, 1, &base))
    return kRegistered;
  engine().memory[address] = {bytes, "registration", currentDevice()};
  return 0;
}
int fake_HostUnregister(void *p) {
  ENTER(HostUnregister, unsafe);
  return engine().release(reinterpret_cast<uint64_t>(p), "registration")
             ? 0
             : kNotRegistered;
}
int fake_HostGetDevicePointer(uint64_t *address, void *p, unsigned) {
  ENTER(HostGetDevicePointer, device);
  uint64_t base;
  *address = reinterpret_cast<uint64_t>(p);
  return engine().holds(*address, 1, &base) ? 0 : kInvalidValue;
}
int fake_MemGetAddressRange(uint64_t *base, size_t *bytes, uint64_t p) {
  ENTER(MemGetAddressRange, device);
  const Memory *m = engine().holds(p, 1, base);
  if (m)
    *bytes = m->bytes;
  return m ? 0 : kNotFound;
}
int fake_PointerGetAttribute(void *out, int attribute, uint64_t p) {
  ENTER(PointerGetAttribute, device);
  uint64_t base;
  const Memory *m = engine().holds(p, 1, &base);
  if (!m || attribute != 9)
    return kInvalidValue;
  *static_cast<int *>(out) = m->device;
  return 0;
}
int fake_StreamCreate(void **stream, unsigned flags) {
  ENTER(StreamCreate, device | unsafe);
  if (flags != 1)
    engine().misused("a stream that waits for the default stream");
  Stream *s = engine().make<Stream>("stream");
  s->device = currentDevice();
  engine().streams.insert(s);
  *stream = s;
  return 0;
}
int fake_StreamDestroy(void *stream) {
  ENTER(StreamDestroy, unsafe);
  Stream *s = streamOf(stream);
  if (!s)
    return kInvalidHandle;
  if (!s->work.empty() && !engine().fault)
    engine().misused("a stream ends with work in it");
  if (s->ours)
    engine().misused("the caller's stream was destroyed");
  engine().streams.erase(s);
  engine().drop(s);
  return 0;
}
int fake_StreamSynchronize(void *stream) {
  ENTER(StreamSynchronize, device | unsafe);
  Stream *s = streamOf(stream);
  if (!s)
    return kInvalidHandle;
  engine().until([&] { return s->work.empty(); }, "StreamSynchronize");
  return faulted();
}
int fake_StreamWaitEvent(void *stream, void *event, unsigned flags) {
  ENTER(StreamWaitEvent, device);
  Stream *s = streamOf(stream);
  Event *e = engine().use<Event>(event, "event");
  if (!s || !e || flags)
    return kInvalidHandle;
  engine().wait(s, e);
  return 0;
}
int fake_StreamIsCapturing(void *stream, int *status) {
  ENTER(StreamIsCapturing, device);
  Stream *s = streamOf(stream);
  *status = s && s->capturing;
  return 0;
}
int fake_ExchangeCaptureMode(int *mode) {
  ENTER(ExchangeCaptureMode, plain);
  std::swap(*mode, thread.captureMode);
  return 0;
}
int fake_EventCreate(void **event, unsigned flags) {
  ENTER(EventCreate, device | unsafe);
  if (flags != 3)
    engine().misused("an event that keeps time");
  *event = engine().make<Event>("event");
  return 0;
}
int fake_EventDestroy(void *event) {
  ENTER(EventDestroy, unsafe);
  Event *e = engine().use<Event>(event, "event");
  if (!e)
    return kInvalidHandle;
  if (!e->done() && !engine().fault)
    engine().misused("an event ends before it was reached");
  engine().drop(e);
  return 0;
}
int fake_EventRecord(void *event, void *stream) {
  ENTER(EventRecord, device);
  Stream *s = streamOf(stream);
  Event *e = engine().use<Event>(event, "event");
  if (!s || !e)
    return kInvalidHandle;
  if (!e->done())
    engine().misused("an event is recorded again before it was reached");
  engine().record(s, e);
  return 0;
}
int fake_EventQuery(void *event) {
  ENTER(EventQuery, device | unsafe);
  Event *e = engine().use<Event>(event, "event");
  if (!e)
    return kInvalidHandle;
  engine().step();
  if (int code = faulted())
    return code;
  return e->done() ? 0 : kNotReady;
}
int fake_EventSynchronize(void *event) {
  ENTER(EventSynchronize, device | unsafe);
  Event *e = engine().use<Event>(event, "event");
  if (!e)
    return kInvalidHandle;
  engine().until([&] { return e->done(); }, "EventSynchronize");
  return faulted();
}
int fake_MemsetD8Async(uint64_t to, unsigned char value, size_t bytes,
                       void *stream) {
  ENTER(MemsetD8Async, device);
  if (!valid(to, bytes))
    return kInvalidValue;
  return enqueue(stream, engine().fill(to, value, bytes));
}
int fake_LaunchKernel(void *f, unsigned x, unsigned y, unsigned z, unsigned bx,
                      unsigned by, unsigned bz, unsigned, void *stream,
                      void **arguments, void **extra) {
  ENTER(LaunchKernel, device);
  auto *k = engine().use<isthmus::fake::Kernel>(f, "kernel");
  if (!k || extra)
    return kInvalidHandle;
  if (!x || y != 1 || z != 1 || !bx || bx > 1024 || by != 1 || bz != 1)
    return kInvalidValue;
  return enqueue(stream, engine().launch({k, x, bx, argumentsOf(arguments)}));
}
int fake_ModuleUnload(void *module) {
  ENTER(ModuleUnload, unsafe);
  Module *m = engine().use<Module>(module, "module");
  if (!m)
    return kInvalidHandle;
  for (auto it = engine().objects.begin(); it != engine().objects.end();)
    if (it->second.kind == "kernel" &&
        static_cast<isthmus::fake::Kernel *>(it->first)->module == m)
      it = engine().objects.erase(it);
    else
      ++it;
  engine().drop(m);
  return 0;
}
int fake_ModuleGetFunction(void **out, void *module, const char *name) {
  ENTER(ModuleGetFunction, device);
  Module *m = engine().use<Module>(module, "module");
  if (!m)
    return kInvalidHandle;
  if (!engine().exec && !m->find(name))
    return kNotFound;
  auto *k = engine().make<isthmus::fake::Kernel>("kernel");
  *k = {m, name};
  *out = k;
  return 0;
}
int fake_FuncGetAttribute(int *value, int attribute, void *f) {
  ENTER(FuncGetAttribute, device);
  *value = attribute == 0 ? 1024 : 0;
  return engine().use<isthmus::fake::Kernel>(f, "kernel") ? 0 : kInvalidHandle;
}
int fake_GraphCreate(void **graph, unsigned) {
  ENTER(GraphCreate, plain);
  *graph = engine().make<Graph>("graph");
  return 0;
}
int fake_GraphDestroy(void *graph) {
  ENTER(GraphDestroy, plain);
  Graph *g = engine().use<Graph>(graph, "graph");
  if (!g)
    return kInvalidHandle;
  for (Node *n : g->nodes)
    engine().drop(n);
  engine().drop(g);
  return 0;
}
int fake_GraphInstantiate(void **exec, void *graph, unsigned long long flags) {
  ENTER(GraphInstantiate, device | unsafe);
  Graph *g = engine().use<Graph>(graph, "graph");
  if (!g || flags)
    return kInvalidHandle;
  GraphExec *e = engine().make<GraphExec>("graph exec");
  for (Node *n : g->nodes) {
    e->nodes.push_back(*n);
    e->names.push_back(n);
  }
  *exec = e;
  return 0;
}
int fake_GraphExecDestroy(void *exec) {
  ENTER(GraphExecDestroy, plain);
  if (!engine().use<GraphExec>(exec, "graph exec"))
    return kInvalidHandle;
  engine().drop(exec);
  return 0;
}
int fake_GraphLaunch(void *exec, void *stream) {
  ENTER(GraphLaunch, device);
  GraphExec *g = engine().use<GraphExec>(exec, "graph exec");
  if (!g)
    return kInvalidHandle;
  for (const Node &n : g->nodes)
    if (int code = enqueue(stream, workOf(n)))
      return code;
  return 0;
}

#ifdef IST_FAKE_HIP

const char *fake_GetErrorName(int code) {
  switch (code) {
  case 0:
    return "hipSuccess"; // clang-format off
  case kOutOfMemory: return "hipErrorOutOfMemory";
  case kNoDevice: return "hipErrorNoDevice";
  case kInvalidImage: return "hipErrorInvalidImage";
  case kIllegalAddress: return "hipErrorIllegalAddress"; // clang-format on
  default:
    return "hipErrorOther";
  }
}
const char *fake_GetErrorString(int) { return "what hip says of it"; }
int fake_DeviceGetAttribute(int *value, int attribute, int device) {
  ENTER(DeviceGetAttribute, plain);
  if (device < 0 || device >= deviceCount())
    return kInvalidDevice;
  switch (attribute) {
  case 56:
    *value = 1024;
    return 0; // clang-format off
  case 29: *value = 0x7fffffff; return 0;
  case 87: *value = 64; return 0;
  case 63: *value = 304; return 0;
  case 74: *value = 65536; return 0; // clang-format on
  default:
    return kInvalidValue;
  }
}
static int properties(char *out, size_t at) {
  std::strcpy(out + at, "gfx942:sramecc+:xnack-");
  return 0;
}
int fake_GetDeviceProperties6(void *out, int) {
  ENTER(GetDeviceProperties6, plain);
  return properties(static_cast<char *>(out), kHipArchAt6);
}
int fake_GetDeviceProperties5(void *out, int) {
  ENTER(GetDeviceProperties5, plain);
  return properties(static_cast<char *>(out), kHipArchAt5);
}
int fake_GetDevice(int *device) {
  ENTER(GetDevice, plain);
  *device = thread.device;
  return 0;
}
int fake_SetDevice(int device) {
  ENTER(SetDevice, plain);
  thread.device = device;
  return device < deviceCount() ? 0 : kInvalidDevice;
}
int fake_MemcpyAsync(uint64_t to, uint64_t from, size_t bytes, int kind,
                     void *stream) {
  ENTER(MemcpyAsync, device);
  if (!valid(to, bytes) || !valid(from, bytes) || kind != 4)
    return kInvalidValue;
  return enqueue(stream, engine().copy(to, from, bytes));
}
int fake_ModuleLoadData(void **module, const void *image) {
  ENTER(ModuleLoadData, device | unsafe);
  return loadImage(module, image);
}
int fake_GraphAddKernelNode(void **node, void *graph, void *const *after,
                            size_t count, const void *p) {
  ENTER(GraphAddKernelNode, plain);
  return addNode(node, graph, after, count, kernelNode<HipKernelNode>(p));
}
int fake_GraphAddMemcpyNode(void **node, void *graph, void *const *after,
                            size_t count, uint64_t to, uint64_t from,
                            size_t bytes, int) {
  ENTER(GraphAddMemcpyNode, plain);
  return addNode(node, graph, after, count, copyNode(to, from, bytes));
}
int fake_GraphAddMemsetNode(void **node, void *graph, void *const *after,
                            size_t count, const void *p) {
  ENTER(GraphAddMemsetNode, plain);
  return addNode(node, graph, after, count, fillNode<HipMemsetNode>(p));
}
int fake_GraphExecKernelNodeSetParams(void *exec, void *node, const void *p) {
  ENTER(GraphExecKernelNodeSetParams, plain);
  return changeNode(exec, node, kernelNode<HipKernelNode>(p));
}
int fake_GraphExecMemcpyNodeSetParams(void *exec, void *node, uint64_t to,
                                      uint64_t from, size_t bytes, int) {
  ENTER(GraphExecMemcpyNodeSetParams, plain);
  return changeNode(exec, node, copyNode(to, from, bytes));
}
int fake_GraphExecMemsetNodeSetParams(void *exec, void *node, const void *p) {
  ENTER(GraphExecMemsetNodeSetParams, plain);
  return changeNode(exec, node, fillNode<HipMemsetNode>(p));
}

#else

int fake_GetErrorName(int code, const char **name) {
  switch (code) {
  case kOutOfMemory:
    *name = "CUDA_ERROR_OUT_OF_MEMORY";
    break; // clang-format off
  case kNoDevice: *name = "CUDA_ERROR_NO_DEVICE"; break;
  case kInvalidImage: *name = "CUDA_ERROR_INVALID_IMAGE"; break;
  case kIllegalAddress: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; break; // clang-format on
  default:
    *name = "CUDA_ERROR_OTHER";
  }
  return 0;
}
int fake_GetErrorString(int, const char **text) {
  *text = "what cuda says of it";
  return 0;
}
int fake_DeviceGet(int *device, int index) {
  ENTER(DeviceGet, plain);
  *device = index;
  return index < deviceCount() ? 0 : kInvalidDevice;
}
int fake_DeviceGetAttribute(int *value, int attribute, int device) {
  ENTER(DeviceGetAttribute, plain);
  if (device < 0 || device >= deviceCount())
    return kInvalidDevice;
  switch (attribute) {
  case 1:
    *value = 1024;
    return 0; // clang-format off
  case 5: *value = 0x7fffffff; return 0;
  case 10: *value = 32; return 0;
  case 16: *value = 132; return 0;
  case 75: *value = 9; return 0;
  case 76: *value = 0; return 0;
  case 97: *value = 232448; return 0;
  case 113: *value = 1; return 0; // clang-format on
  default:
    return kInvalidValue;
  }
}
static Context *contexts[16];
int fake_PrimaryCtxRetain(void **context, int device) {
  ENTER(PrimaryCtxRetain, plain);
  Context *&c = contexts[device];
  if (!c) {
    c = engine().make<Context>("context");
    c->device = device;
  }
  ++c->retained;
  *context = c;
  return 0;
}
int fake_PrimaryCtxRelease(int device) {
  ENTER(PrimaryCtxRelease, plain);
  Context *&c = contexts[device];
  if (!c) {
    engine().misused("a context was released once too often");
    return kInvalidContext;
  }
  if (--c->retained == 0) {
    engine().drop(c);
    c = nullptr;
  }
  return 0;
}
int fake_CtxGetCurrent(void **context) {
  ENTER(CtxGetCurrent, plain);
  *context = thread.contexts.empty() ? nullptr : thread.contexts.back();
  return 0;
}
int fake_CtxPushCurrent(void *context) {
  ENTER(CtxPushCurrent, plain);
  if (!engine().use<Context>(context, "context"))
    return kInvalidContext;
  thread.contexts.push_back(context);
  return 0;
}
int fake_CtxPopCurrent(void **context) {
  ENTER(CtxPopCurrent, plain);
  if (thread.contexts.empty())
    return kInvalidContext;
  *context = thread.contexts.back();
  thread.contexts.pop_back();
  return 0;
}
int fake_CtxGetDevice(int *out) {
  ENTER(CtxGetDevice, device);
  *out = currentDevice();
  return 0;
}
int fake_StreamGetCtx(void *stream, void **context) {
  ENTER(StreamGetCtx, plain);
  Stream *s = streamOf(stream);
  *context = s ? contexts[s->device] : nullptr;
  return s ? 0 : kInvalidHandle;
}
int fake_MemcpyAsync(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  ENTER(MemcpyAsync, device);
  if (!valid(to, bytes) || !valid(from, bytes))
    return kInvalidValue;
  return enqueue(stream, engine().copy(to, from, bytes));
}
int fake_LaunchKernelEx(const void *config, void *f, void **arguments,
                        void **) {
  ENTER(LaunchKernelEx, device);
  const auto &c = *static_cast<const CudaLaunchConfig *>(config);
  auto *k = engine().use<isthmus::fake::Kernel>(f, "kernel");
  if (!k || c.attributeCount != 1 || c.attributes[0].id != 4 ||
      c.grid[0] % c.attributes[0].cluster[0])
    return kInvalidValue;
  return enqueue(c.stream, engine().launch({k, c.grid[0], c.block[0],
                                            argumentsOf(arguments)}));
}
int fake_ModuleLoadDataEx(void **module, const void *image, unsigned count,
                          int *options, void **values) {
  ENTER(ModuleLoadDataEx, device | unsafe);
  int code = loadImage(module, image);
  if (code && count == 2 && options[0] == 5)
    std::strcpy(static_cast<char *>(values[0]), "no image\nat all");
  return code;
}
int fake_FuncSetAttribute(void *f, int attribute, int value) {
  ENTER(FuncSetAttribute, device);
  return engine().use<isthmus::fake::Kernel>(f, "kernel") && attribute == 8 &&
                 value <= 232448
             ? 0
             : kInvalidValue;
}
int fake_FuncLoad(void *f) {
  ENTER(FuncLoad, device | unsafe);
  return engine().use<isthmus::fake::Kernel>(f, "kernel") ? 0 : kInvalidHandle;
}
struct PtxLink : Link {
  char *log = nullptr;
};
int fake_LinkCreate(unsigned count, int *options, void **values, void **link) {
  ENTER(LinkCreate, device | unsafe);
  auto *l = engine().make<PtxLink>("link");
  if (count == 2 && options[0] == 5 && options[1] == 6)
    l->log = static_cast<char *>(values[0]);
  *link = l;
  return 0;
}
int fake_LinkAddData(void *link, int type, void *data, size_t size,
                     const char *, unsigned, int *, void **) {
  ENTER(LinkAddData, device | unsafe);
  auto *l = engine().use<PtxLink>(link, "link");
  const char *text = static_cast<const char *>(data);
  if (!l || type != 1 || size == 0 || text[size - 1])
    return kInvalidValue;
  l->code.assign(text, size - 1);
  // PTX is taken for what a host's ELF file says; that must be whole.
  bool good = false;
  Elf64_Ehdr h;
  if (size > sizeof h) {
    std::memcpy(&h, text, sizeof h);
    good = std::memcmp(h.e_ident, ELFMAG, SELFMAG) == 0 &&
           h.e_shoff + size_t(h.e_shnum) * h.e_shentsize <= size - 1;
  }
  if (!good) {
    if (l->log)
      std::strcpy(l->log, "ptxas fatal: line 1\nsyntax error");
    return 218;
  }
  return 0;
}
int fake_LinkComplete(void *link, void **cubin, size_t *size) {
  ENTER(LinkComplete, device | unsafe);
  auto *l = engine().use<PtxLink>(link, "link");
  *cubin = &l->code[0];
  *size = l->code.size();
  return 0;
}
int fake_LinkDestroy(void *link) {
  ENTER(LinkDestroy, plain);
  engine().drop(link);
  return 0;
}
int fake_GraphAddKernelNode(void **node, void *graph, void *const *after,
                            size_t count, const void *p) {
  ENTER(GraphAddKernelNode, plain);
  return addNode(node, graph, after, count, kernelNode<CudaKernelNode>(p));
}
static Node cudaCopy(const void *params) {
  const auto &p = *static_cast<const CudaCopyNode *>(params);
  if (p.from.type != 4 || p.to.type != 4 || p.height != 1 || p.depth != 1)
    engine().misused("a copy node that is no row of bytes");
  return copyNode(p.to.device, p.from.device, p.width);
}
int fake_GraphAddMemcpyNode(void **node, void *graph, void *const *after,
                            size_t count, const void *p, void *) {
  ENTER(GraphAddMemcpyNode, plain);
  return addNode(node, graph, after, count, cudaCopy(p));
}
int fake_GraphAddMemsetNode(void **node, void *graph, void *const *after,
                            size_t count, const void *p, void *) {
  ENTER(GraphAddMemsetNode, plain);
  return addNode(node, graph, after, count, fillNode<CudaMemsetNode>(p));
}
int fake_GraphExecKernelNodeSetParams(void *exec, void *node, const void *p) {
  ENTER(GraphExecKernelNodeSetParams, plain);
  return changeNode(exec, node, kernelNode<CudaKernelNode>(p));
}
int fake_GraphExecMemcpyNodeSetParams(void *exec, void *node, const void *p,
                                      void *) {
  ENTER(GraphExecMemcpyNodeSetParams, plain);
  return changeNode(exec, node, cudaCopy(p));
}
int fake_GraphExecMemsetNodeSetParams(void *exec, void *node, const void *p,
                                      void *) {
  ENTER(GraphExecMemsetNodeSetParams, plain);
  return changeNode(exec, node, fillNode<CudaMemsetNode>(p));
}

#endif

// The vendor's names, and a check that none is missing or has other types.
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  __attribute__((visibility("default"),                                        \
                 alias("fake_" #name))) result symbol parameters;              \
  static_assert(std::is_same_v<decltype(&fake_##name), result(*) parameters>);
#define IST_OPTIONAL IST_REQUIRED
#ifdef IST_FAKE_HIP
#include "hip_symbols.h"
#else
#include "cuda_symbols.h"
#endif

__attribute__((visibility("default"))) const Control *isthmus_fake_control() {
  static Control control = [] {
    Control c = baseControl();
    c.makeStream = []() -> void * {
      Lock lock;
      Stream *s = engine().make<Stream>("stream");
      s->ours = true;
      engine().streams.insert(s);
      return s;
    };
    c.dropStream = [](void *stream) {
      Lock lock;
      engine().streams.erase(static_cast<Stream *>(stream));
      engine().drop(stream);
    };
    c.currentContext = []() -> void * {
#ifdef IST_FAKE_HIP
      return reinterpret_cast<void *>(uintptr_t(thread.device));
#else
      return thread.contexts.empty() ? nullptr : thread.contexts.back();
#endif
    };
    return c;
  }();
  return &control;
}
}
