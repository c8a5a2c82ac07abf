//===- execute.cpp - launches of fakes of vendors' libraries --------------===//
#include "devices.h"
#include "ist_sim.h"

#include <map>

using namespace isthmus;

namespace {

/// Modules by what they were made of: fakes load one for every launch.
struct Modules {
  std::mutex lock;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<simgpu::Module>>
      all; // of lock; for ever
};

const simgpu::Module *moduleOf(const ist_sim_work &w, std::string &why) {
  static Modules *modules = new Modules; // outlives all threads
  std::lock_guard<std::mutex> l(modules->lock);
  std::string code(static_cast<const char *>(w.code), w.code_bytes);
  auto &module = modules->all[{w.chip, code}];
  simgpu::LoadError kind;
  if (!module)
    module = (std::strncmp(w.chip, "sm_", 3) == 0 ? simgpu::loadPtx
                                                  : simgpu::loadCodeObject)(
        w.chip, w.code, w.code_bytes, kind, why);
  return module.get();
}

} // namespace

extern "C" IST_API int ist_sim_execute(const ist_sim_work *w,
                                       ist_error *error) {
  std::string why;
  const simgpu::Module *module = moduleOf(*w, why);
  if (module && !w->kernel)
    return IST_OK;
  const simgpu::Kernel *kernel = module ? module->find(w->kernel) : nullptr;
  if (!kernel)
    return fail(error, IST_UNAVAILABLE, "%s: %.800s", w->chip,
                module ? "there is no such kernel" : why.c_str());
  std::vector<simgpu::Range> ranges;
  for (size_t i = 0; i < w->range_count; ++i)
    ranges.push_back({w->ranges[i].address, w->ranges[i].bytes,
                      w->ranges[i].access != IST_ACCESS_READ});
  simgpu::Launch launch = {};
  launch.groups = static_cast<uint32_t>(w->grid);
  launch.threads = w->block;
  launch.dynamicShared = w->dynamic_shared;
  launch.args = static_cast<const uint8_t *>(w->args);
  launch.argsBytes = w->args_bytes;
  launch.ranges = ranges.data();
  launch.rangeCount = ranges.size();
  launch.sanitize = sim::options().sanitize;
  simgpu::Counters counters;
  simgpu::Fault fault;
  for (uint32_t n = launch.groups; n-- > 0;)
    if (!kernel->run(launch, n, counters, fault))
      return fail(error, IST_INTERNAL,
                  "%s: kernel '%.100s', workgroup %u, thread %u: %.800s",
                  w->chip, w->kernel, fault.group, fault.lane,
                  fault.what.c_str());
  return IST_OK;
}
