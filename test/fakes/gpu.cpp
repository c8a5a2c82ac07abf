//===- gpu.cpp - a fake libcuda or libamdhip64: what all share -----------===//
#include "gpu.h"

#include <elf.h>

namespace isthmus::fake {

thread_local Thread thread;

int deviceCount() {
  const char *n = std::getenv("ISTHMUS_FAKE_DEVICES");
  return n ? std::atoi(n) : 2;
}

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

std::vector<uint64_t> argumentsOf(void *const *arguments) {
  std::vector<uint64_t> blob;
  for (; *arguments; ++arguments) {
    const char *p = static_cast<const char *>(*arguments),
               *next = static_cast<const char *>(arguments[1]);
    // The next lies behind it, unless one of them is a tile.
    size_t size = next > p && next - p <= 4096 ? next - p : 8;
    if (std::memcmp(p, kTileMagic, sizeof kTileMagic) == 0)
      size = 128;
    size_t at = blob.size();
    blob.resize(at + (size + 7) / 8);
    std::memcpy(&blob[at], p, size);
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

int peerCopy(uint64_t to, int toDevice, uint64_t from, int fromDevice,
             uint64_t bytes, void *stream) {
  uint64_t base;
  const Memory *t = engine().holds(to, bytes, &base),
               *f = engine().holds(from, bytes, &base);
  if (!t || !f || t->device != toDevice || f->device != fromDevice) {
    engine().misused("a copy between devices names memory of others");
    return kInvalidValue;
  }
  return enqueue(stream, engine().copy(to, from, bytes));
}

bool valid(uint64_t address, uint64_t bytes) {
  uint64_t base;
  if (engine().holds(address, bytes, &base))
    return true;
  engine().misused("a command names memory that there is not");
  return false;
}

/// The size that the file's own headers give: loaders are told none.
bool executes(const char *code, size_t size) {
  return engine().exec && engine().exec(engine().execUser, code, size, nullptr,
                                        0, 0, 0, nullptr, 0);
}

int loadImage(void **module, const void *image) {
#ifndef IST_FAKE_HIP
  auto *text = static_cast<const char *>(image);
  if (engine().exec && std::memcmp(text, ELFMAG, SELFMAG) != 0) {
    size_t size = std::strlen(text);
    if (!executes(text, size))
      return kInvalidImage;
    Module *m = engine().make<Module>("module");
    m->code.assign(text, size);
    *module = m;
    return 0;
  }
#endif
  Elf64_Ehdr h;
  std::memcpy(&h, image, SELFMAG);
  if (std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
    return kInvalidImage;
  std::memcpy(&h, image, sizeof h);
  Module *m = engine().make<Module>("module");
  m->code.assign(static_cast<const char *>(image),
                 h.e_shoff + size_t(h.e_shnum) * h.e_shentsize);
  *module = m;
  return 0;
}

} // namespace isthmus::fake

using namespace isthmus::fake;
using namespace isthmus::gpu;

namespace {
const void *const functions[] = {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  reinterpret_cast<const void *>(&fake_##name),
#define IST_OPTIONAL IST_REQUIRED
#ifdef IST_FAKE_HIP
#include "hip_symbols.h"
#else
#include "cuda_symbols.h"
#endif
};
} // namespace

__attribute__((constructor)) static void simulateIfAsked() {
#ifdef IST_FAKE_HIP
  static char chip[] = "gfx942";
#else
  static char chip[] = "sm_80"; // its PTX runs on the later chip that this is
#endif
  engine().exec = simulate();
  engine().execUser = chip;
}

extern "C" {

/// Keeps the list, and says how long it is.
__attribute__((visibility("default"))) size_t isthmus_fake_functions() {
  size_t n = 0;
  for (const void *f : functions)
    n += f != nullptr;
  return n;
}

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
    c.contextOf = contextOf;
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
