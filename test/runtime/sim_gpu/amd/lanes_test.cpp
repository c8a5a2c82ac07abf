//===- lanes_test.cpp - halves, packed operations and operations between lanes
//===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "machine.h"

#include <cmath>
#include <gtest/gtest.h>

using L = Lane;

/// IEEE half to float and back, by the compiler's own type.
static float half(uint32_t x) {
  uint32_t e = x >> 10 & 31, m = x & 1023;
  float v = e == 31 ? (m ? NAN : INFINITY)
            : e     ? std::ldexp(1024.0f + float(m), int(e) - 25)
                    : std::ldexp(float(m), -24);
  return x & 0x8000 ? -v : v;
}
/// Nearest even among all finite halves, by search: slow and certain.
static uint32_t toHalf(double x) {
  if (std::isnan(x))
    return 0x7e00;
  uint32_t sign = std::signbit(x) ? 0x8000 : 0, low = 0, high = 0x7c00;
  double v = std::fabs(x);
  while (high - low > 1) {
    uint32_t middle = (low + high) / 2;
    (double(half(middle)) <= v ? low : high) = middle;
  }
  double next = high == 0x7c00 ? 65536.0 : half(high);
  double down = v - half(low), up = next - v;
  return sign | (down < up || (down == up && !(low & 1)) ? low : high);
}
static bool sameHalf(uint32_t a, uint32_t b) { return a == b; }

/// Inputs whose halves are finite numbers.
static void halves(std::vector<L> &lanes) {
  for (L &l : lanes)
    for (uint32_t *v : {l.a, l.b, l.c})
      for (unsigned k = 0; k < 4; ++k)
        v[k] &= 0xbbffbbff; // no infinities, no NaNs
}
static uint32_t low(uint32_t x) { return x & 0xffff; }
static uint32_t high(uint32_t x) { return x >> 16; }
static uint32_t pair(uint32_t l, uint32_t h) { return h << 16 | l; }

TEST(AMDLanes, Half) {
  ASSERT_TRUE(sameHalf(toHalf(1.0), 0x3c00) &&
              sameHalf(toHalf(65520.0), 0x7c00) && toHalf(0x1p-25) == 0);
  runCases({
      // gfx9 clears the high half.
      {"add_9", "9", "v_mov_b32 v0, -1\nv_add_f16 v0, v4, v8", each([](L &l) {
         l.out[0] = toHalf(half(low(l.a[0])) + half(low(l.b[0])));
       }),
       1, halves},
      {"fma", "9 12",
       "v_mov_b32 v0, -1\nv_fma_f16 v0, v4, v8, v12 op_sel:[1,0,0,0]",
       each([](L &l) {
         l.out[0] = pair(toHalf(double(half(high(l.a[0]))) * half(low(l.b[0])) +
                                half(low(l.c[0]))),
                         0xffff);
       }),
       1, halves},
      {"add_11", "11", "v_mov_b32 v0, -1\nv_add_f16 v0.l, v4.h, v8.l",
       each([](L &l) {
         l.out[0] =
             pair(toHalf(half(high(l.a[0])) + half(low(l.b[0]))), 0xffff);
       }),
       1, halves},
      {"high_11", "11", "v_mov_b32 v0, -1\nv_mul_f16 v0.h, v4.h, v8.l",
       each([](L &l) {
         l.out[0] =
             pair(0xffff, toHalf(half(high(l.a[0])) * half(low(l.b[0]))));
       }),
       1, halves},
      {"int_11", "11",
       "v_add_nc_u16 v0.l, v4.h, v8.l\nv_mul_lo_u16 v1.h, v4.l, 3",
       each([](L &l) {
         l.out[0] = low(high(l.a[0]) + l.b[0]);
         l.out[1] = pair(0, low(l.a[0] * 3));
       }),
       2},
      {"high_12", "12", "v_add_nc_u16 v0, v4, v8 op_sel:[1,0,1]",
       each([](L &l) { l.out[0] = pair(0, low(high(l.a[0]) + l.b[0])); })},
      {"convert", "9", "v_cvt_f16_f32 v0, v4\nv_cvt_f32_f16 v1, v8",
       each([](L &l) {
         l.out[0] = toHalf(f32(l.a[0]));
         l.out[1] = bits(half(low(l.b[0])));
       }),
       2, halves},
      {"pk", "9 11 12",
       "v_pk_fma_f16 v0, v4, v8, v12 op_sel:[1,0,0] op_sel_hi:[0,1,1] "
       "neg_lo:[0,1,0]",
       each([](L &l) {
         auto f = [](uint32_t a, uint32_t b, uint32_t c) {
           return toHalf(double(half(a)) * half(b) + half(c));
         };
         l.out[0] = pair(f(high(l.a[0]), low(l.b[0]) ^ 0x8000, low(l.c[0])),
                         f(low(l.a[0]), high(l.b[0]), high(l.c[0])));
       }),
       1, halves},
      {"pk_int", "9 11 12",
       "v_pk_add_u16 v0, v4, v8\nv_pk_mul_lo_u16 v1, v4, v8", each([](L &l) {
         l.out[0] =
             pair(low(l.a[0] + l.b[0]), low(high(l.a[0]) + high(l.b[0])));
         l.out[1] =
             pair(low(l.a[0] * l.b[0]), low(high(l.a[0]) * high(l.b[0])));
       }),
       2},
      {"mix", "9 11 12",
       "v_fma_mix_f32 v0, v4, v8, -v12 op_sel:[1,0,0] op_sel_hi:[1,1,0]",
       each([](L &l) {
         l.out[0] = bits(
             std::fmaf(half(high(l.a[0])), half(low(l.b[0])), -f32(l.c[0])));
       }),
       1, halves},
  });
}

