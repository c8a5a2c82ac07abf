//===- cgroup.cpp - what a container leaves of the machine ----------------===//
//
// Version 2 has one hierarchy, listed as "0::/path"; version 1 one for each
// controller, "4:cpu,cpuacct:/path", mounted under the controller's name. A
// limit holds for all groups below, so every group up to the root is looked at.
// In a container the path may be one outside of what is mounted; then only the
// root is there, which is the container's own group.
// Reference: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
//
//===----------------------------------------------------------------------===//
#include "cgroup.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

using namespace isthmus::cpu;

namespace {

bool readFile(const char *path, char *text, size_t size) {
  int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  size_t used = 0;
  ssize_t n;
  while (used < size - 1 && (n = ::read(fd, text + used, size - 1 - used)) > 0)
    used += static_cast<size_t>(n);
  ::close(fd);
  text[used] = 0;
  return used > 0;
}

/// The number in a file of `folder`; false: none there, or "max", or negative.
bool readNumber(const char *folder, const char *file, uint64_t *out) {
  char path[4400], text[64];
  std::snprintf(path, sizeof path, "%s/%s", folder, file);
  if (!readFile(path, text, sizeof text) || *text < '0' || *text > '9')
    return false;
  *out = std::strtoull(text, nullptr, 10);
  return true;
}

void lower(uint64_t &limit, uint64_t value) {
  if (value < limit)
    limit = value;
}

void quota(uint64_t quota, uint64_t period, CgroupLimits &l) {
  if (quota && period)
    lower(l.cpus, quota / period + (quota % period != 0));
}

void memory(uint64_t most, bool known, uint64_t used, CgroupLimits &l) {
  lower(l.memory, most);
  if (known)
    lower(l.memoryLeft, used < most ? most - used : 0);
}

void version2(const char *folder, CgroupLimits &l) {
  char path[4400], text[64];
  unsigned long long q, period;
  std::snprintf(path, sizeof path, "%s/cpu.max", folder);
  if (readFile(path, text, sizeof text) &&
      std::sscanf(text, "%llu %llu", &q, &period) == 2)
    quota(q, period, l);
  uint64_t most, used = 0;
  if (readNumber(folder, "memory.max", &most)) {
    bool known = readNumber(folder, "memory.current", &used);
    memory(most, known, used, l);
  }
}

void version1Cpu(const char *folder, CgroupLimits &l) {
  uint64_t q, period;
  if (readNumber(folder, "cpu.cfs_quota_us", &q) &&
      readNumber(folder, "cpu.cfs_period_us", &period))
    quota(q, period, l);
}

void version1Memory(const char *folder, CgroupLimits &l) {
  uint64_t most, used = 0;
  // "No limit" is a number here, of about 2^63.
  if (readNumber(folder, "memory.limit_in_bytes", &most) && most < 1ull << 60) {
    bool known = readNumber(folder, "memory.usage_in_bytes", &used);
    memory(most, known, used, l);
  }
}

/// Every folder from root/path up to root.
void upwards(const char *root, const char *path,
             void (*visit)(const char *, CgroupLimits &), CgroupLimits &l) {
  char folder[4352];
  size_t base =
      static_cast<size_t>(std::snprintf(folder, sizeof folder, "%s", root));
  if (base >= sizeof folder || std::strlen(path) + base >= sizeof folder)
    return;
  std::strcpy(folder + base, path);
  for (;;) {
    visit(folder, l);
    char *slash = std::strrchr(folder, '/');
    if (!slash || slash < folder + base)
      return;
    *slash = 0;
  }
}

bool has(char *controllers, const char *name) {
  size_t n = std::strlen(name);
  for (const char *at = std::strstr(controllers, name); at;
       at = std::strstr(at + 1, name))
    if ((at == controllers || at[-1] == ',') && (!at[n] || at[n] == ','))
      return true;
  return false;
}

} // namespace

CgroupLimits isthmus::cpu::cgroupLimits(const char *groups, const char *root) {
  CgroupLimits l;
  char text[8192], mounted[4096];
  if (!readFile(groups, text, sizeof text))
    return l;
  char *rest = nullptr;
  for (char *line = ::strtok_r(text, "\n", &rest); line;
       line = ::strtok_r(nullptr, "\n", &rest)) {
    char *controllers = std::strchr(line, ':');
    char *path = controllers ? std::strchr(controllers + 1, ':') : nullptr;
    if (!path)
      continue;
    *path++ = 0;
    ++controllers;
    if (!*controllers) {
      upwards(root, path, version2, l);
      // Where version 1 runs beside it.
      std::snprintf(mounted, sizeof mounted, "%s/unified", root);
      upwards(mounted, path, version2, l);
    }
    if (has(controllers, "cpu")) {
      std::snprintf(mounted, sizeof mounted, "%s/cpu", root);
      upwards(mounted, path, version1Cpu, l);
    }
    if (has(controllers, "memory")) {
      std::snprintf(mounted, sizeof mounted, "%s/memory", root);
      upwards(mounted, path, version1Memory, l);
    }
  }
  return l;
}
