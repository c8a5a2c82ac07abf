//===- golden.h - the matmul kernels written by hand, and their numbers
//----===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// test/Kernel/golden/matmul_*.mlir, compiled for a chip: x[m, k] * w[k, n] in
// f16, as f32 or f16. A workgroup computes a tile; some tiles are run, those at
// the edge among them. Operands are small integers, so that every sum is exact.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TEST_SIM_GPU_GOLDEN_H
#define ISTHMUS_TEST_SIM_GPU_GOLDEN_H

#include "runtime/drivers/sim_gpu/machine.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>
#include <vector>

struct Golden {
  unsigned k, n;    // of the kernel
  unsigned tile;    // rows and columns of a workgroup
  unsigned threads; // of a workgroup
  bool half;        // the result is f16
};

inline std::vector<char> readCode(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return std::vector<char>((std::istreambuf_iterator<char>(in)), {});
}

inline int goldenX(unsigned i, unsigned k) {
  return int(i * 7 + k * 5) % 9 - 4;
}
inline int goldenW(unsigned k, unsigned j) {
  return int(k * 11 + j * 3 + k / 64) % 7 - 3;
}

/// A small integer.
inline uint16_t goldenHalf(int x) {
  if (!x)
    return 0;
  float f = float(x);
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  return uint16_t((bits >> 16 & 0x8000) | (((bits >> 23 & 255) - 112) << 10) |
                  (bits >> 13 & 1023));
}
inline double fromHalf(uint16_t h) {
  double v = (h & 1023) + (h >> 10 & 31 ? 1024 : 0);
  return std::ldexp(h & 0x8000 ? -v : v, std::max(h >> 10 & 31, 1) - 25);
}

inline void checkGolden(const isthmus::simgpu::Module &module, const Golden &g,
                        bool sanitize) {
  using namespace isthmus::simgpu;
  unsigned m = g.tile + 9, across = g.n / g.tile; // two rows of tiles
  std::vector<uint16_t> x(m * g.k), w(g.k * g.n);
  for (unsigned i = 0; i < m * g.k; ++i)
    x[i] = goldenHalf(goldenX(i / g.k, i % g.k));
  for (unsigned i = 0; i < g.k * g.n; ++i)
    w[i] = goldenHalf(goldenW(i / g.n, i % g.n));
  std::vector<uint8_t> y(size_t(m) * g.n * (g.half ? 2 : 4), 0xee);
  uint64_t args[] = {m, uint64_t(x.data()), uint64_t(w.data()),
                     uint64_t(y.data())};
  Range ranges[] = {{args[1], x.size() * 2, false},
                    {args[2], w.size() * 2, false},
                    {args[3], y.size(), true}};
  Launch launch = {2 * across,  g.threads, 0, reinterpret_cast<uint8_t *>(args),
                   sizeof args, ranges,    3, sanitize};
  const Kernel *kernel = module.find("matmul");
  ASSERT_TRUE(kernel);
  for (unsigned group : {1u, 2 * across - 1}) {
    Counters counters;
    Fault fault;
    ASSERT_TRUE(kernel->run(launch, group, counters, fault))
        << "workgroup " << group << ", thread " << fault.lane << ": "
        << fault.what;
    EXPECT_GT(counters.matrix, 0u);
    unsigned i0 = group / across * g.tile, j0 = group % across * g.tile;
    for (unsigned i = i0; i < std::min(m, i0 + g.tile); ++i)
      for (unsigned j = j0; j < j0 + g.tile; ++j) {
        int sum = 0;
        for (unsigned k = 0; k < g.k; ++k)
          sum += goldenX(i, k) * goldenW(k, j);
        const uint8_t *at = &y[(size_t(i) * g.n + j) * (g.half ? 2 : 4)];
        double got;
        if (g.half) {
          uint16_t bits;
          std::memcpy(&bits, at, 2);
          got = fromHalf(bits);
        } else {
          float bits;
          std::memcpy(&bits, at, 4);
          got = bits;
        }
        ASSERT_NEAR(got, sum, g.half ? std::fabs(sum) / 2048 : 0)
            << i << "," << j;
      }
  }
}

#endif // ISTHMUS_TEST_SIM_GPU_GOLDEN_H
