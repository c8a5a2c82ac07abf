//===- engine.cpp ---------------------------------------------------------===//
#include "engine.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace isthmus::fake;

Engine &Engine::get() {
  static Engine *engine = new Engine; // outlives all threads
  return *engine;
}

// A test of laziness asks whether the library was opened at all.
__attribute__((constructor)) static void mark() {
  if (const char *path = std::getenv("ISTHMUS_FAKE_MARKER"))
    if (FILE *f = std::fopen(path, "w"))
      std::fclose(f);
}

/// What ends an object does so even when it tells of an earlier failure.
bool Engine::isRelease(const char *symbol) {
  for (const char *part : {"Free", "Destroy", "Unload", "Release", "Unregister",
                           "Pop", "Exchange", "SetDevice"})
    if (std::strstr(symbol, part))
      return true;
  return false;
}

int Engine::enter(const char *symbol) {
  ++calls[symbol];
  if (isRelease(symbol))
    return 0;
  ++total;
  if (failIn && --failIn == 0)
    return failCode;
  return 0;
}

void Engine::misused(const std::string &what) {
  misuse += (misuse.empty() ? "" : "; ") + what;
}

uint64_t Engine::allocate(uint64_t bytes, const char *kind, int device) {
  if (bytes > kTotal - used)
    return 0;
  // Pages of its own, so that what is done to freed memory is seen at once.
  void *p = ::mmap(nullptr, (bytes + 4095) & ~uint64_t(4095),
                   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    return 0;
  std::memset(p, 0xcd, bytes);
  used += bytes;
  memory[reinterpret_cast<uint64_t>(p)] = {bytes, kind, device};
  return reinterpret_cast<uint64_t>(p);
}

uint64_t Engine::allocate(Stream *s, uint64_t bytes) {
  uint64_t address = allocate(bytes, "pool memory", s->device);
  if (!address)
    return 0;
  memory[address].ready = false;
  push(s, {{}, [=] {
             memory[address].ready = true;
             return true;
           }});
  return address;
}

bool Engine::release(Stream *s, uint64_t address) {
  auto it = memory.find(address);
  if (it == memory.end() || it->second.kind != std::string("pool memory")) {
    misused("gave a pool what is not of it");
    return false;
  }
  it->second.kind = "returned memory"; // and not twice
  push(s, {{}, [=] { return release(address, "returned memory"); }});
  return true;
}

bool Engine::release(uint64_t address, const char *kind) {
  auto it = memory.find(address);
  if (it == memory.end() || it->second.kind != std::string(kind)) {
    misused(std::string("freed what is no ") + kind);
    return false;
  }
  if (it->second.kind != std::string("registration")) {
    used -= it->second.bytes;
    void *p = reinterpret_cast<void *>(address);
    uint64_t size = (it->second.bytes + 4095) & ~uint64_t(4095);
    ::madvise(p, size, MADV_DONTNEED);
    ::mprotect(p, size, PROT_NONE);
  }
  memory.erase(it);
  return true;
}

const Memory *Engine::holds(uint64_t address, uint64_t bytes, uint64_t *base) {
  auto it = memory.upper_bound(address);
  if (it == memory.begin())
    return nullptr;
  --it;
  uint64_t skipped = address - it->first;
  if (skipped > it->second.bytes || bytes > it->second.bytes - skipped)
    return nullptr;
  *base = it->first;
  return &it->second;
}

void Engine::push(Stream *s, Work work) {
  (s->capturing ? s->captured : s->work).push_back(std::move(work));
}

/// Memory that a command may use now.
static bool isReady(Engine &e, uint64_t address, uint64_t bytes) {
  uint64_t base;
  const Memory *m = e.holds(address, bytes, &base);
  if (m && !m->ready)
    e.misused("memory of a pool is used before its stream got there");
  return m;
}

Work Engine::copy(uint64_t to, uint64_t from, uint64_t bytes) {
  return {{}, [=] {
            if (!isReady(*this, to, bytes) || !isReady(*this, from, bytes)) {
              misused("a copy ran outside of the memory there is");
              return false;
            }
            std::memmove(reinterpret_cast<void *>(to),
                         reinterpret_cast<void *>(from), bytes);
            return true;
          }};
}

Work Engine::fill(uint64_t to, uint8_t value, uint64_t bytes) {
  return {{}, [=] {
            if (!isReady(*this, to, bytes)) {
              misused("a fill ran outside of the memory there is");
              return false;
            }
            std::memset(reinterpret_cast<void *>(to), value, bytes);
            return true;
          }};
}

Work Engine::launch(Launch l) {
  return {
      {}, [this, l] {
        if (faultCode)
          return false;
        Module &m = *l.kernel->module;
        if (exec)
          return exec(execUser, m.code.data(), m.code.size(),
                      l.kernel->name.c_str(), l.grid, l.block, l.shared,
                      l.args.data(), l.args.size() * 8);
        auto *entry =
            reinterpret_cast<void (*)(const uint64_t *, uint64_t, uint64_t)>(
                m.find(l.kernel->name.c_str()));
        // In two parts: workgroups may come in any order.
        entry(l.args.data(), l.grid / 2, l.grid);
        entry(l.args.data(), 0, l.grid / 2);
        return true;
      }};
}

void Engine::record(Stream *s, Event *e) {
  uint64_t count = ++e->recorded;
  push(s, {{}, [=] {
             if (count > e->reached)
               e->reached = count;
             e->when = time;
             return true;
           }});
}

void Engine::wait(Stream *s, Event *e) {
  uint64_t time = e->recorded;
  push(s, {[=] { return e->reached >= time; }, [] { return true; }});
}

bool Engine::step() {
  std::vector<Stream *> may;
  for (Stream *s : streams)
    if (!s->work.empty() && (!s->work.front().ready || s->work.front().ready()))
      may.push_back(s);
  if (may.empty() || fault)
    return false;
  Stream *s = may[(next() >> 16) % may.size()];
  Work work = std::move(s->work.front());
  s->work.pop_front();
  time += 1000;
  if (!work.run()) {
    fault = faultCode ? faultCode : -1;
    return false;
  }
  return true;
}

void Engine::until(const std::function<bool()> &done, const char *symbol) {
  while (!done() && !fault)
    if (!step() && !fault) {
      std::fprintf(stderr, "fake: %s would wait for ever\n", symbol);
      std::abort();
    }
}

void *Module::find(const char *name) {
  if (!library) {
    int fd = ::memfd_create("fake-module", 0);
    if (::write(fd, code.data(), code.size()) ==
        static_cast<ssize_t>(code.size())) {
      std::string path = "/proc/self/fd/" + std::to_string(fd);
      library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    }
    ::close(fd);
  }
  return library ? ::dlsym(library, name) : nullptr;
}

Module::~Module() {
  if (library)
    ::dlclose(library);
}

Control isthmus::fake::baseControl() {
  Control c = {};
  c.reset = [](uint32_t seed) {
    Engine &e = Engine::get();
    e.calls.clear();
    e.total = e.failIn = e.failCode = e.faultCode = e.fault = 0;
    e.misuse.clear();
    e.random = seed;
    for (Stream *s : e.streams)
      s->work.clear();
  };
  c.failAt = [](int n, int code) {
    Engine::get().failIn = n;
    Engine::get().failCode = code;
  };
  c.faultNext = [](int code) { Engine::get().faultCode = code; };
  c.setExec = [](Exec exec, void *user) {
    Engine::get().exec = exec;
    Engine::get().execUser = user;
  };
  c.calls = [](const char *symbol) {
    return symbol ? Engine::get().calls[symbol] : Engine::get().total;
  };
  c.misuse = [] { return Engine::get().misuse.c_str(); };
  c.alive = [] {
    Engine &e = Engine::get();
    std::map<std::string, int> counts;
    for (auto &[address, m] : e.memory)
      ++counts[m.kind];
    for (auto &[p, o] : e.objects)
      ++counts[o.kind];
    e.text.clear();
    for (auto &[kind, n] : counts)
      e.text += (e.text.empty() ? "" : ", ") + std::to_string(n) + " " + kind;
    return e.text.c_str();
  };
  c.beginCapture = [](void *stream) {
    Stream *s = Engine::get().use<Stream>(stream, "stream");
    s->capturing = true;
    s->broken = false;
    s->captured.clear();
  };
  c.endCapture = [](void *stream) {
    Stream *s = Engine::get().use<Stream>(stream, "stream");
    s->capturing = false;
    return s->broken ? -1 : static_cast<int>(s->captured.size());
  };
  c.launchCaptured = [](void *from, void *to) {
    Engine &e = Engine::get();
    Stream *s = e.use<Stream>(from, "stream");
    for (const Work &w : s->captured)
      e.push(e.use<Stream>(to, "stream"), w);
  };
  return c;
}
