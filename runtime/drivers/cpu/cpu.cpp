//===- cpu.cpp - the driver for the processor we run on -------------------===//
//
// Device memory is host memory and a queue does what it is told at once, so
// submit only raises the semaphore. Launches are spread over a thread pool.
//
//===----------------------------------------------------------------------===//
#include "cgroup.h"
#include "code_object.h"
#include "facts.h"
#include "support.h"
#include "thread_pool.h"

#include <climits>
#include <cstdio>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::cpu;

struct ist_driver_device {
  ThreadPool pool;
  Facts facts;
};

struct ist_driver_queue {
  ist_driver_device *device;
};

struct ist_driver_semaphore {
  uint64_t value;   // atomic
  uint32_t changes; // futex
  uint32_t waiting; // threads, atomic
};

struct ist_driver_kernel {
  Entry entry;
  const char *name; // owned
  ist_driver_kernel *next;
  /// Measured time of one workgroup in 1/1024 ns; 0: not known
  /// yet. Atomic. Decides who runs a launch, never its result.
  uint64_t cost;
};

struct ist_driver_module {
  CodeObject code;
  ist_driver_kernel *kernels;
};

namespace {

#include "driver_functions.h"

constexpr uint64_t kAlign = 64;
/// Below this a launch is done before other threads would have joined in.
constexpr uint64_t kInlineNs = 8000;

int memInfo(ist_driver_device *, uint64_t *available, uint64_t *total,
            ist_error *error) {
  long page = ::sysconf(_SC_PAGESIZE), free = ::sysconf(_SC_AVPHYS_PAGES),
       all = ::sysconf(_SC_PHYS_PAGES);
  if (page <= 0 || free < 0 || all < 0)
    return fail(error, IST_UNAVAILABLE, "the system does not say its memory");
  *available = static_cast<uint64_t>(free) * page;
  *total = static_cast<uint64_t>(all) * page;
  CgroupLimits limits = cgroupLimits();
  if (limits.memory < *total)
    *total = limits.memory;
  if (limits.memoryLeft < *available)
    *available = limits.memoryLeft;
  if (*available > *total)
    *available = *total;
  return IST_OK;
}

int enumerate(const ist_host *, ist_identity *identities, uint32_t capacity,
              uint32_t *count, ist_error *error) {
  *count = 1;
  if (!capacity)
    return IST_OK;
  Facts facts;
  unsigned threads;
  if (ist_status s = threadLimit(&threads, error))
    return s;
  cpu::describe(threads, &facts);
  std::memcpy(identities->summary, facts.summary, sizeof facts.summary);
  identities->id[0] = 0;
  uint64_t available;
  return memInfo(nullptr, &available, &identities->memory_bytes, error);
}

int unknown(const char *what, ist_error *error) {
  return fail(error, IST_UNIMPLEMENTED,
              "the cpu driver was given a %s with members that it does not "
              "know; update it",
              what);
}

int noNative(const char *what, const ist_native *native, ist_error *error) {
  return fail(error, IST_UNAVAILABLE,
              "the cpu driver has no %s of kind '%.64s' to take over", what,
              native->kind);
}

int open(const ist_host *, uint32_t index, const ist_native *native,
         ist_driver_device **out, ist_error *error) {
  if (index != 0)
    return fail(error, IST_NOT_FOUND, "there is one cpu device, cpu:0");
  if (native)
    return noNative("context", native, error);
  ist_driver_device *d = make<ist_driver_device>();
  if (!d)
    return outOfMemory(error, sizeof *d, "the cpu device");
  unsigned threads;
  ist_status s = threadLimit(&threads, error);
  if (!s)
    s = d->pool.start(threads - 1, error);
  if (s) {
    destroy(d);
    return s;
  }
  cpu::describe(threads, &d->facts);
  *out = d;
  return IST_OK;
}

void close(ist_driver_device *device) {
  device->pool.stop();
  destroy(device);
}

int describe(ist_driver_device *device, ist_description *out, ist_error *) {
  out->summary = device->facts.summary;
  out->facts = device->facts.facts;
  out->fact_count = device->facts.count;
  out->flags = IST_DEVICE_SYNCHRONOUS | IST_DEVICE_SHARES_MEMORY;
  out->alignment = kAlign;
  out->max_grid = INT64_MAX;
  out->max_alloc = INT64_MAX - kAlign;
  return IST_OK;
}

const void *extension(ist_driver_device *, const char *) { return nullptr; }

constexpr uint64_t kHugePage = 2 << 20, kLarge = 2 * kHugePage;

int alloc(ist_driver_device *device, ist_memory_kind, uint64_t bytes,
          ist_driver_memory *out, ist_error *error) {
  // Matrices of hundreds of megabytes are read from end to end: with pages of
  // 4 KiB the reading stops at each of them.
  uint64_t align = bytes >= kLarge ? kHugePage : kAlign;
  void *p = bytes <= INT64_MAX - kHugePage
                ? std::aligned_alloc(align, alignUp(bytes, kAlign))
                : nullptr;
  if (p && bytes >= kLarge) // a wish: without huge pages it is slower
    ::madvise(p, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  if (!p) {
    uint64_t available = 0, total = 0;
    memInfo(device, &available, &total, error);
    return fail(error, IST_RESOURCE_EXHAUSTED,
                "out of memory: %llu bytes requested, about %llu of %llu "
                "available; free some, or use smaller inputs",
                static_cast<unsigned long long>(bytes),
                static_cast<unsigned long long>(available),
                static_cast<unsigned long long>(total));
  }
  *out = {reinterpret_cast<uint64_t>(p), p, p, bytes};
  return IST_OK;
}

void freeMemory(ist_driver_device *, ist_driver_memory *memory) {
  std::free(memory->handle); // null for imports
}

int import(ist_driver_device *, const ist_import *import,
           ist_driver_memory *out, ist_error *error) {
  if (!ist_tail_is_zero(import, sizeof *import))
    return unknown("memory to import", error);
  // Both kinds are the same here.
  *out = {import->memory, reinterpret_cast<void *>(import->memory), nullptr,
          import->bytes};
  return IST_OK;
}

int queueCreate(ist_driver_device *device, const ist_native *native,
                ist_driver_queue **out, ist_error *error) {
  if (native)
    return noNative("queue", native, error);
  *out = make<ist_driver_queue>();
  if (!*out)
    return outOfMemory(error, sizeof **out, "a queue");
  (*out)->device = device;
  return IST_OK;
}

void queueDestroy(ist_driver_queue *queue) { destroy(queue); }

int copy(ist_driver_queue *, uint64_t to, uint64_t from, uint64_t bytes,
         ist_error *) {
  std::memmove(reinterpret_cast<void *>(to),
               reinterpret_cast<const void *>(from), bytes);
  return IST_OK;
}

int fill(ist_driver_queue *, uint64_t to, uint8_t value, uint64_t bytes,
         ist_error *) {
  std::memset(reinterpret_cast<void *>(to), value, bytes);
  return IST_OK;
}

int launch(ist_driver_queue *queue, const ist_launch *launch,
           ist_error *error) {
  if ((!ist_tail_is_zero(launch, sizeof *launch) || hasTiles(*launch)))
    return unknown("launch", error);
  if (launch->grid == 0)
    return IST_OK;
  const auto *args = static_cast<const uint64_t *>(launch->args);
  // The core sees kernels as const; their measured cost is ours.
  auto *kernel = const_cast<ist_driver_kernel *>(launch->kernel);
  ThreadPool &pool = queue->device->pool;
  uint64_t cost = __atomic_load_n(&kernel->cost, __ATOMIC_RELAXED), expected;
  if (__builtin_mul_overflow(cost, launch->grid, &expected))
    expected = UINT64_MAX;
  bool alone = launch->grid == 1 || pool.workers() == 0 ||
               (cost && expected / 1024 < kInlineNs);
  ThreadPool::Share mine = {launch->grid, 0};
  if (alone || !pool.run(kernel->entry, args, launch->grid, &mine)) {
    uint64_t begin = nowNs();
    kernel->entry(args, 0, launch->grid);
    mine.ns = nowNs() - begin;
  }
  if (!mine.groups)
    return IST_OK;
  // Not more than a second's worth, so that the product stays small. What was
  // interrupted took long; so the estimate falls at once and rises slowly.
  uint64_t ns = mine.ns < 1000000000 ? mine.ns : 1000000000;
  uint64_t now = ns * 1024 / mine.groups;
  if (now > cost && cost)
    now = (3 * cost + now) / 4;
  __atomic_store_n(&kernel->cost, now ? now : 1, __ATOMIC_RELAXED);
  return IST_OK;
}

int semaphoreCreate(ist_driver_device *, ist_driver_semaphore **out,
                    ist_error *error) {
  *out = make<ist_driver_semaphore>();
  if (!*out)
    return outOfMemory(error, sizeof **out, "a semaphore");
  **out = {};
  return IST_OK;
}

void semaphoreDestroy(ist_driver_semaphore *semaphore) { destroy(semaphore); }

int semaphoreQuery(ist_driver_semaphore *semaphore, uint64_t *value,
                   ist_error *) {
  *value = __atomic_load_n(&semaphore->value, __ATOMIC_ACQUIRE);
  return IST_OK;
}

int semaphoreWait(ist_driver_semaphore *semaphore, uint64_t value,
                  uint64_t timeout, ist_error *error) {
  uint64_t begin = nowNs();
  for (;;) {
    uint32_t ticket = __atomic_load_n(&semaphore->changes, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&semaphore->value, __ATOMIC_SEQ_CST) >= value)
      return IST_OK;
    timespec rest, *limit = nullptr;
    if (timeout != UINT64_MAX) {
      uint64_t passed = nowNs() - begin;
      if (passed >= timeout)
        return fail(error, IST_DEADLINE_EXCEEDED,
                    "the cpu queue did not get to %llu in time",
                    static_cast<unsigned long long>(value));
      rest = {static_cast<time_t>((timeout - passed) / 1000000000),
              static_cast<long>((timeout - passed) % 1000000000)};
      limit = &rest;
    }
    __atomic_add_fetch(&semaphore->waiting, 1, __ATOMIC_SEQ_CST);
    ::syscall(SYS_futex, &semaphore->changes, FUTEX_WAIT_PRIVATE, ticket, limit,
              nullptr, 0);
    __atomic_sub_fetch(&semaphore->waiting, 1, __ATOMIC_SEQ_CST);
  }
}

int semaphoreSignal(ist_driver_semaphore *semaphore, uint64_t value,
                    ist_error *) {
  // Two queues may signal one semaphore at once; it only rises.
  uint64_t now = __atomic_load_n(&semaphore->value, __ATOMIC_SEQ_CST);
  while (now < value &&
         !__atomic_compare_exchange_n(&semaphore->value, &now, value, false,
                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    ;
  __atomic_add_fetch(&semaphore->changes, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&semaphore->waiting, __ATOMIC_SEQ_CST))
    ::syscall(SYS_futex, &semaphore->changes, FUTEX_WAKE_PRIVATE, INT_MAX,
              nullptr, nullptr, 0);
  return IST_OK;
}

int submit(ist_driver_queue *, const ist_driver_submit *submit,
           ist_error *error) {
  if (!ist_tail_is_zero(submit, sizeof *submit))
    return unknown("submit", error);
  // What is waited for was submitted, so it is being run by another thread.
  for (size_t i = 0; i < submit->wait_count; ++i)
    if (int s = semaphoreWait(submit->waits[i].semaphore,
                              submit->waits[i].value, UINT64_MAX, error))
      return s;
  for (size_t i = 0; i < submit->signal_count; ++i)
    semaphoreSignal(submit->signals[i].semaphore, submit->signals[i].value,
                    error);
  return IST_OK;
}

void moduleUnload(ist_driver_module *module) {
  for (ist_driver_kernel *k = module->kernels; k;) {
    ist_driver_kernel *next = k->next;
    std::free(const_cast<char *>(k->name));
    destroy(k);
    k = next;
  }
  destroy(module);
}

int moduleLoad(ist_driver_device *, const void *code, size_t size,
               const ist_module_options *options, ist_driver_module **out,
               ist_error *error) {
  if (!ist_tail_is_zero(options, sizeof *options))
    return unknown("module's options", error);
  if (std::strcmp(options->format, "elf") != 0)
    return fail(error, IST_UNAVAILABLE,
                "the cpu driver runs code in the format elf, not %.64s",
                options->format);
  ist_driver_module *m = make<ist_driver_module>();
  if (!m)
    return outOfMemory(error, sizeof *m, "a module");
  m->kernels = nullptr;
  if (ist_status s =
          m->code.load(static_cast<const uint8_t *>(code), size, error)) {
    moduleUnload(m);
    return s;
  }
  *out = m;
  return IST_OK;
}

int kernelGet(ist_driver_module *module, const ist_kernel_desc *desc,
              const ist_driver_kernel **out, ist_error *error) {
  if (!ist_tail_is_zero(desc, sizeof *desc))
    return unknown("kernel's description", error);
  const char *name = desc->name;
  void *entry = module->code.find(name);
  if (!entry)
    return fail(error, IST_DATA_LOSS,
                "broken artifact: its code object has no kernel '%.100s'; "
                "compile the model again",
                name);
  ist_driver_kernel *k = make<ist_driver_kernel>();
  char *copy = ::strdup(name);
  if (!k || !copy) {
    destroy(k);
    std::free(copy);
    return outOfMemory(error, sizeof *k, "a kernel");
  }
  *k = {reinterpret_cast<Entry>(entry), copy, module->kernels, 0};
  module->kernels = k;
  *out = k;
  return IST_OK;
}

} // namespace

extern "C" {
extern const ist_driver ist_cpu_driver;
const ist_driver ist_cpu_driver = IST_DRIVER_TABLE("cpu", "cpu", "elf");
}
