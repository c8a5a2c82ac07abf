//===- code.cpp - loads and runs a GPU's code -----------------------------===//
#include "devices.h"

#include <cstdio>
#include <sched.h>
#include <thread>

using namespace isthmus;
using namespace isthmus::sim;
using simgpu::Counters;
using simgpu::Fault;

ist_status backend::load(ist_driver_device &device, const void *code,
                         size_t bytes, const char *format, void **out,
                         ist_error *error) {
  bool ptx = std::strcmp(device.facts->chip->vendor, "nvidia") == 0;
  if (std::strcmp(format, ptx ? "ptx" : "hsaco") != 0)
    return fail(error, IST_UNAVAILABLE,
                "device %s executes code in the format %s, not %.64s",
                device.name, ptx ? "ptx" : "hsaco", format);
  std::string why;
  simgpu::LoadError kind = simgpu::LoadError::malformed;
  std::unique_ptr<simgpu::Module> module =
      (ptx ? simgpu::loadPtx : simgpu::loadCodeObject)(device.facts->chip->name,
                                                       code, bytes, kind, why);
  if (!module)
    return fail(
        error,
        kind == simgpu::LoadError::malformed ? IST_DATA_LOSS : IST_UNAVAILABLE,
        "device %s cannot execute this code: %.800s", device.name, why.c_str());
  *out = module.release();
  return IST_OK;
}

void backend::unload(void *code) { delete static_cast<simgpu::Module *>(code); }

ist_status backend::find(void *code, const ist_kernel_desc &desc,
                         const void **out, ist_error *error) {
  *out = static_cast<simgpu::Module *>(code)->find(desc.name);
  if (*out)
    return IST_OK;
  return fail(error, IST_DATA_LOSS,
              "broken artifact: its code has no kernel '%.100s'; compile the "
              "model again",
              desc.name);
}

namespace {

uint32_t processors() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0)
    return 1;
  int n = CPU_COUNT(&set);
  return n > 0 ? static_cast<uint32_t>(n) : 1;
}

/// The workgroups of a launch, taken one after the other by several threads.
struct Work {
  const simgpu::Kernel &kernel;
  const simgpu::Launch &launch;
  std::atomic<uint32_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex lock;
  Counters counters; // of lock
  Fault fault;       // of lock

  void take() {
    Counters mine;
    Fault why;
    bool ok = true;
    while (ok && !failed.load(std::memory_order_relaxed)) {
      uint32_t n = next.fetch_add(1, std::memory_order_relaxed);
      if (n >= launch.groups)
        break;
      // In no order: the later ones first.
      why.group = launch.groups - 1 - n;
      ok = kernel.run(launch, why.group, mine, why);
    }
    std::lock_guard<std::mutex> l(lock);
    counters.add(mine);
    if (!ok && !failed.exchange(true))
      fault = why;
  }
};

/// "buffer 2": which of the ranges, as the kernel's arguments come.
std::vector<simgpu::Range> rangesOf(const Command &c) {
  std::vector<simgpu::Range> ranges;
  for (const ist_range &r : c.ranges)
    ranges.push_back({r.address, r.bytes, r.access != IST_ACCESS_READ});
  return ranges;
}

} // namespace

ist_status backend::run(const Command &c, ist_error *error) {
  const auto &kernel = *static_cast<const simgpu::Kernel *>(c.kernel->entry);
  ist_driver_device &device = *c.kernel->module->device;
  std::vector<simgpu::Range> ranges = rangesOf(c);
  simgpu::Launch launch = {};
  launch.groups = static_cast<uint32_t>(c.grid);
  launch.threads = c.kernel->block;
  launch.dynamicShared = c.dynamicShared;
  launch.args = reinterpret_cast<const uint8_t *>(c.args.data());
  launch.argsBytes = c.kernel->argsBytes;
  launch.ranges = ranges.data();
  launch.rangeCount = ranges.size();
  launch.sanitize = device.options.sanitize;

  Work work{kernel, launch, {}, {}, {}, {}, {}};
  uint64_t wanted =
      device.options.threads ? device.options.threads : processors();
  std::vector<std::thread> helpers;
  for (uint64_t i = 1; i < wanted && i < launch.groups; ++i)
    helpers.emplace_back([&] { work.take(); });
  work.take();
  for (std::thread &t : helpers)
    t.join();
  simgpu::count(device, kernel.name(), work.counters);
  if (!work.failed)
    return IST_OK;
  return fail(error, IST_INTERNAL,
              "device %s: kernel '%.100s', workgroup %u, thread %u: %.800s",
              device.name, kernel.name().c_str(), work.fault.group,
              work.fault.lane, work.fault.what.c_str());
}
