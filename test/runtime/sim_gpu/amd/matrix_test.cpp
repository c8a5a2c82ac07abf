//===- matrix_test.cpp - matrix units multiply, in the documented layouts -===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "machine.h"

#include <gtest/gtest.h>

using namespace isthmus::simgpu;

namespace {
/// A matrix operation as its document lays it out: which element of A, B and
/// the result a lane's n-th is. Small integers make every sum exact.
struct Unit {
  const char *chip, *text;
  unsigned m, k, inBits, outBits;
  bool integer;
  /// (row or column, depth) of a lane's n-th element of A or B.
  std::function<std::pair<unsigned, unsigned>(unsigned lane, unsigned n)> in;
  std::function<std::pair<unsigned, unsigned>(unsigned lane, unsigned n)> out;
};

int valueA(unsigned i, unsigned k) { return int(i * 5 + k * 3) % 7 - 3; }
int valueB(unsigned k, unsigned j) { return int(k * 2 + j * 11) % 5 - 2; }
int valueC(unsigned i, unsigned j) { return int(i + 2 * j) % 9 - 4; }

/// `x`, small, as the type's bits.
uint32_t encode(int x, unsigned bits, bool integer, bool bfloat) {
  if (integer)
    return uint32_t(x) & (bits == 8 ? 255 : ~0u);
  uint32_t f = as<uint32_t>(float(x));
  if (bits == 32)
    return f;
  if (bfloat)
    return f >> 16;
  return x == 0 ? 0
                : (f >> 16 & 0x8000) | (((f >> 23 & 255) - 112) << 10) |
                      (f >> 13 & 1023);
}

void place(std::vector<uint32_t> &registers, unsigned n, unsigned bits,
           uint32_t v) {
  registers[n * bits / 32] |= v << n * bits % 32;
}

void check(const Unit &u) {
  unsigned lanes = lanesOf(u.chip);
  bool gfx9 = lanes == 64, gfx12 = std::string(u.chip) == "gfx1201";
  bool bfloat = std::string(u.text).find("bf16") != std::string::npos;
  // Four registers of A and B each, sixteen of C and the result, in memory one
  // register after the other.
  std::string body = std::string(gfx9 ? "s_load_dwordx4" : "s_load_b128") +
                     " s[8:11], s[0:1], 0x0\nv_lshlrev_b32 v0, 2, v0\n" +
                     (gfx12 ? "s_wait_kmcnt 0\n" : "s_waitcnt lgkmcnt(0)\n");
  for (unsigned r = 0; r < 32; ++r)
    body += std::string(gfx9 ? "global_load_dword v" : "global_load_b32 v") +
            std::to_string(r + 16) +
            ", v0, s[10:11] offset:" + std::to_string(r * lanes * 4 % 4096) +
            "\n" +
            (r * lanes * 4 % 4096 == 4096 - lanes * 4
                 ? "v_add_u32_e32 v0, 0x1000, v0\n"
                 : "");
  body += gfx12 ? "s_wait_loadcnt 0\n" : "s_waitcnt vmcnt(0)\n";
  body += std::string(u.text) + "\nv_and_b32 v0, 0xfff, v0\n";
  for (unsigned r = 0; r < 16; ++r)
    body += std::string(gfx9 ? "global_store_dword v0, v"
                             : "global_store_b32 v0, v") +
            std::to_string(r + 32) +
            ", s[8:9] offset:" + std::to_string(r * lanes * 4 % 4096) + "\n";
  if (!gfx9)
    for (size_t at; (at = body.find("v_add_u32_e32")) != std::string::npos;)
      body.replace(at, 13, "v_add_nc_u32");
  Loaded l = load(u.chip, assemble(u.chip, {{"unit", body}}));
  ASSERT_TRUE(l.module) << u.text << ": " << l.error;

  std::vector<uint32_t> in(32 * lanes, 0), out(16 * lanes, 0);
  unsigned perLane = 0;
  for (unsigned lane = 0; lane < lanes; ++lane) {
    std::vector<uint32_t> a(8, 0), b(8, 0), c(16, 0);
    unsigned copies = gfx9 || gfx12 ? 1 : 2;
    perLane = u.m * u.k / lanes * copies;
    for (unsigned n = 0; n < perLane; ++n) {
      auto [i, k] = u.in(lane, n);
      place(a, n, u.inBits, encode(valueA(i, k), u.inBits, u.integer, bfloat));
      place(b, n, u.inBits, encode(valueB(k, i), u.inBits, u.integer, bfloat));
    }
    for (unsigned n = 0; n < u.m * u.m / lanes; ++n) {
      auto [i, j] = u.out(lane, n);
      place(c, n, u.outBits,
            encode(valueC(i, j), u.outBits, u.integer, bfloat));
    }
    for (unsigned r = 0; r < 8; ++r) {
      in[r * lanes + lane] = a[r];
      in[(8 + r) * lanes + lane] = b[r];
    }
    for (unsigned r = 0; r < 16; ++r)
      in[(16 + r) * lanes + lane] = c[r];
  }
  const void *args[4] = {out.data(), in.data()};
  Range ranges[2] = {{uint64_t(out.data()), out.size() * 4, true},
                     {uint64_t(in.data()), in.size() * 4, false}};
  Launch launch = {1,           lanes,  0, reinterpret_cast<uint8_t *>(args),
                   sizeof args, ranges, 2, true};
  Counters counters;
  Fault fault;
  ASSERT_TRUE(l.module->find("unit")->run(launch, 0, counters, fault))
      << u.text << ": " << fault.what;
  EXPECT_EQ(counters.matrix, 1u);
  for (unsigned lane = 0; lane < lanes; ++lane)
    for (unsigned n = 0; n < u.m * u.m / lanes; ++n) {
      auto [i, j] = u.out(lane, n);
      int sum = valueC(i, j);
      for (unsigned k = 0; k < u.k; ++k)
        sum += valueA(i, k) * valueB(k, j);
      uint32_t got =
          out[n * u.outBits / 32 * lanes + lane] >> n * u.outBits % 32;
      got &= u.outBits == 32 ? ~0u : 0xffff;
      ASSERT_EQ(got, encode(sum, u.outBits, u.integer, bfloat))
          << u.text << ", lane " << lane << ", element " << n;
    }
}
} // namespace

