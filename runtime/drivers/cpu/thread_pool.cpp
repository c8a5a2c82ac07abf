//===- thread_pool.cpp - the cpu driver's threads -------------------------===//
//
// Workers spin for a while between launches, since a model is many short ones,
// and then sleep on a futex.
//
//===----------------------------------------------------------------------===//
#include "thread_pool.h"
#include "cgroup.h"
#include "support.h"

#include <cstdio>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::cpu;

namespace {

constexpr uint64_t kOpen = 1ull << 31, kUsers = kOpen - 1;
/// About as long as a futex wake-up takes: spinning longer than the sleep it
/// avoids would cost more than it saves.
constexpr uint64_t kSpinNs = 50 * 1000;
/// More chunks than threads, so that a thread that is late takes fewer.
constexpr uint64_t kChunksPerThread = 4;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

void futexWait(uint32_t *word, uint32_t value) {
  ::syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void futexWake(uint32_t *word, int n) {
  ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, nullptr, nullptr, 0);
}

/// Until `done` or kSpinNs have passed; what `done` says.
template <typename Done> bool spin(Done done) {
  uint64_t begin = nowNs();
  do {
    for (int i = 0; i < 64; ++i) {
      if (done())
        return true;
      pause();
    }
  } while (nowNs() - begin < kSpinNs);
  return done();
}

} // namespace

ist_status isthmus::cpu::threadLimit(unsigned *out, ist_error *error) {
  constexpr unsigned long most = 1024;
  const char *text = std::getenv("ISTHMUS_THREADS");
  if (text && *text) {
    char *end;
    unsigned long n = std::strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end)
      return fail(error, IST_INVALID_ARGUMENT,
                  "ISTHMUS_THREADS is '%.32s', and should be how many threads "
                  "the cpu driver may use (0 or 1: only the caller's)",
                  text);
    *out = static_cast<unsigned>(n < 1 ? 1 : n < most ? n : most);
    return IST_OK;
  }
  cpu_set_t set;
  uint64_t n = 1, quota = cgroupLimits().cpus;
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    n = static_cast<uint64_t>(CPU_COUNT(&set));
  else if (long online = ::sysconf(_SC_NPROCESSORS_ONLN); online > 0)
    n = static_cast<uint64_t>(online);
  if (quota < n)
    n = quota;
  *out = static_cast<unsigned>(n < most ? n : most);
  return IST_OK;
}

ist_status ThreadPool::start(unsigned extra, ist_error *error) {
  if (extra == 0)
    return IST_OK;
  threads = static_cast<pthread_t *>(std::calloc(extra, sizeof *threads));
  if (!threads)
    return outOfMemory(error, extra * sizeof *threads, "a thread pool");
  int code = 0;
  for (; count < extra && !code; count += !code)
    code = startThread(&threads[count], main, this);
  if (code) {
    unsigned got = count;
    stop();
    return fail(
        error, IST_RESOURCE_EXHAUSTED,
        "cannot start thread %u of %u: %s; set ISTHMUS_THREADS to fewer",
        got + 2, extra + 1, std::strerror(code));
  }
  return IST_OK;
}

void ThreadPool::stop() {
  __atomic_store_n(&stopping, true, __ATOMIC_SEQ_CST);
  __atomic_add_fetch(&wake, 1, __ATOMIC_SEQ_CST);
  futexWake(&wake, INT32_MAX);
  for (unsigned i = 0; i < count; ++i)
    ::pthread_join(threads[i], nullptr);
  std::free(threads);
  threads = nullptr;
  count = 0;
}

void *ThreadPool::main(void *self) {
  ThreadPool *pool = static_cast<ThreadPool *>(self);
  char name[16];
  std::snprintf(name, sizeof name, "ist-cpu-%u",
                __atomic_add_fetch(&pool->nameCounter, 1, __ATOMIC_RELAXED) %
                    10000u);
  ::pthread_setname_np(::pthread_self(), name);
  pool->work();
  return nullptr;
}

void ThreadPool::work() {
  uint64_t seen = 0; // number of the last launch looked at
  for (;;) {
    uint32_t ticket = __atomic_load_n(&wake, __ATOMIC_SEQ_CST);
    auto news = [&] {
      return __atomic_load_n(&state, __ATOMIC_ACQUIRE) >> 32 != seen ||
             __atomic_load_n(&stopping, __ATOMIC_RELAXED);
    };
    if (!spin(news)) {
      __atomic_add_fetch(&sleepers, 1, __ATOMIC_SEQ_CST);
      // `wake` changes after `state`: if there is news by now, either it is
      // seen here or the wait returns at once.
      if (!news())
        futexWait(&wake, ticket);
      __atomic_sub_fetch(&sleepers, 1, __ATOMIC_SEQ_CST);
    }
    if (__atomic_load_n(&stopping, __ATOMIC_SEQ_CST))
      return;
    uint64_t s = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
    seen = s >> 32;
    bool entered = false;
    while ((s & kOpen) && !entered) {
      entered = __atomic_compare_exchange_n(&state, &s, s + 1, false,
                                            __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
      seen = s >> 32;
    }
    if (!entered)
      continue;
    takeChunks();
    if ((__atomic_sub_fetch(&state, 1, __ATOMIC_ACQ_REL) & (kOpen | kUsers)) ==
        0) {
      __atomic_add_fetch(&left, 1, __ATOMIC_SEQ_CST);
      futexWake(&left, 1);
    }
  }
}

uint64_t ThreadPool::takeChunks() {
  uint64_t done = 0, size = grid / chunks, larger = grid % chunks;
  for (;;) {
    uint64_t i = __atomic_fetch_add(&nextChunk, 1, __ATOMIC_RELAXED);
    if (i >= chunks)
      return done;
    uint64_t begin = i * size + (i < larger ? i : larger);
    uint64_t n = size + (i < larger);
    entry(args, begin, begin + n);
    done += n;
  }
}

bool ThreadPool::run(Entry e, const uint64_t *a, uint64_t g, Share *mine) {
  if (__atomic_exchange_n(&owned, true, __ATOMIC_ACQUIRE))
    return false;
  entry = e;
  args = a;
  grid = g;
  chunks = (count + 1) * kChunksPerThread;
  if (chunks > g)
    chunks = g;
  __atomic_store_n(&nextChunk, 0, __ATOMIC_RELAXED);
  uint64_t number = (__atomic_load_n(&state, __ATOMIC_RELAXED) >> 32) + 1;
  __atomic_store_n(&state, number << 32 | kOpen, __ATOMIC_SEQ_CST);
  __atomic_add_fetch(&wake, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&sleepers, __ATOMIC_SEQ_CST))
    futexWake(&wake, static_cast<int>(chunks - 1 < count ? chunks - 1 : count));

  uint64_t start = mine ? nowNs() : 0, groups = takeChunks();
  if (mine)
    *mine = {groups, nowNs() - start};

  // Nobody may enter any more; wait for those inside.
  __atomic_and_fetch(&state, ~kOpen, __ATOMIC_ACQ_REL);
  auto empty = [&] {
    return (__atomic_load_n(&state, __ATOMIC_ACQUIRE) & kUsers) == 0;
  };
  while (!spin(empty)) {
    uint32_t ticket = __atomic_load_n(&left, __ATOMIC_SEQ_CST);
    if (!empty())
      futexWait(&left, ticket);
  }
  __atomic_store_n(&owned, false, __ATOMIC_RELEASE);
  return true;
}
