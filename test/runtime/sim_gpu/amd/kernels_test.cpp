//===- kernels_test.cpp - our own kernels, compiled for each chip ---------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "../golden.h"
#include "machine.h"

#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <random>

using namespace isthmus::simgpu;

namespace {
/// A buffer of a kernel, as it lies in memory.
struct Buffer {
  std::vector<uint8_t> bytes;
  bool written;
};
template <class T>
Buffer buffer(const std::vector<T> &v, bool written = false) {
  Buffer b;
  b.bytes.resize(v.size() * sizeof(T));
  std::memcpy(b.bytes.data(), v.data(), b.bytes.size());
  b.written = written;
  return b;
}
template <class T> std::vector<T> values(const Buffer &b) {
  std::vector<T> v(b.bytes.size() / sizeof(T));
  std::memcpy(v.data(), b.bytes.data(), b.bytes.size());
  return v;
}

/// Runs every workgroup, sizes first, then buffers, then the error word.
void run(const std::string &chip, const std::string &file,
         const std::string &name, std::vector<uint64_t> sizes,
         std::vector<Buffer> &buffers, uint32_t groups, uint32_t threads,
         bool sanitize, uint32_t *error = nullptr) {
  std::ifstream in(std::string(ISTHMUS_TEST_KERNELS) + "/" + file + "." + chip +
                       ".hsaco",
                   std::ios::binary);
  std::vector<char> code((std::istreambuf_iterator<char>(in)), {});
  Loaded l = load(chip, code);
  ASSERT_TRUE(l.module) << file << ": " << l.error;
  std::vector<Range> ranges;
  for (Buffer &b : buffers) {
    sizes.push_back(uint64_t(b.bytes.data()));
    ranges.push_back({uint64_t(b.bytes.data()), b.bytes.size(), b.written});
  }
  uint32_t none = 0;
  if (!error)
    error = &none;
  sizes.push_back(uint64_t(error));
  ranges.push_back({uint64_t(error), 4, true});
  Launch launch = {groups,
                   threads,
                   0,
                   reinterpret_cast<uint8_t *>(sizes.data()),
                   uint32_t(sizes.size() * 8),
                   ranges.data(),
                   ranges.size(),
                   sanitize};
  const Kernel *kernel = l.module->find(name);
  ASSERT_TRUE(kernel) << name;
  for (uint32_t g = 0; g < groups; ++g) {
    Counters counters;
    Fault fault;
    ASSERT_TRUE(kernel->run(launch, g, counters, fault))
        << chip << " " << name << ", workgroup " << g << ", thread "
        << fault.lane << ": " << fault.what;
  }
}

/// On every chip, with and without the sanitizer.
class AMDKernels
    : public testing::TestWithParam<std::tuple<std::string, bool>> {
protected:
  std::string chip = std::get<0>(GetParam());
  bool sanitize = std::get<1>(GetParam());
  std::mt19937 random{1};
  float next(float scale) {
    return std::normal_distribution<float>(0, scale)(random);
  }
  std::vector<float> floats(size_t n, float scale) {
    std::vector<float> v(n);
    for (float &x : v)
      x = next(scale);
    return v;
  }
};

/// Small integers as halves: every product and sum is exact.
uint16_t halfOf(int x) {
  if (!x)
    return 0;
  uint32_t f = as<uint32_t>(float(x));
  return uint16_t((f >> 16 & 0x8000) | (((f >> 23 & 255) - 112) << 10) |
                  (f >> 13 & 1023));
}
} // namespace

TEST_P(AMDKernels, Silu) {
  for (unsigned n : {1u, 1023u, 1024u, 3003u}) {
    std::vector<float> x = floats(n, 8);
    std::vector<Buffer> b = {buffer(x),
                             buffer(std::vector<float>(n, -1), true)};
    run(chip, "lanes", "silu", {n}, b, (n + 1023) / 1024, 256, sanitize);
    std::vector<float> y = values<float>(b[1]);
    for (unsigned i = 0; i < n; ++i)
      ASSERT_NEAR(y[i], x[i] / (1 + std::exp(-double(x[i]))),
                  2e-6 * std::fabs(x[i]) + 1e-30)
          << i;
  }
}