TEST(AMDLanes, SDWA) {
  runCases({
      {"bytes", "9",
       "v_add_u32_sdwa v0, v4, v8 dst_sel:DWORD dst_unused:UNUSED_PAD "
       "src0_sel:BYTE_1 src1_sel:WORD_1",
       each([](L &l) { l.out[0] = (l.a[0] >> 8 & 255) + (l.b[0] >> 16); })},
      {"signs", "9",
       "v_add_u32_sdwa v0, sext(v4), v8 dst_sel:DWORD dst_unused:UNUSED_PAD "
       "src0_sel:BYTE_3 src1_sel:DWORD",
       each([](L &l) { l.out[0] = uint32_t(int32_t(l.a[0]) >> 24) + l.b[0]; })},
      {"keep", "9",
       "v_mov_b32 v0, v12\nv_or_b32_sdwa v0, v4, v8 dst_sel:WORD_1 "
       "dst_unused:UNUSED_PRESERVE src0_sel:DWORD "
       "src1_sel:BYTE_0",
       each([](L &l) {
         l.out[0] = pair(low(l.c[0]), low(l.a[0] | (l.b[0] & 255)));
       })},
      {"pad", "9",
       "v_mov_b32 v0, -1\nv_or_b32_sdwa v0, v4, v8 dst_sel:BYTE_2 "
       "dst_unused:UNUSED_PAD src0_sel:DWORD src1_sel:DWORD",
       each([](L &l) { l.out[0] = ((l.a[0] | l.b[0]) & 255) << 16; })},
  });
}

/// Expected values that look at other lanes' inputs.
static std::function<void(std::vector<L> &)>
from(std::function<int(unsigned)> source, bool zero) {
  return [=](std::vector<L> &lanes) {
    for (L &l : lanes) {
      int s = source(l.id);
      l.out[0] = s >= 0 ? lanes[unsigned(s)].a[0] : zero ? 0 : l.b[0];
    }
  };
}

TEST(AMDLanes, DPP) {
  std::string old = "v_mov_b32 v0, v8\ns_nop 4\n",
              mask = " row_mask:0xf bank_mask:0xf";
  auto quad = [](unsigned l) {
    return int((l & ~3u) | (l & 3 ? (l & 3) - 1 : 3));
  };
  auto shr = [](unsigned l) { return (l & 15) < 3 ? -1 : int(l - 3); };
  runCases({
      {"quad", "9 11 12",
       old + "v_mov_b32_dpp v0, v4 quad_perm:[3,0,1,2]" + mask,
       from(quad, false)},
      {"shr", "9 11 12", old + "v_mov_b32_dpp v0, v4 row_shr:3" + mask,
       from(shr, false)},
      {"shr_zero", "9 11 12",
       old + "v_mov_b32_dpp v0, v4 row_shr:3" + mask + " bound_ctrl:1",
       from(shr, true)},
      {"ror", "9 11 12", old + "v_mov_b32_dpp v0, v4 row_ror:5" + mask,
       from([](unsigned l) { return int((l & ~15u) | ((l - 5) & 15)); },
            false)},
      {"mirror", "9 11 12", old + "v_mov_b32_dpp v0, v4 row_half_mirror" + mask,
       from([](unsigned l) { return int(l ^ 7); }, false)},
      {"share", "11 12", old + "v_mov_b32_dpp v0, v4 row_share:9" + mask,
       from([](unsigned l) { return int((l & ~15u) | 9); }, false)},
      {"newbcast", "9", old + "v_mov_b32_dpp v0, v4 row_newbcast:9" + mask,
       from([](unsigned l) { return int((l & ~15u) | 9); }, false)},
      {"xmask", "11 12", old + "v_mov_b32_dpp v0, v4 row_xmask:6" + mask,
       from([](unsigned l) { return int(l ^ 6); }, false)},
      {"bcast", "9",
       old + "v_mov_b32_dpp v0, v4 row_bcast:15 row_mask:0xa bank_mask:0xf",
       from([](unsigned l) { return l / 16 % 2 ? int(l / 16 * 16) - 1 : -1; },
            false)},
      {"rows", "9 11 12",
       old + "v_mov_b32_dpp v0, v4 quad_perm:[0,1,2,3] row_mask:0x1 "
             "bank_mask:0x5",
       from([](unsigned l) { return l < 16 && !(l & 4) ? int(l) : -1; },
            false)},
      {"eight", "11 12", old + "v_mov_b32_dpp v0, v4 dpp8:[7,6,5,4,3,2,1,0]",
       from([](unsigned l) { return int(l ^ 7); }, false)},
  });
}

