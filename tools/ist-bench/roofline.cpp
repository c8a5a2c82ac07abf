//===- roofline.cpp - what this processor can do at most ------------------===//
//
// All threads do the same at the same time, for a while; the best of a few
// whiles counts, since others may run on the machine.
//
//===----------------------------------------------------------------------===//
#include "roofline.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include <sys/mman.h>

using namespace isthmus::tools;

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Runs `work` (which part of it) on all threads, begun together, and returns
/// the sum of what they give a second.
double together(unsigned threads,
                const std::function<double(unsigned part)> &work) {
  std::atomic<unsigned> ready{0};
  std::atomic<double> sum{0};
  auto run = [&](unsigned part) {
    ++ready;
    while (ready < threads)
      std::this_thread::yield();
    Clock::time_point begin = Clock::now();
    double rate = work(part) / since(begin);
    for (double old = sum; !sum.compare_exchange_weak(old, old + rate);)
      ;
  };
  std::vector<std::thread> others;
  try {
    for (unsigned i = 1; i < threads; ++i)
      others.emplace_back(run, i);
  } catch (const std::system_error &) {
    ready += threads - 1 - static_cast<unsigned>(others.size());
  }
  run(0);
  for (std::thread &t : others)
    t.join();
  return sum;
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

constexpr unsigned kSteps = 1 << 14;

// Twelve sums that do not wait for one another hide the latency of a unit that
// starts two multiply-adds a cycle and fit 16 registers. Returns the flops.
#define IST_MULTIPLY_ADDS(name, bytes, attribute)                              \
  attribute double name(volatile float *at) {                                  \
    typedef float V __attribute__((vector_size(bytes)));                       \
    V x0 = {}, x1 = {}, x2 = {}, x3 = {}, x4 = {}, x5 = {}, x6 = {}, x7 = {},  \
      x8 = {}, x9 = {}, xa = {}, xb = {};                                      \
    x0 += 0.0f, x1 += 0.1f, x2 += 0.2f, x3 += 0.3f, x4 += 0.4f, x5 += 0.5f;    \
    x6 += 0.6f, x7 += 0.7f, x8 += 0.8f, x9 += 0.9f, xa += 1.0f, xb += 1.1f;    \
    V m = {}, a = {};                                                          \
    m += at[0], a += at[1];                                                    \
    for (unsigned i = 0; i < kSteps; ++i) {                                    \
      x0 = x0 * m + a, x1 = x1 * m + a, x2 = x2 * m + a, x3 = x3 * m + a;      \
      x4 = x4 * m + a, x5 = x5 * m + a, x6 = x6 * m + a, x7 = x7 * m + a;      \
      x8 = x8 * m + a, x9 = x9 * m + a, xa = xa * m + a, xb = xb * m + a;      \
    }                                                                          \
    V all = x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + xa + xb;         \
    for (unsigned i = 0; i < sizeof(V) / sizeof(float); ++i)                   \
      at[2] = all[i];                                                          \
    return 2.0 * 12 * kSteps * (sizeof(V) / sizeof(float));                    \
  }

#if defined(__x86_64__)
IST_MULTIPLY_ADDS(withAvx512, 64, __attribute__((target("avx512f,fma"))))
IST_MULTIPLY_ADDS(withAvx2, 32, __attribute__((target("avx2,fma"))))
#endif
IST_MULTIPLY_ADDS(withBaseline, 16, )

struct Kind {
  const char *name;
  double (*run)(volatile float *);
  bool here;
};

std::vector<Kind> kinds() {
  std::vector<Kind> all = {{"128-bit vectors", withBaseline, true}};
#if defined(__x86_64__)
  bool fma = __builtin_cpu_supports("fma");
  all.push_back({"AVX2", withAvx2, fma && __builtin_cpu_supports("avx2")});
  all.push_back(
      {"AVX-512", withAvx512, fma && __builtin_cpu_supports("avx512f")});
#endif
  return all;
}

void measureFlops(unsigned threads, Roofline *roofline) {
  for (int round = 0; round < 10; ++round)
    for (const Kind &kind : kinds()) {
      if (!kind.here)
        continue;
      double rate = together(threads, [&](unsigned) {
        // A fixed point: the sums neither grow nor become denormal.
        volatile float memory[3] = {0.5f, 0.5f, 0};
        double flops = 0;
        Clock::time_point begin = Clock::now();
        do
          flops += kind.run(memory);
        while (since(begin) < 0.01);
        return flops;
      });
      if (rate > roofline->flops) {
        roofline->flops = rate;
        roofline->vectors = kind.name;
      }
    }
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

typedef uint64_t Words __attribute__((vector_size(32)));

constexpr size_t kBytes = size_t(256) << 20; // more than caches have

/// Reads [begin, end) once.
void readAll(const Words *begin, const Words *end, volatile uint64_t *out) {
  Words a = {}, b = {}, c = {}, d = {};
  for (; end - begin >= 4; begin += 4)
    a ^= begin[0], b ^= begin[1], c ^= begin[2], d ^= begin[3];
  a ^= b ^ c ^ d;
  *out = a[0] ^ a[1] ^ a[2] ^ a[3];
}

void measureBytes(unsigned threads, Roofline *roofline) {
  struct Free {
    void operator()(void *p) const { std::free(p); }
  };
  std::unique_ptr<Words, Free> memory(
      static_cast<Words *>(std::aligned_alloc(2 << 20, kBytes)));
  if (!memory)
    return;
  size_t part = kBytes / sizeof(Words) / threads;
  Words *all = memory.get();
#ifdef MADV_HUGEPAGE
  // As the cpu device has its own memory.
  ::madvise(all, kBytes, MADV_HUGEPAGE);
#endif
  together(threads, [&](unsigned i) { // pages come with the first touch
    std::fill_n(all + i * part, part, Words{i + 1, 2, 3, 4});
    return 0.0;
  });
  Clock::time_point begin = Clock::now();
  for (int round = 0; round < 8 && since(begin) < 0.25; ++round) {
    double read = together(threads, [&](unsigned i) {
      uint64_t out;
      readAll(all + i * part, all + (i + 1) * part, &out);
      return static_cast<double>(part * sizeof(Words));
    });
    // a = b ^ c, each a third of it.
    double triad = together(threads, [&](unsigned i) {
      size_t third = part / 3;
      Words *a = all + i * part, *b = a + third, *c = b + third;
      for (size_t j = 0; j < third; ++j)
        a[j] = b[j] ^ c[j];
      return static_cast<double>(3 * third * sizeof(Words));
    });
    roofline->bytes = std::max({roofline->bytes, read, triad});
  }
}

} // namespace

Roofline isthmus::tools::measureRoofline(unsigned threads) {
  Roofline r;
  threads = std::max(threads, 1u);
  measureFlops(threads, &r);
  measureBytes(threads, &r);
  return r;
}
