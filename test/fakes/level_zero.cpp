//===- level_zero.cpp - a fake Level Zero driver --------------------------===//
//
// Opened in the loader's place, or by the loader (level_zero_ddi.cpp). Lists
// that were not made in order run their commands in any order that barriers and
// events allow. Modules are a host's ELF file in a SPIR-V container, made by
// wrap_spirv.py.
//
//===----------------------------------------------------------------------===//
#include "level_zero.h" // the driver's
#include "engine.h"

#include <cstdlib>
#include <cstring>
#include <type_traits>

using namespace isthmus::fake;
using namespace isthmus::ze;
using FakeKernel = isthmus::fake::Kernel;

namespace {

constexpr int kInvalid = 0x78000004, kInvalidBinary = 0x7800000f,
              kInvalidArgumentSize = 0x78000016, kInUse = 0x78000006;

Engine &engine() { return Engine::get(); }

struct Lock {
  Lock() { engine().mutex.lock(); }
  ~Lock() { engine().mutex.unlock(); }
};

struct Handle {
  int index;
};
Handle drivers[1], devices[2];
struct Context {};

struct ZeEvent {
  bool signalled = false;
  int waiters = 0, signallers = 0; // commands that are still to run
};

/// An immediate command list.
struct List {
  bool inOrder;
  bool ours = false;        // the application's
  void *context = nullptr;  // of ours
  Stream *stream = nullptr; // when in order
  /// When not: each command is a stream of its own.
  std::vector<std::unique_ptr<Stream>> commands;
  uint64_t barrier = 0, reached = 0; // of barriers
  std::map<uint64_t, int> running;   // commands behind each barrier
  bool idle() const {
    for (const auto &c : commands)
      if (!c->work.empty())
        return false;
    return !stream || stream->work.empty();
  }
};

struct ZeModule : isthmus::fake::Module {
  std::map<std::string, uint32_t> counts; // of arguments
};
struct ZeKernel : FakeKernel {
  uint32_t count, group = 0;
  std::vector<uint64_t> args;
};
struct Log {
  std::string text;
};

int begin(const char *symbol) {
  if (int code = engine().enter(symbol))
    return code;
  return engine().fault && !Engine::isRelease(symbol) ? kLost : 0;
}

/// Appends to a list. A barrier also waits for all before it, and all after it
/// for the barrier.
int append(void *list, Work work, bool barrier, uint32_t count, void **events,
           void *signal) {
  List *l = engine().use<List>(list, "command list");
  if (!l)
    return kInvalid;
  std::vector<ZeEvent *> waits;
  for (uint32_t i = 0; i < count; ++i) {
    waits.push_back(engine().use<ZeEvent>(events[i], "event"));
    ++waits.back()->waiters;
  }
  ZeEvent *done = signal ? engine().use<ZeEvent>(signal, "event") : nullptr;
  if (done) {
    if (done->signalled || done->signallers)
      engine().misused("an event is to be signalled twice");
    ++done->signallers;
  }
  uint64_t before = l->barrier;
  if (barrier)
    ++l->barrier;
  auto ready = [=] {
    if (!l->inOrder && l->reached != before)
      return false;
    if (!l->inOrder && barrier && l->running[before])
      return false;
    for (ZeEvent *e : waits)
      if (!e->signalled)
        return false;
    return true;
  };
  auto run = [=] {
    bool good = !work.run || work.run();
    for (ZeEvent *e : waits)
      --e->waiters;
    if (done) {
      --done->signallers;
      done->signalled = true;
    }
    if (barrier)
      l->reached = before + 1;
    else
      --l->running[before];
    return good;
  };
  if (!barrier)
    ++l->running[before];
  Stream *to = l->stream;
  if (!to) {
    for (auto &c : l->commands)
      if (c->work.empty())
        to = c.get();
    if (!to) {
      l->commands.push_back(std::make_unique<Stream>());
      to = l->commands.back().get();
      engine().streams.insert(to);
    }
  }
  engine().push(to, {ready, run});
  return 0;
}

bool valid(const void *p, uint64_t bytes) {
  uint64_t base;
  if (engine().holds(reinterpret_cast<uint64_t>(p), bytes, &base))
    return true;
  engine().misused("a command names memory that there is not");
  return false;
}

/// "ISTW", the number of kernels, for each its name in 64 bytes and its number
/// of arguments; then the file's size and the file.
bool unwrap(const uint8_t *code, size_t size, ZeModule *m) {
  std::string all;
  for (size_t at = 20; at + 4 <= size;) {
    uint32_t word;
    std::memcpy(&word, code + at, 4);
    size_t length = 4 * size_t(word >> 16);
    if ((word & 0xffff) == 7)
      all.append(reinterpret_cast<const char *>(code + at + 4), length - 4);
    at += length;
  }
  if (all.size() < 12 || all.compare(0, 4, "ISTW") != 0)
    return false;
  uint32_t kernels, bytes;
  std::memcpy(&kernels, &all[4], 4);
  size_t at = 8;
  for (uint32_t i = 0; i < kernels && at + 68 < all.size(); ++i, at += 68)
    std::memcpy(&m->counts[all.c_str() + at], &all[at + 64], 4);
  std::memcpy(&bytes, &all[at], 4);
  if (bytes > all.size() - at - 4)
    return false;
  m->code = all.substr(at + 4, bytes);
  return true;
}

} // namespace

