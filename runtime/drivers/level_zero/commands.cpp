//===- commands.cpp - the level_zero driver: memory, code and queues ------===//
#include "level_zero.h"

#include <sched.h>

using namespace isthmus;
using namespace isthmus::stream;
using namespace isthmus::ze;

namespace {

struct Stream {
  void *list;
  bool ours, inOrder;
  EventSlot *drained;
};

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Code memInfo(Device &d, uint64_t *available, uint64_t *total) {
  *total = self(d).memory.total;
  *available = self(d).memory.available();
  return 0;
}

Code alloc(Device &d, ist_memory_kind kind, uint64_t bytes,
           ist_driver_memory *out) {
  LevelZero &z = self(d);
  if (bytes > d.description.max_alloc)
    return kUnsupportedSize;
  bool host = kind == IST_MEMORY_KIND_HOST_VISIBLE;
  HostAllocDesc hostDesc;
  DeviceAllocDesc deviceDesc;
  void *p = nullptr;
  Code code =
      host ? z.api->MemAllocHost(z.context, &hostDesc, bytes,
                                 d.description.alignment, &p)
           : z.api->MemAllocDevice(z.context, &deviceDesc, bytes,
                                   d.description.alignment, z.device, &p);
  if (code)
    return code;
  z.memory.take(bytes);
  out->address = reinterpret_cast<uint64_t>(p);
  out->host = host ? p : nullptr;
  out->handle = p;
  return 0;
}

void free(Device &d, ist_driver_memory *memory) {
  LevelZero &z = self(d);
  if (!memory->handle)
    return; // an import
  z.api->MemFree(z.context, memory->handle);
  z.memory.give(memory->bytes);
}

int import(Device &d, const ist_import &in, ist_driver_memory *out,
           ist_error *error) {
  LevelZero &z = self(d);
  const void *p = reinterpret_cast<const void *>(in.memory);
  if (in.kind == IST_IMPORT_HOST)
    return fail(error, IST_UNAVAILABLE,
                "level_zero:%u does not address memory that it did not "
                "allocate",
                d.index);
  if (in.kind != IST_IMPORT_ADDRESS)
    return fail(error, IST_UNIMPLEMENTED, "unknown kind of import %d",
                static_cast<int>(in.kind));
  AllocProperties properties = {};
  void *owner = nullptr, *base = nullptr;
  size_t size = 0;
  Code code = z.api->MemGetAllocProperties(z.context, p, &properties, &owner);
  if (!code && properties.type) // 0: unknown
    code = z.api->MemGetAddressRange(z.context, p, &base, &size);
  uint64_t skipped = in.memory - reinterpret_cast<uint64_t>(base);
  if (code || !properties.type || (owner && owner != z.device) ||
      skipped > size || in.bytes > size - skipped)
    return fail(error, IST_INVALID_ARGUMENT,
                "%llu bytes at 0x%llx are not memory of level_zero:%u",
                static_cast<unsigned long long>(in.bytes),
                static_cast<unsigned long long>(in.memory), d.index);
  out->address = in.memory;
  return IST_OK;
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

int moduleLoad(Device &d, const void *code, size_t size,
               const ist_module_options &options, void **module,
               ist_error *error) {
  LevelZero &z = self(d);
  if (ist_status s = checkSpirv(d, options, code, size, error))
    return s;
  ModuleDesc desc;
  desc.size = size;
  desc.code = static_cast<const uint8_t *>(code);
  void *log = nullptr;
  Code status = z.api->ModuleCreate(z.context, z.device, &desc, module, &log);
  char text[512] = "";
  size_t length = sizeof text - 1;
  if (status && log)
    z.api->BuildLogGetString(log, &length, text);
  if (log)
    z.api->BuildLogDestroy(log);
  for (char *p = text; *p; ++p)
    if (*p == '\n')
      *p = ' ';
  return status ? d.failed(status, error, "compiling SPIR-V: %.200s", text)
                : IST_OK;
}

void moduleUnload(Device &d, void *module) { api(d).ModuleDestroy(module); }

int checkKernel(Device &d, const ist_kernel_desc &desc, void *kernel,
                ist_error *error) {
  LevelZero &z = self(d);
  KernelProperties p = {};
  if (Code code = z.api->KernelGetProperties(kernel, &p))
    return d.failed(code, error, "making kernel '%.100s' ready", desc.name);
  if (ist_status s = checkSpirvKernel(
          d, desc, {p.args, z.maxGroup, p.localBytes}, z.localBytes, error))
    return s;
  if (Code code = z.api->KernelSetGroupSize(kernel, desc.block, 1, 1))
    return d.failed(code, error, "kernel '%.100s' in groups of %u", desc.name,
                    desc.block);
  return IST_OK;
}

int kernelGet(Device &d, const ist_kernel_desc &desc, Kernel &kernel,
              ist_error *error) {
  return makeSharedKernel(
      d, desc, kernel, error,
      [&](void **k) {
        KernelDesc want;
        want.name = desc.name;
        return api(d).KernelCreate(kernel.module, &want, k);
      },
      [&](void *k) { return checkKernel(d, desc, k, error); },
      api(d).KernelDestroy);
}

void kernelRelease(Device &d, Kernel &kernel) {
  endSharedKernel(kernel, api(d).KernelDestroy);
}

//===----------------------------------------------------------------------===//
// Events
//===----------------------------------------------------------------------===//

void *&eventOf(void *event) { return static_cast<EventSlot *>(event)->handle; }

Code eventCreate(Device &d, void **event) {
  LevelZero &z = self(d);
  Guard guard(d);
  if (EventSlot *slot = z.slots) {
    z.slots = slot->next;
    *event = slot;
    return 0;
  }
  if (!z.pools || z.pools->used == kPoolEvents) {
    EventPoolDesc desc;
    desc.count = kPoolEvents;
    EventPool *pool = make<EventPool>();
    if (!pool)
      return kOutOfMemory;
    if (Code code = z.api->EventPoolCreate(z.context, &desc, 1, &z.device,
                                           &pool->handle)) {
      destroy(pool);
      return code;
    }
    pool->used = 0;
    pool->next = z.pools;
    z.pools = pool;
  }
  EventSlot *slot = make<EventSlot>();
  if (!slot)
    return kOutOfMemory;
  EventDesc desc;
  desc.index = z.pools->used;
  if (Code code = z.api->EventCreate(z.pools->handle, &desc, &slot->handle)) {
    destroy(slot);
    return code;
  }
  ++z.pools->used;
  *event = slot;
  return 0;
}

void eventDestroy(Device &d, void *event) {
  Guard guard(d);
  EventSlot *slot = static_cast<EventSlot *>(event);
  slot->next = self(d).slots;
  self(d).slots = slot;
}

Code eventRecord(Device &d, void *stream, void *event) {
  if (Code code = api(d).EventHostReset(eventOf(event)))
    return code;
  return api(d).AppendBarrier(static_cast<Stream *>(stream)->list,
                              eventOf(event), 0, nullptr);
}

Code eventQuery(Device &d, void *event, bool *done, Code *) {
  Code code = api(d).EventQueryStatus(eventOf(event));
  *done = code == 0;
  return code == kNotReady ? 0 : code;
}

Code eventSynchronize(Device &d, void *event) {
  return api(d).EventHostSynchronize(eventOf(event), UINT64_MAX);
}

//===----------------------------------------------------------------------===//
// Queues
//===----------------------------------------------------------------------===//

int streamOpen(Device &d, const ist_native *native, void **out,
               ist_error *error) {
  LevelZero &z = self(d);
  Stream *s = make<Stream>();
  if (!s)
    return outOfMemory(error, sizeof *s, "a queue");
  // Nobody tells whether the caller's is in order.
  *s = {native ? native->handle : nullptr, !native, !native && z.inOrder,
        nullptr};
  QueueDesc desc;
  desc.flags = z.inOrder ? kInOrder : 0;
  void *event = nullptr;
  Code code = eventCreate(d, &event);
  s->drained = static_cast<EventSlot *>(event);
  if (!native && !code) {
    code =
        z.api->CommandListCreateImmediate(z.context, z.device, &desc, &s->list);
    // A validation layer older than the driver does not know the flag.
    constexpr Code invalidEnumeration = 0x7800000c;
    if (code == invalidEnumeration && s->inOrder) {
      desc.flags = 0;
      s->inOrder = false;
      code = z.api->CommandListCreateImmediate(z.context, z.device, &desc,
                                               &s->list);
    }
    if (code && s->drained)
      eventDestroy(d, s->drained);
  }
  if (code) {
    destroy(s);
    return d.failed(code, error, "making an immediate command list");
  }
  *out = s;
  return IST_OK;
}

void streamClose(Device &d, void *stream) {
  Stream *s = static_cast<Stream *>(stream);
  if (s->ours)
    api(d).CommandListDestroy(s->list);
  eventDestroy(d, s->drained);
  destroy(s);
}

void streamDrain(Device &d, void *stream) {
  Stream *s = static_cast<Stream *>(stream);
  if (eventRecord(d, stream, s->drained) || !eventSynchronize(d, s->drained))
    return;
  // It could not wait; it may be able to tell.
  while (api(d).EventQueryStatus(s->drained->handle) == kNotReady)
    ::sched_yield();
}

/// What comes next begins when all before it is done.
Code inOrder(Device &d, Stream *s) {
  return s->inOrder ? 0 : api(d).AppendBarrier(s->list, nullptr, 0, nullptr);
}

Code copy(Device &d, void *stream, const Command &c) {
  Stream *s = static_cast<Stream *>(stream);
  if (Code code = inOrder(d, s))
    return code;
  return api(d).AppendMemoryCopy(s->list, reinterpret_cast<void *>(c.to),
                                 reinterpret_cast<const void *>(c.from),
                                 c.bytes, nullptr, 0, nullptr);
}

Code fill(Device &d, void *stream, const Command &c) {
  Stream *s = static_cast<Stream *>(stream);
  if (Code code = inOrder(d, s))
    return code;
  return api(d).AppendMemoryFill(s->list, reinterpret_cast<void *>(c.to),
                                 &c.value, 1, c.bytes, nullptr, 0, nullptr);
}

Code launch(Device &d, void *stream, const Command &c) {
  Stream *s = static_cast<Stream *>(stream);
  auto *k = static_cast<SharedKernel *>(c.kernel->handle);
  if (c.cluster > 1)
    return kUnsupported;
  if (Code code = inOrder(d, s))
    return code;
  GroupCount groups = {static_cast<uint32_t>(c.grid), 1, 1};
  ::pthread_mutex_lock(&k->lock);
  Code code = setSpirvArguments(
      c, [&](uint32_t i, const ist_arg &a, const void *value) {
        return api(d).KernelSetArgumentValue(k->kernel, i, a.size, value);
      });
  if (!code)
    code = api(d).AppendLaunchKernel(s->list, k->kernel, &groups, nullptr, 0,
                                     nullptr);
  ::pthread_mutex_unlock(&k->lock);
  return code;
}

Code streamWait(Device &d, void *stream, void *event) {
  return api(d).AppendBarrier(static_cast<Stream *>(stream)->list, nullptr, 1,
                              &eventOf(event));
}

//===----------------------------------------------------------------------===//
// Extensions
//===----------------------------------------------------------------------===//

void *nativeContext(Device &d) { return self(d).context; }
void *nativeStream(Device &, void *stream) {
  return static_cast<Stream *>(stream)->list;
}

Code peerCopy(Device &d, void *stream, Device &from, const Command &c) {
  Stream *s = static_cast<Stream *>(stream);
  unsigned char can = 0;
  if (self(from).device == self(d).device)
    can = 1; // opened twice
  else if (Code code = api(d).DeviceCanAccessPeer(self(d).device,
                                                  self(from).device, &can))
    return code;
  if (!can)
    return kUnsupported;
  if (Code code = inOrder(d, s))
    return code;
  return api(d).AppendMemoryCopyFromContext(
      s->list, reinterpret_cast<void *>(c.to), self(from).context,
      reinterpret_cast<const void *>(c.from), c.bytes, nullptr, 0, nullptr);
}

// A timestamp is a word that the device writes.
Code timestampCreate(Device &d, void **timestamp) {
  HostAllocDesc desc;
  return api(d).MemAllocHost(self(d).context, &desc, sizeof(uint64_t), 64,
                             timestamp);
}
void timestampDestroy(Device &d, void *timestamp) {
  api(d).MemFree(self(d).context, timestamp);
}
Code timestampRecord(Device &d, void *stream, void *timestamp) {
  Stream *s = static_cast<Stream *>(stream);
  if (Code code = inOrder(d, s))
    return code;
  return api(d).AppendWriteGlobalTimestamp(
      s->list, static_cast<uint64_t *>(timestamp), nullptr, 0, nullptr);
}
Code timestampElapsed(Device &d, void *begin, void *end,
                      uint64_t *nanoseconds) {
  uint64_t ticks =
      (*static_cast<uint64_t *>(end) - *static_cast<uint64_t *>(begin)) &
      self(d).timeMask;
  *nanoseconds = ticks * self(d).tick;
  return 0;
}

struct Vendor {
  static constexpr const char *name = "level_zero", *vendor = "intel",
                              *formats = "spirv";
  static const Ops ops;
};
constexpr Ops makeOps() {
  Ops o = IST_STREAM_OPS();
  o.kernelRelease = kernelRelease;
  o.nativeContext = nativeContext;
  o.nativeStream = nativeStream;
  o.peerCopy = peerCopy;
  o.timestampCreate = timestampCreate;
  o.timestampDestroy = timestampDestroy;
  o.timestampRecord = timestampRecord;
  o.timestampElapsed = timestampElapsed;
  o.contextKind = "level_zero.context";
  o.queueKind = "level_zero.command_list";
  return o;
}
const Ops Vendor::ops = makeOps();

} // namespace

extern "C" {
extern const ist_driver ist_level_zero_driver;
const ist_driver ist_level_zero_driver = Table<Vendor>::driver();
}