TEST_P(AMDKernels, Softmax) {
  for (auto [m, n] : {std::pair(1u, 1u), {3u, 255u}, {2u, 600u}})
    for (std::string file : {"lanes", "tiles"}) {
      std::vector<float> x = floats(m * n, 4);
      std::vector<Buffer> b = {buffer(x),
                               buffer(std::vector<float>(m * n, -1), true)};
      run(chip, file, "softmax", {m, n}, b, m, file == "lanes" ? 256 : 64,
          sanitize);
      std::vector<float> y = values<float>(b[1]);
      for (unsigned r = 0; r < m; ++r) {
        double sum = 0, most = -INFINITY;
        for (unsigned c = 0; c < n; ++c)
          most = std::max<double>(most, x[r * n + c]);
        for (unsigned c = 0; c < n; ++c)
          sum += std::exp(x[r * n + c] - most);
        for (unsigned c = 0; c < n; ++c)
          ASSERT_NEAR(y[r * n + c], std::exp(x[r * n + c] - most) / sum, 1e-6)
              << file << " " << m << "x" << n;
      }
    }
}

TEST_P(AMDKernels, Matmul) {
  for (auto [m, n, k] :
       {std::tuple(1u, 1u, 1u), {16u, 16u, 16u}, {33u, 50u, 70u}})
    for (std::string file : {"lanes", "tiles"}) {
      std::vector<uint16_t> x(m * k), w(k * n);
      std::vector<int> xi(m * k), wi(k * n);
      for (unsigned i = 0; i < m * k; ++i)
        x[i] = halfOf(xi[i] = int(random() % 9) - 4);
      for (unsigned i = 0; i < k * n; ++i)
        w[i] = halfOf(wi[i] = int(random() % 9) - 4);
      std::vector<Buffer> b = {buffer(x), buffer(w),
                               buffer(std::vector<float>(m * n, -1), true)};
      bool lanes = file == "lanes";
      unsigned rows = lanes ? 16 : 32, columns = lanes ? 16 : 64;
      run(chip, file, "matmul", {m, n, k}, b,
          (m + rows - 1) / rows * ((n + columns - 1) / columns),
          lanes ? 256 : 128, sanitize);
      std::vector<float> y = values<float>(b[2]);
      for (unsigned i = 0; i < m; ++i)
        for (unsigned j = 0; j < n; ++j) {
          int sum = 0;
          for (unsigned d = 0; d < k; ++d)
            sum += xi[i * k + d] * wi[d * n + j];
          ASSERT_EQ(y[i * n + j], float(sum))
              << file << " " << i << "," << j << " of " << m << "x" << n << "x"
              << k;
        }
    }
}

TEST_P(AMDKernels, Gather) {
  for (int64_t bad : {0, 9, -1}) {
    std::vector<uint16_t> table = {1, 2, 3, 5, 8, 13, 21, 34, 55};
    std::vector<int64_t> index(700);
    for (int64_t &i : index)
      i = int64_t(random() % 9);
    index[350] = bad;
    std::vector<Buffer> b = {buffer(table), buffer(index),
                             buffer(std::vector<uint16_t>(700, 0), true)};
    uint32_t error = 0;
    run(chip, "lanes", "gather", {9, 700}, b, 3, 256, sanitize, &error);
    EXPECT_EQ(error, uint32_t(bad != 0));
    std::vector<uint16_t> y = values<uint16_t>(b[2]);
    for (unsigned i = 0; i < 700; ++i)
      ASSERT_EQ(y[i], table[i == 350 ? 0 : size_t(index[i])]);
  }
}

TEST_P(AMDKernels, RowSum) {
  unsigned m = 5, n = 1000;
  std::vector<float> x(m * n), want(m);
  for (unsigned i = 0; i < m * n; ++i)
    want[i / n] += x[i] = float(random() % 16);
  std::vector<Buffer> b = {buffer(x), buffer(std::vector<float>(m, -1), true)};
  run(chip, "lanes", "row_sum", {m, n}, b, m, 256, sanitize);
  EXPECT_EQ(values<float>(b[1]), want);
}

// Written by hand for MFMA and for WMMA.
TEST_P(AMDKernels, Golden) {
  std::vector<char> code = readCode(std::string(ISTHMUS_TEST_KERNELS) +
                                    "/golden." + chip + ".hsaco");
  Loaded l = load(chip, code);
  ASSERT_TRUE(l.module) << l.error;
  checkGolden(*l.module,
              chip == "gfx942" ? Golden{4096, 4096, 128, 256, false}
                               : Golden{1024, 1024, 64, 128, false},
              sanitize);
}

INSTANTIATE_TEST_SUITE_P(Chips, AMDKernels,
                         testing::Combine(testing::ValuesIn(allChips),
                                          testing::Bool()),
                         [](const auto &info) {
                           return std::get<0>(info.param) +
                                  (std::get<1>(info.param) ? "_sanitized" : "");
                         });