#define ENTER(name)                                                            \
  Lock lock;                                                                   \
  if (int code = begin(#name))                                                 \
  return code

extern "C" {

int fake_Init(unsigned) {
  ENTER(Init);
  return 0;
}
int fake_DriverGet(uint32_t *count, void **out) {
  ENTER(DriverGet);
  if (out && *count)
    out[0] = &drivers[0];
  *count = 1;
  return 0;
}
int fake_DriverGetApiVersion(void *, uint32_t *version) {
  ENTER(DriverGetApiVersion);
  const char *old = std::getenv("ISTHMUS_FAKE_ZE_1_3");
  *version = 1u << 16 | (old ? 3 : 9);
  return 0;
}
int fake_DeviceGet(void *, uint32_t *count, void **out) {
  ENTER(DeviceGet);
  const char *n = std::getenv("ISTHMUS_FAKE_DEVICES");
  uint32_t there = n ? static_cast<uint32_t>(std::atoi(n)) : 2;
  for (uint32_t i = 0; out && i < *count && i < there; ++i)
    out[i] = &devices[i];
  *count = !out || *count > there ? there : *count;
  return 0;
}
int fake_DeviceGetProperties(void *device, void *out) {
  ENTER(DeviceGetProperties);
  int index = static_cast<int>(static_cast<Handle *>(device) - devices);
  DeviceProperties &p = *static_cast<DeviceProperties *>(out);
  if (p.head.type != 3)
    return kInvalid;
  p.type = 1;
  p.maxAlloc = Engine::kTotal / 2;
  p.timer = 100; // nanoseconds of a tick, and few bits of them
  p.timestampBits = 16;
  std::memset(p.uuid, 0x10 + index, sizeof p.uuid);
  std::strcpy(p.name, index ? "Fake 1" : "Fake 0");
  const auto *next = static_cast<const Head *>(p.head.next);
  if (next && next->type == 0x1000f)
    const_cast<IpVersion *>(reinterpret_cast<const IpVersion *>(next))
        ->version = 12u << 22 | 60u << 14;
  return 0;
}
int fake_DevicePciGetProperties(void *device, void *out) {
  ENTER(DevicePciGetProperties);
  PciProperties &p = *static_cast<PciProperties *>(out);
  if (p.head.type != 0x10008)
    return kInvalid;
  p.bus = 3 + static_cast<uint32_t>(static_cast<Handle *>(device) - devices);
  return 0;
}
int fake_DeviceGetComputeProperties(void *, void *out) {
  ENTER(DeviceGetComputeProperties);
  ComputeProperties &p = *static_cast<ComputeProperties *>(out);
  p.maxGroup = 1024;
  p.groupCount[0] = p.groupCount[1] = p.groupCount[2] = 0xffffffff;
  p.localBytes = 131072;
  return 0;
}
int fake_DeviceGetModuleProperties(void *, void *out) {
  ENTER(DeviceGetModuleProperties);
  static_cast<ModuleProperties *>(out)->flags = 3;
  return 0;
}
int fake_DeviceGetMemoryProperties(void *, uint32_t *count, void *out) {
  ENTER(DeviceGetMemoryProperties);
  if (out && *count)
    static_cast<MemoryProperties *>(out)->bytes = Engine::kTotal;
  *count = 1;
  return 0;
}
int fake_ContextCreate(void *, const void *desc, void **out) {
  ENTER(ContextCreate);
  if (static_cast<const Head *>(desc)->type != 0xd)
    return kInvalid;
  *out = engine().make<Context>("context");
  return 0;
}
int fake_ContextDestroy(void *context) {
  ENTER(ContextDestroy);
  engine().use<Context>(context, "context");
  engine().drop(context);
  return 0;
}
int fake_MemAllocDevice(void *context, const void *desc, size_t bytes, size_t,
                        void *device, void **out) {
  ENTER(MemAllocDevice);
  if (!engine().use<Context>(context, "context") ||
      static_cast<const Head *>(desc)->type != 0x15)
    return kInvalid;
  int index = static_cast<int>(static_cast<Handle *>(device) - devices);
  *out = reinterpret_cast<void *>(
      engine().allocate(bytes, "device memory", index));
  return *out ? 0 : kOutOfMemory;
}
int fake_MemAllocHost(void *context, const void *desc, size_t bytes, size_t,
                      void **out) {
  ENTER(MemAllocHost);
  if (!engine().use<Context>(context, "context") ||
      static_cast<const Head *>(desc)->type != 0x16)
    return kInvalid;
  *out =
      reinterpret_cast<void *>(engine().allocate(bytes, "device memory", -1));
  return *out ? 0 : kOutOfMemory;
}
int fake_MemFree(void *context, void *p) {
  ENTER(MemFree);
  engine().use<Context>(context, "context");
  return engine().release(reinterpret_cast<uint64_t>(p), "device memory")
             ? 0
             : kInvalid;
}
int fake_MemGetAllocProperties(void *, const void *p, void *out,
                               void **device) {
  ENTER(MemGetAllocProperties);
  uint64_t base;
  const Memory *m = engine().holds(reinterpret_cast<uint64_t>(p), 1, &base);
  static_cast<AllocProperties *>(out)->type = !m ? 0 : m->device < 0 ? 1 : 2;
  if (m && m->device >= 0)
    *device = &devices[m->device];
  return 0;
}
int fake_MemGetAddressRange(void *, const void *p, void **base, size_t *bytes) {
  ENTER(MemGetAddressRange);
  uint64_t start;
  const Memory *m = engine().holds(reinterpret_cast<uint64_t>(p), 1, &start);
  if (!m)
    return kInvalid;
  *base = reinterpret_cast<void *>(start);
  *bytes = m->bytes;
  return 0;
}
int fake_CommandListCreateImmediate(void *context, void *, const void *desc,
                                    void **out) {
  ENTER(CommandListCreateImmediate);
  const QueueDesc &d = *static_cast<const QueueDesc *>(desc);
  if (!engine().use<Context>(context, "context") || d.head.type != 0xe ||
      d.mode != 2)
    return kInvalid;
  bool old = std::getenv("ISTHMUS_FAKE_ZE_1_3");
  if (old && d.flags)
    engine().misused("a flag that the driver does not know");
  List *l = engine().make<List>("command list");
  l->inOrder = d.flags & kInOrder;
  if (l->inOrder) {
    l->stream = new Stream;
    engine().streams.insert(l->stream);
  }
  *out = l;
  return 0;
}
int fake_CommandListDestroy(void *list) {
  ENTER(CommandListDestroy);
  List *l = engine().use<List>(list, "command list");
  if (!l)
    return kInvalid;
  if (!l->idle() && !engine().fault)
    engine().misused("a list ends with work in it");
  if (l->ours)
    engine().misused("the caller's list was destroyed");
  for (auto &c : l->commands)
    engine().streams.erase(c.get());
  engine().streams.erase(l->stream);
  delete l->stream;
  engine().drop(l);
  return 0;
}
int fake_AppendBarrier(void *list, void *signal, uint32_t count,
                       void **events) {
  ENTER(AppendBarrier);
  return append(list, {}, true, count, events, signal);
}
int fake_AppendMemoryCopy(void *list, void *to, const void *from, size_t bytes,
                          void *signal, uint32_t count, void **events) {
  ENTER(AppendMemoryCopy);
  if (!valid(to, bytes) || !valid(from, bytes))
    return kInvalid;
  return append(list,
                engine().copy(reinterpret_cast<uint64_t>(to),
                              reinterpret_cast<uint64_t>(from), bytes),
                false, count, events, signal);
}
int fake_AppendMemoryCopyFromContext(void *list, void *to, void *context,
                                     const void *from, size_t bytes,
                                     void *signal, uint32_t count,
                                     void **events) {
  ENTER(AppendMemoryCopyFromContext);
  if (!engine().use<Context>(context, "context") || !valid(to, bytes) ||
      !valid(from, bytes))
    return kInvalid;
  return append(list,
                engine().copy(reinterpret_cast<uint64_t>(to),
                              reinterpret_cast<uint64_t>(from), bytes),
                false, count, events, signal);
}
int fake_AppendWriteGlobalTimestamp(void *list, uint64_t *to, void *signal,
                                    uint32_t count, void **events) {
  ENTER(AppendWriteGlobalTimestamp);
  if (!valid(to, 8))
    return kInvalid;
  auto run = [=] {
    *to = (engine().time / 100) & 0xffff;
    return true;
  };
  return append(list, {{}, run}, false, count, events, signal);
}
int fake_DeviceCanAccessPeer(void *device, void *peer, unsigned char *can) {
  ENTER(DeviceCanAccessPeer);
  *can = device != peer && !std::getenv("ISTHMUS_FAKE_NO_PEERS");
  return 0;
}
int fake_AppendMemoryFill(void *list, void *to, const void *pattern,
                          size_t patternBytes, size_t bytes, void *signal,
                          uint32_t count, void **events) {
  ENTER(AppendMemoryFill);
  if (!valid(to, bytes) || patternBytes != 1)
    return kInvalid;
  return append(list,
                engine().fill(reinterpret_cast<uint64_t>(to),
                              *static_cast<const uint8_t *>(pattern), bytes),
                false, count, events, signal);
}
int fake_AppendLaunchKernel(void *list, void *kernel, const void *groups,
                            void *signal, uint32_t count, void **events) {
  ENTER(AppendLaunchKernel);
  ZeKernel *k = engine().use<ZeKernel>(kernel, "kernel");
  const GroupCount &g = *static_cast<const GroupCount *>(groups);
  if (!k || !k->group || !g.x || g.y != 1 || g.z != 1)
    return kInvalid;
  if (k->args.size() != k->count)
    engine().misused("a kernel is launched without all its arguments");
  return append(list, engine().launch({k, g.x, k->group, k->args}), false,
                count, events, signal);
}
int fake_EventPoolCreate(void *context, const void *desc, uint32_t, void **,
                         void **out) {
  ENTER(EventPoolCreate);
  const EventPoolDesc &d = *static_cast<const EventPoolDesc *>(desc);
  if (!engine().use<Context>(context, "context") || d.head.type != 0x10 ||
      d.flags != 1)
    return kInvalid;
  *out = engine().make<std::vector<char>>("event pool");
  static_cast<std::vector<char> *>(*out)->resize(d.count);
  return 0;
}
int fake_EventPoolDestroy(void *pool) {
  ENTER(EventPoolDestroy);
  engine().use<std::vector<char>>(pool, "event pool");
  engine().drop(pool);
  return 0;
}
int fake_EventCreate(void *pool, const void *desc, void **out) {
  ENTER(EventCreate);
  auto *p = engine().use<std::vector<char>>(pool, "event pool");
  uint32_t index = static_cast<const EventDesc *>(desc)->index;
  if (!p || index >= p->size())
    return kInvalid;
  if ((*p)[index]++)
    engine().misused("two events in one place of a pool");
  *out = engine().make<ZeEvent>("event");
  return 0;
}
int fake_EventDestroy(void *event) {
  ENTER(EventDestroy);
  ZeEvent *e = engine().use<ZeEvent>(event, "event");
  if (e && (e->waiters || e->signallers) && !engine().fault)
    engine().misused("an event ends that commands use");
  engine().drop(event);
  return 0;
}
int fake_EventHostReset(void *event) {
  ENTER(EventHostReset);
  ZeEvent *e = engine().use<ZeEvent>(event, "event");
  if (!e)
    return kInvalid;
  if (e->waiters || e->signallers) {
    engine().misused("an event is reset that commands use");
    return kInUse;
  }
  e->signalled = false;
  return 0;
}
int fake_EventQueryStatus(void *event) {
  ENTER(EventQueryStatus);
  ZeEvent *e = engine().use<ZeEvent>(event, "event");
  if (!e)
    return kInvalid;
  engine().step();
  return engine().fault ? kLost : e->signalled ? 0 : kNotReady;
}
int fake_EventHostSynchronize(void *event, uint64_t) {
  ENTER(EventHostSynchronize);
  ZeEvent *e = engine().use<ZeEvent>(event, "event");
  if (!e)
    return kInvalid;
  engine().until([&] { return e->signalled; }, "EventHostSynchronize");
  return engine().fault ? kLost : 0;
}
int fake_ModuleCreate(void *context, void *, const void *desc, void **out,
                      void **log) {
  ENTER(ModuleCreate);
  const ModuleDesc &d = *static_cast<const ModuleDesc *>(desc);
  if (!engine().use<Context>(context, "context") || d.head.type != 0x1b ||
      d.format != 0)
    return kInvalid;
  if (log)
    *log = engine().make<Log>("build log");
  ZeModule *m = engine().make<ZeModule>("module");
  if (unwrap(d.code, d.size, m)) {
    *out = m;
    return 0;
  }
  engine().drop(m);
  if (log)
    static_cast<Log *>(*log)->text = "nothing\nin it";
  return kInvalidBinary;
}
int fake_ModuleDestroy(void *module) {
  ENTER(ModuleDestroy);
  engine().use<ZeModule>(module, "module");
  engine().drop(module);
  return 0;
}
int fake_BuildLogGetString(void *log, size_t *size, char *out) {
  ENTER(BuildLogGetString);
  Log *l = engine().use<Log>(log, "build log");
  if (out && *size > l->text.size())
    std::strcpy(out, l->text.c_str());
  *size = l->text.size() + 1;
  return 0;
}
int fake_BuildLogDestroy(void *log) {
  ENTER(BuildLogDestroy);
  engine().use<Log>(log, "build log");
  engine().drop(log);
  return 0;
}
int fake_KernelCreate(void *module, const void *desc, void **out) {
  ENTER(KernelCreate);
  const KernelDesc &d = *static_cast<const KernelDesc *>(desc);
  ZeModule *m = engine().use<ZeModule>(module, "module");
  if (!m || d.head.type != 0x1d)
    return kInvalid;
  if (!m->counts.count(d.name) || !m->find(d.name))
    return kNoKernel;
  ZeKernel *k = engine().make<ZeKernel>("kernel");
  k->module = m;
  k->name = d.name;
  k->count = m->counts[d.name];
  *out = k;
  return 0;
}
int fake_KernelDestroy(void *kernel) {
  ENTER(KernelDestroy);
  engine().use<ZeKernel>(kernel, "kernel");
  engine().drop(kernel);
  return 0;
}
int fake_KernelGetProperties(void *kernel, void *out) {
  ENTER(KernelGetProperties);
  ZeKernel *k = engine().use<ZeKernel>(kernel, "kernel");
  if (!k)
    return kInvalid;
  static_cast<KernelProperties *>(out)->args = k->count;
  return 0;
}
int fake_KernelSetGroupSize(void *kernel, uint32_t x, uint32_t y, uint32_t z) {
  ENTER(KernelSetGroupSize);
  ZeKernel *k = engine().use<ZeKernel>(kernel, "kernel");
  if (!k || !x || x > 1024 || y != 1 || z != 1)
    return kInvalid;
  k->group = x;
  return 0;
}
int fake_KernelSetArgumentValue(void *kernel, uint32_t index, size_t size,
                                const void *value) {
  ENTER(KernelSetArgumentValue);
  ZeKernel *k = engine().use<ZeKernel>(kernel, "kernel");
  if (!k || index >= k->count || size != 8)
    return kInvalidArgumentSize;
  if (k->args.size() <= index)
    k->args.resize(index + 1);
  std::memcpy(&k->args[index], value, 8);
  return 0;
}

// The vendor's names, and a check that none is missing or has other types.
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  __attribute__((visibility("default"), alias("fake_" #name)))                 \
  result symbol parameters;                                                    \
  static_assert(std::is_same_v<decltype(&fake_##name), result(*) parameters>);
#define IST_OPTIONAL IST_REQUIRED
#include "ze_symbols.h"

__attribute__((visibility("default"))) const Control *isthmus_fake_control() {
  static Control control = baseControl();
  control.currentContext = []() -> void * { return nullptr; };
  control.contextOf = [](void *list) {
    return static_cast<List *>(list)->context;
  };
  control.makeStream = []() -> void * {
    Lock lock;
    List *l = engine().make<List>("command list");
    l->inOrder = l->ours = true;
    l->context = engine().make<Context>("context");
    l->stream = new Stream;
    engine().streams.insert(l->stream);
    return l;
  };
  control.dropStream = [](void *list) {
    Lock lock;
    List *l = static_cast<List *>(list);
    engine().streams.erase(l->stream);
    delete l->stream;
    engine().drop(l->context);
    engine().drop(l);
  };
  return &control;
}
}
