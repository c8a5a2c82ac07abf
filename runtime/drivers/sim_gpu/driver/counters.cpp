//===- counters.cpp - what kernels cost -----------------------------------===//
#include "devices.h"

using namespace isthmus;
using namespace isthmus::simgpu;

namespace {

/// The names that ist-bench prints.
const struct {
  const char *name;
  uint64_t Counters::*member;
} rows[] = {
    {"instructions", &Counters::instructions},
    {"arithmetic", &Counters::arithmetic},
    {"memory", &Counters::memory},
    {"control", &Counters::control},
    {"matrix", &Counters::matrix},
    {"barriers", &Counters::barriers},
    {"global_read_bytes", &Counters::globalRead},
    {"global_written_bytes", &Counters::globalWritten},
    {"shared_read_bytes", &Counters::sharedRead},
    {"shared_written_bytes", &Counters::sharedWritten},
    {"bank_conflicts", &Counters::bankConflicts},
};

void visit(ist_driver_device *device,
           void (*visitor)(void *, const char *, const char *, uint64_t),
           void *user) {
  std::lock_guard<std::mutex> l(device->facts->lock);
  for (const sim::Facts::Cost &c : device->facts->costs) {
    visitor(user, c.kernel.c_str(), "launches", c.launches);
    for (const auto &row : rows)
      visitor(user, c.kernel.c_str(), row.name, c.counters.*row.member);
  }
}

void reset(ist_driver_device *device) {
  std::lock_guard<std::mutex> l(device->facts->lock);
  device->facts->costs.clear();
}

} // namespace

void Counters::add(const Counters &other) {
  for (const auto &row : rows)
    this->*row.member += other.*row.member;
}

void simgpu::count(ist_driver_device &device, const std::string &kernel,
                   const Counters &counters) {
  std::lock_guard<std::mutex> l(device.facts->lock);
  for (sim::Facts::Cost &c : device.facts->costs)
    if (c.kernel == kernel) {
      ++c.launches;
      c.counters.add(counters);
      return;
    }
  device.facts->costs.push_back({kernel, 1, counters});
}

const ist_counters_extension simgpu::countersExtension = {
    sizeof(ist_counters_extension), visit, reset};
