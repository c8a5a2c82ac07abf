//===- simulate.cpp - the vendor's own code in a fake ---------------------===//
#include "engine.h"
#include "ist_sim.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

using namespace isthmus::fake;

static ist_sim_execute_fn executor() {
  static const ist_sim_execute_fn found = [] {
    ist_sim_execute_fn f = nullptr;
    const char *path = std::getenv("ISTHMUS_FAKE_EXECUTE");
    void *library = path ? ::dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (path && !library)
      std::fprintf(stderr, "fake: %s\n", ::dlerror());
    if (void *symbol = library ? ::dlsym(library, IST_SIM_EXECUTE) : nullptr)
      std::memcpy(&f, &symbol, sizeof f);
    return f;
  }();
  return found;
}

Exec isthmus::fake::simulate() {
  if (!executor())
    return nullptr;
  return [](void *chip, const void *code, size_t size, const char *kernel,
            uint64_t grid, uint32_t block, uint32_t shared, const void *args,
            size_t argsBytes) {
    // The device can reach all of its memory; the driver said nothing of what
    // the kernel may touch.
    std::vector<ist_range> ranges;
    for (const auto &[address, m] : Engine::get().memory)
      ranges.push_back({address, m.bytes, IST_ACCESS_READWRITE, 0});
    ist_sim_work work = {static_cast<const char *>(chip),
                         code,
                         size,
                         kernel,
                         grid,
                         block,
                         shared,
                         args,
                         static_cast<uint32_t>(argsBytes),
                         ranges.data(),
                         ranges.size()};
    ist_error error = {};
    if (executor()(&work, &error) == IST_OK)
      return true;
    if (grid)
      std::fprintf(stderr, "fake: %s\n", error.message);
    return false;
  };
}
