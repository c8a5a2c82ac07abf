//===- cgroup.h - what a container leaves of the machine ------------------===//
#ifndef ISTHMUS_DRIVERS_CPU_CGROUP_H
#define ISTHMUS_DRIVERS_CPU_CGROUP_H

#include <stdint.h>

namespace isthmus::cpu {

/// The tightest limits of this process's control groups and those above them,
/// of either version; UINT64_MAX where there is none.
struct CgroupLimits {
  uint64_t cpus = UINT64_MAX; // whole ones: 1.5 is 2
  uint64_t memory = UINT64_MAX;
  uint64_t memoryLeft = UINT64_MAX;
};

/// `groups` is as /proc/self/cgroup, `root` as /sys/fs/cgroup.
CgroupLimits cgroupLimits(const char *groups = "/proc/self/cgroup",
                          const char *root = "/sys/fs/cgroup");

} // namespace isthmus::cpu

#endif // ISTHMUS_DRIVERS_CPU_CGROUP_H
