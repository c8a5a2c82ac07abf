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
  void *p = std::aligned_alloc(4096, (bytes + 4095) & ~uint64_t(4095));
  if (!p)
    return 0;
  std::memset(p, 0xcd, bytes);
  used += bytes;
  memory[reinterpret_cast<uint64_t>(p)] = {bytes, kind, device};
  return reinterpret_cast<uint64_t>(p);
}

bool Engine::release(uint64_t address, const char *kind) {
  auto it = memory.find(address);
  if (it == memory.end() || it->second.kind != std::string(kind)) {
    misused(std::string("freed what is no ") + kind);
    return false;
  }
  if (it->second.kind != std::string("registration")) {
    used -= it->second.bytes;
    std::memset(reinterpret_cast<void *>(address), 0xdd, it->second.bytes);
    std::free(reinterpret_cast<void *>(address));
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
  if (s->capturing)
    ++s->captured;
  else
    s->work.push_back(std::move(work));
}

Work Engine::copy(uint64_t to, uint64_t from, uint64_t bytes) {
  return {{}, [=] {
            uint64_t base;
            if (!holds(to, bytes, &base) || !holds(from, bytes, &base)) {
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
            uint64_t base;
            if (!holds(to, bytes, &base)) {
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
                      l.kernel->name.c_str(), l.grid, l.block, l.args.data());
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
  uint64_t time = ++e->recorded;
  push(s, {{}, [=] {
             if (time > e->reached)
               e->reached = time;
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
    s->captured = 0;
  };
  c.endCapture = [](void *stream) {
    Stream *s = Engine::get().use<Stream>(stream, "stream");
    s->capturing = false;
    return s->broken ? -1 : s->captured;
  };
  return c;
}
