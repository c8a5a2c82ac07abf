//===- plan_test.cpp - placement ------------------------------------------===//
#include "plan.h"

#include <cmath>
#include <ctime>
#include <gtest/gtest.h>
#include <random>

using namespace isthmus;

namespace {

/// Intervals that live at the same time do not overlap in memory, are aligned,
/// and lie below the total; the total is at least what is alive at once.
TEST(Place, LiveIntervalsNeverOverlap) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    size_t n = random() % 40;
    uint32_t commands = 1 + random() % 60;
    std::vector<Interval> v(n);
    for (Interval &i : v) {
      i.size = random() % 5 == 0 ? 0 : random() % (1u << (1 + random() % 20));
      i.first = random() % commands;
      i.last = i.first + random() % (commands - i.first);
    }
    uint64_t total = 0;
    ASSERT_TRUE(place(v.data(), n, &total));
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(v[i].offset % 64, 0u);
      if (v[i].size) {
        ASSERT_LE(v[i].offset + v[i].size, total);
      }
      for (size_t j = 0; j < i; ++j) {
        bool alive = v[i].first <= v[j].last && v[j].first <= v[i].last;
        bool overlap = v[i].size && v[j].size &&
                       v[i].offset < v[j].offset + v[j].size &&
                       v[j].offset < v[i].offset + v[i].size;
        ASSERT_FALSE(alive && overlap) << i << " and " << j;
      }
    }
    for (uint32_t c = 0; c < commands; ++c) {
      uint64_t alive = 0;
      for (const Interval &i : v)
        if (i.first <= c && c <= i.last)
          alive += alignUp(i.size, 64);
      ASSERT_LE(alive, total);
    }
  }
}

/// What placing the buffers of a chain of `n` operations costs, in seconds of
/// this thread's: the least of some runs.
double costOfChain(uint32_t n) {
  std::mt19937 random(2);
  std::vector<Interval> v(n);
  for (uint32_t i = 0; i < n; ++i)
    v[i] = {64 + random() % 100000, i, i + static_cast<uint32_t>(random() % 4),
            0};
  // Some live for long.
  for (uint32_t i = 0; i < 20; ++i)
    v[random() % n] = {1000, 0, n, 0};
  auto now = [] {
    timespec t;
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) +
           1e-9 * static_cast<double>(t.tv_nsec);
  };
  double least = INFINITY;
  for (int round = 0; round < 5; ++round) {
    std::vector<Interval> work = v;
    uint64_t total = 0;
    double begin = now();
    EXPECT_TRUE(place(work.data(), n, &total));
    least = std::min(least, now() - begin);
    EXPECT_LT(total, 1000000u);
  }
  return least;
}

/// The work must not grow with a model's square: eight times the length would
/// cost 64 times as much. It costs about 25 times.
TEST(Place, ManyShortLives) {
  EXPECT_LT(costOfChain(32000), 45 * costOfChain(4000));
}

TEST(Place, ReusesMemory) {
  Interval v[] = {{100, 0, 1, 0}, {100, 2, 3, 0}, {100, 4, 5, 0}};
  uint64_t total;
  ASSERT_TRUE(place(v, 3, &total));
  EXPECT_EQ(total, 128u);
}

TEST(Place, RefusesWhatNoAddressSpaceHolds) {
  Interval v[] = {{INT64_MAX / 2, 0, 1, 0},
                  {INT64_MAX / 2, 0, 1, 0},
                  {INT64_MAX / 2, 0, 1, 0}};
  uint64_t total;
  EXPECT_FALSE(place(v, 3, &total));
  Interval w[] = {{UINT64_MAX, 0, 1, 0}};
  EXPECT_FALSE(place(w, 1, &total));
}

} // namespace