// CDNA3 ISA, 7.1.4: lanes hold neighbours in K; results groups of four rows.
TEST(AMDMatrix, MFMA) {
  auto in = [](unsigned m, unsigned per) {
    return [=](unsigned l, unsigned n) {
      return std::pair(l % m, l / m * per + n);
    };
  };
  auto out16 = [](unsigned l, unsigned n) {
    return std::pair(4 * (l / 16) + n, l % 16);
  };
  auto out32 = [](unsigned l, unsigned n) {
    return std::pair(8 * (n / 4) + 4 * (l / 32) + n % 4, l % 32);
  };
  std::string unit = "v_mfma_";
  const char *c = "gfx942";
  check({c, "v_mfma_f32_16x16x16_f16 v[32:35], v[16:17], v[24:25], v[32:35]",
         16, 16, 16, 32, false, in(16, 4), out16});
  check({c, "v_mfma_f32_16x16x16_bf16 v[32:35], v[16:17], v[24:25], v[32:35]",
         16, 16, 16, 32, false, in(16, 4), out16});
  check({c, "v_mfma_f32_32x32x8_f16 v[32:47], v[16:17], v[24:25], v[32:47]", 32,
         8, 16, 32, false, in(32, 4), out32});
  check({c, "v_mfma_f32_32x32x8_bf16 v[32:47], v[16:17], v[24:25], v[32:47]",
         32, 8, 16, 32, false, in(32, 4), out32});
  check({c, "v_mfma_f32_16x16x4_f32 v[32:35], v16, v24, v[32:35]", 16, 4, 32,
         32, false, in(16, 1), out16});
  check({c, "v_mfma_f32_32x32x2_f32 v[32:47], v16, v24, v[32:47]", 32, 2, 32,
         32, false, in(32, 1), out32});
  check({c, "v_mfma_i32_16x16x32_i8 v[32:35], v[16:17], v[24:25], v[32:35]", 16,
         32, 8, 32, true, in(16, 8), out16});
  check({c, "v_mfma_i32_32x32x16_i8 v[32:47], v[16:17], v[24:25], v[32:47]", 32,
         16, 8, 32, true, in(32, 8), out32});
  // The result may begin within the addends.
  check({c,
         "v_mfma_f32_16x16x16_f16 v[34:37], v[16:17], v[24:25], v[32:35]\n"
         "s_nop 15\nv_mov_b32 v32, v34\nv_mov_b32 v33, v35\n"
         "v_mov_b32 v34, v36\nv_mov_b32 v35, v37",
         16, 16, 16, 32, false, in(16, 4), out16});
  // Accumulators in their own registers.
  check({c,
         "v_accvgpr_write_b32 a0, v32\nv_accvgpr_write_b32 a1, "
         "v33\nv_accvgpr_write_b32 a2, v34\n"
         "v_accvgpr_write_b32 a3, v35\nv_mfma_f32_16x16x4_f32 a[0:3], v16, "
         "v24, a[0:3]\n"
         "v_accvgpr_read_b32 v32, a0\nv_accvgpr_read_b32 v33, "
         "a1\nv_accvgpr_read_b32 v34, a2\nv_accvgpr_read_b32 v35, a3",
         16, 4, 32, 32, false, in(16, 1), out16});
}