TEST(AMDLanes, Between) {
  runCases({
      {"first", "9 11 12",
       "v_readfirstlane_b32 s20, v4\nv_readlane_b32 s21, v4, 5\nv_mov_b32 v0, "
       "s20\nv_mov_b32 v1, s21",
       [](std::vector<L> &lanes) {
         for (L &l : lanes)
           l.out[0] = lanes[0].a[0], l.out[1] = lanes[5].a[0];
       },
       2},
      {"write", "9 11 12",
       "v_mov_b32 v0, v4\ns_mov_b32 s20, 77\nv_writelane_b32 v0, s20, 9",
       each([](L &l) { l.out[0] = l.id == 9 ? 77 : l.a[0]; })},
      {"permlane", "11 12",
       "s_mov_b32 s20, 0x76543210\ns_mov_b32 s21, "
       "0xfedcba98\nv_permlanex16_b32 v0, v4, s20, s21",
       from([](unsigned l) { return int(l ^ 16); }, false)},
      {"below", "9 11 12",
       "v_mbcnt_lo_u32_b32 v0, -1, 0\nv_mbcnt_hi_u32_b32 v0, -1, v0",
       each([](L &l) { l.out[0] = l.id; })},
      // Lanes that are off keep what they had.
      {"exec", "9",
       "v_mov_b32 v0, v8\nv_cmp_gt_u32 vcc, 7, v16\ns_and_saveexec_b64 "
       "s[20:21], vcc\n"
       "v_mov_b32 v0, v4\ns_mov_b64 exec, s[20:21]",
       from([](unsigned l) { return l < 7 ? int(l) : -1; }, false)},
      {"exec_32", "11 12",
       "v_mov_b32 v0, v8\ns_mov_b32 s20, exec_lo\nv_cmpx_gt_u32 7, v16\n"
       "v_mov_b32 v0, v4\ns_mov_b32 exec_lo, s20",
       from([](unsigned l) { return l < 7 ? int(l) : -1; }, false)},
  });
}

TEST(AMDLanes, Scalar) {
  auto same = [](uint32_t a, uint32_t b) {
    return each([=](L &l) { l.out[0] = a, l.out[1] = b; });
  };
  std::string out = "\nv_mov_b32 v0, s20\nv_mov_b32 v1, s21";
  runCases({
      {"wide", "9 11 12",
       "s_mov_b32 s22, -1\ns_mov_b32 s23, 5\ns_add_u32 s20, s22, 3\ns_addc_u32 "
       "s21, s23, 0" +
           out,
       same(2, 6), 2},
      {"borrow", "9 11 12",
       "s_mov_b32 s22, 1\ns_mov_b32 s23, 5\ns_sub_u32 s20, s22, 3\ns_subb_u32 "
       "s21, s23, 0" +
           out,
       same(~1u, 4), 2},
      {"field", "9 11 12",
       "s_mov_b32 s22, 0x12345678\ns_bfe_u32 s20, s22, 0x80008\ns_bfe_i32 s21, "
       "s22, 0x40007" +
           out,
       same(0x56, ~3u), 2},
      {"shift", "9 11 12",
       "s_mov_b32 s22, 0x80000001\ns_mov_b32 s23, 1\ns_lshl_b64 s[20:21], "
       "s[22:23], 1" +
           out,
       same(2, 3), 2},
      {"k", "9 11",
       "s_movk_i32 s20, 0xff00\ns_mov_b32 s21, 10\ns_addk_i32 s21, 0xfff6" +
           out,
       same(0xffffff00, 0), 2},
      {"float", "12",
       "s_mov_b32 s22, 2.0\ns_mul_f32 s20, s22, 0.5\ns_cvt_i32_f32 s21, s22" +
           out,
       same(0x3f800000, 2), 2},
      {"loop", "9 11 12",
       "s_mov_b32 s20, 0\ns_mov_b32 s21, 0\n1:\ns_add_u32 s20, s20, "
       "s21\ns_add_u32 s21, s21, 1\n"
       "s_cmp_lt_u32 s21, 10\ns_cbranch_scc1 1b" +
           out,
       same(45, 10), 2},
      {"mulhi", "9 11 12",
       "s_mov_b32 s22, 0x80000000\ns_mul_hi_u32 s20, s22, s22\ns_mul_hi_i32 "
       "s21, s22, 2" +
           out,
       same(0x40000000, ~0u), 2},
  });
}