// RDNA3 ISA, 7.9: both halves of the wave hold A and B; rows alternate.
TEST(AMDMatrix, WMMA11) {
  auto in = [](unsigned l, unsigned n) { return std::pair(l % 16, n); };
  auto out = [](unsigned l, unsigned n) {
    return std::pair(2 * n + l / 16, l % 16);
  };
  const char *c = "gfx1100";
  check({c, "v_wmma_f32_16x16x16_f16 v[32:39], v[16:23], v[24:31], v[32:39]",
         16, 16, 16, 32, false, in, out});
  check({c, "v_wmma_f32_16x16x16_bf16 v[32:39], v[16:23], v[24:31], v[32:39]",
         16, 16, 16, 32, false, in, out});
  check({c,
         "v_wmma_i32_16x16x16_iu8 v[32:39], v[16:19], v[24:27], v[32:39] "
         "neg_lo:[1,1,0]",
         16, 16, 8, 32, true, in, out});
}

// RDNA4 ISA, 7.12: halves of the wave hold halves of K, and eight rows each.
TEST(AMDMatrix, WMMA12) {
  auto in = [](unsigned l, unsigned n) {
    return std::pair(l % 16, 8 * (l / 16) + n);
  };
  auto out = [](unsigned l, unsigned n) {
    return std::pair(8 * (l / 16) + n, l % 16);
  };
  const char *c = "gfx1201";
  check({c, "v_wmma_f32_16x16x16_f16 v[32:39], v[16:19], v[24:27], v[32:39]",
         16, 16, 16, 32, false, in, out});
  check({c, "v_wmma_f32_16x16x16_bf16 v[32:39], v[16:19], v[24:27], v[32:39]",
         16, 16, 16, 32, false, in, out});
  check({c, "v_wmma_f16_16x16x16_f16 v[32:35], v[16:19], v[24:27], v[32:35]",
         16, 16, 16, 16, false, in, out});
  check({c,
         "v_wmma_i32_16x16x16_iu8 v[32:39], v[16:17], v[24:25], v[32:39] "
         "neg_lo:[1,1,0]",
         16, 16, 8, 32, true, in, out});
}
