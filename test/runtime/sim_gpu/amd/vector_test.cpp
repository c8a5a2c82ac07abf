//===- vector_test.cpp - vector operations give the documented values -----===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "machine.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

using L = Lane;

static float maxNum(float a, float b) {
  if (std::isnan(a) || std::isnan(b))
    return std::isnan(a) ? b : a;
  return a == b ? (std::signbit(a) ? b : a) : std::max(a, b);
}

TEST(AMDVector, Float) {
  runCases({
      {"add", "9 11 12", "v_add_f32 v0, v4, v8",
       each([](L &l) { l.out[0] = bits(f32(l.a[0]) + f32(l.b[0])); })},
      {"signs", "9 11 12", "v_sub_f32 v0, -v4, |v8|", each([](L &l) {
         l.out[0] = bits(-f32(l.a[0]) - std::fabs(f32(l.b[0])));
       })},
      {"clamp", "9 11 12", "v_mul_f32 v0, v4, v8 clamp", each([](L &l) {
         float x = f32(l.a[0]) * f32(l.b[0]);
         l.out[0] = bits(x > 0 ? std::min(x, 1.0f) : 0.0f);
       })},
      {"omod", "9 11 12", "v_add_f32 v0, v4, 1.0 mul:4",
       each([](L &l) { l.out[0] = bits((f32(l.a[0]) + 1) * 4); })},
      {"fma", "9 11 12", "v_fma_f32 v0, v4, -v8, v12", each([](L &l) {
         l.out[0] = bits(std::fmaf(f32(l.a[0]), -f32(l.b[0]), f32(l.c[0])));
       })},
      {"fmac", "9 11 12", "v_mov_b32 v0, v12\nv_fmac_f32 v0, v4, v8",
       each([](L &l) {
         l.out[0] = bits(std::fmaf(f32(l.a[0]), f32(l.b[0]), f32(l.c[0])));
       })},
      {"fmaak", "11 12", "v_fmaak_f32 v0, v4, v8, 0x40490fdb", each([](L &l) {
         l.out[0] = bits(std::fmaf(f32(l.a[0]), f32(l.b[0]), f32(0x40490fdb)));
       })},
      {"fmamk", "11 12", "v_fmamk_f32 v0, v4, 0x40490fdb, v8", each([](L &l) {
         l.out[0] = bits(std::fmaf(f32(l.a[0]), f32(0x40490fdb), f32(l.b[0])));
       })},
      {"max", "9 11", "v_max_f32 v0, v4, v8",
       each([](L &l) { l.out[0] = bits(maxNum(f32(l.a[0]), f32(l.b[0]))); })},
      {"max_num", "12", "v_max_num_f32 v0, v4, v8",
       each([](L &l) { l.out[0] = bits(maxNum(f32(l.a[0]), f32(l.b[0]))); })},
      {"rndne", "9 11 12", "v_rndne_f32 v0, v4",
       each([](L &l) { l.out[0] = bits(std::nearbyint(f32(l.a[0]))); })},
      {"ldexp", "9 11 12", "v_bfe_i32 v1, v8, 0, 8\nv_ldexp_f32 v0, v4, v1",
       each([](L &l) {
         l.out[0] = bits(std::ldexp(f32(l.a[0]), int8_t(l.b[0])));
       })},
      // NaNs and infinities.
      {"class", "9 11 12",
       "v_mov_b32 v1, 0x207\nv_cmp_class_f32 VCC, v4, v1\n"
       "v_cndmask_b32 v0, 1, v8, VCC",
       each([](L &l) { l.out[0] = std::isfinite(f32(l.a[0])) ? 1 : l.b[0]; })},
      {"inline", "9 11 12", "v_mul_f32 v0, 0.15915494, v4",
       each([](L &l) { l.out[0] = bits(f32(0x3e22f983) * f32(l.a[0])); })},
      {"dual", "11 12",
       "v_dual_add_f32 v0, v4, v8 :: v_dual_mul_f32 v1, v5, v9", each([](L &l) {
         l.out[0] = bits(f32(l.a[0]) + f32(l.b[0]));
         l.out[1] = bits(f32(l.a[1]) * f32(l.b[1]));
       }),
       2},
      // Both halves read before either writes.
      {"dual_swap", "11 12",
       "v_mov_b32 v0, v4\nv_mov_b32 v1, v5\nv_dual_mov_b32 v0, v1 :: "
       "v_dual_mov_b32 v1, v0",
       each([](L &l) { l.out[0] = l.a[1], l.out[1] = l.a[0]; }), 2},
      {"pk_fma_f32", "9",
       "v_pk_fma_f32 v[0:1], v[4:5], v[8:9], v[12:13] op_sel:[1,0,0] "
       "op_sel_hi:[0,1,1]",
       each([](L &l) {
         l.out[0] = bits(std::fmaf(f32(l.a[1]), f32(l.b[0]), f32(l.c[0])));
         l.out[1] = bits(std::fmaf(f32(l.a[0]), f32(l.b[1]), f32(l.c[1])));
       }),
       2},
  });
}

/// The steps that LLVM expands a division to: correctly rounded for any input.
TEST(AMDVector, Division) {
  auto steps = [](const char *t, const char *n, const char *d) {
    std::string s = R"(
v_div_scale_T v[20:21], VCC, D, D, N
v_div_scale_T v[22:23], VCC, N, D, N
v_rcp_T v[24:25], v[20:21]
v_fma_T v[26:27], -v[20:21], v[24:25], 1.0
v_fma_T v[24:25], v[26:27], v[24:25], v[24:25]
v_fma_T v[26:27], -v[20:21], v[24:25], 1.0
v_fma_T v[24:25], v[26:27], v[24:25], v[24:25]
v_mul_T v[28:29], v[22:23], v[24:25]
v_fma_T v[30:31], -v[20:21], v[28:29], v[22:23]
v_fma_T v[28:29], v[30:31], v[24:25], v[28:29]
v_fma_T v[30:31], -v[20:21], v[28:29], v[22:23]
v_div_fmas_T v[24:25], v[30:31], v[24:25], v[28:29]
v_div_fixup_T v[0:1], v[24:25], D, N)";
    auto replace = [&](const std::string &from, const std::string &to) {
      for (size_t at = 0; (at = s.find(from, at)) != std::string::npos;
           at += to.size())
        s.replace(at, from.size(), to);
    };
    replace("_T", std::string("_") + t);
    replace(" D", std::string(" ") + d);
    replace(" N", std::string(" ") + n);
    if (t[1] == '3')
      for (unsigned r = 0; r < 32; r += 2)
        replace("v[" + std::to_string(r) + ":" + std::to_string(r + 1) + "]",
                "v" + std::to_string(r));
    return s;
  };
  auto f = each([](L &l) { l.out[0] = bits(f32(l.a[0]) / f32(l.b[0])); });
  auto d = each([](L &l) { put64(l.out, as<uint64_t>(f64(l.a) / f64(l.b))); });
  // Quotients that are denormal round twice in the last scale: left out.
  auto normal = [](std::vector<L> &lanes) {
    for (L &l : lanes) {
      double q = f64(l.a) / f64(l.b);
      float q32 = f32(l.a[0]) / f32(l.b[0]);
      if (std::isnan(q) || std::fabs(q) < 0x1p-1020)
        put64(l.a, as<uint64_t>(3.0)),
            put64(l.b, as<uint64_t>(double(l.id) + 7));
      else if (std::isnan(q32) || std::fabs(q32) < 0x1p-125f)
        l.a[0] = bits(float(l.id)), l.b[0] = bits(7.0f);
    }
  };
  std::string s32 = steps("f32", "v4", "v8"),
              s64 = steps("f64", "v[4:5]", "v[8:9]");
  runCases({{"f32", "9 11 12", s32, f, 1, normal},
            {"f64", "9 11 12", s64, d, 2, normal, true}});
}

TEST(AMDVector, Wide) {
  runCases({
      {"fma", "9 11 12", "v_fma_f64 v[0:1], v[4:5], v[8:9], -v[12:13]",
       each([](L &l) {
         put64(l.out, as<uint64_t>(std::fma(f64(l.a), f64(l.b), -f64(l.c))));
       }),
       2, nullptr, true},
      {"literal", "11 12", "v_mul_f64 v[0:1], v[4:5], 0x40590000",
       each([](L &l) { put64(l.out, as<uint64_t>(f64(l.a) * 100.0)); }), 2,
       nullptr, true},
      {"lshl", "9", "v_lshl_add_u64 v[0:1], v[4:5], 3, v[8:9]",
       each([](L &l) { put64(l.out, (u64(l.a) << 3) + u64(l.b)); }), 2},
      {"shift", "9 11 12",
       "v_lshlrev_b64 v[0:1], v8, v[4:5]\nv_ashrrev_i64 v[2:3], v9, v[4:5]",
       each([](L &l) {
         put64(l.out, u64(l.a) << (l.b[0] & 63));
         put64(l.out + 2, uint64_t(int64_t(u64(l.a)) >> (l.b[1] & 63)));
       }),
       4},
      {"mad_9", "9",
       "v_mad_u64_u32 v[0:1], vcc, v4, v8, v[12:13]\nv_mad_i64_i32 v[2:3], "
       "vcc, v4, v8, v[12:13]",
       each([](L &l) {
         put64(l.out, uint64_t(l.a[0]) * l.b[0] + u64(l.c));
         put64(l.out + 2,
               uint64_t(int64_t(int32_t(l.a[0])) * int32_t(l.b[0])) + u64(l.c));
       }),
       4},
      {"mad_11", "11 12", "v_mad_u64_u32 v[0:1], null, v4, v8, v[12:13]",
       each([](L &l) { put64(l.out, uint64_t(l.a[0]) * l.b[0] + u64(l.c)); }),
       2},
      {"sum_9", "9",
       "v_add_co_u32 v0, vcc, v4, v8\nv_addc_co_u32 v1, vcc, v5, v9, vcc",
       each([](L &l) { put64(l.out, u64(l.a) + u64(l.b)); }), 2},
      {"sum_11", "11 12",
       "v_sub_co_u32 v0, s20, v4, v8\nv_sub_co_ci_u32 v1, null, v5, v9, s20",
       each([](L &l) { put64(l.out, u64(l.a) - u64(l.b)); }), 2},
  });
}

/// Conversions saturate; NaN is 0.
TEST(AMDVector, Convert) {
  auto to32 = [](double x) {
    return std::isnan(x)        ? 0
           : x <= -2147483648.0 ? INT32_MIN
           : x >= 2147483647.0  ? INT32_MAX
                                : int32_t(x);
  };
  auto toU32 = [](double x) {
    return std::isnan(x) || x <= 0 ? 0u : x >= 4294967295.0 ? ~0u : uint32_t(x);
  };
  runCases({
      {"f32", "9 11 12",
       "v_cvt_i32_f32 v0, v4\nv_cvt_u32_f32 v1, v4\nv_cvt_f32_i32 v2, "
       "v8\nv_cvt_f32_u32 v3, v8",
       each([=](L &l) {
         l.out[0] = uint32_t(to32(f32(l.a[0])));
         l.out[1] = toU32(f32(l.a[0]));
         l.out[2] = bits(float(int32_t(l.b[0])));
         l.out[3] = bits(float(l.b[0]));
       }),
       4},
      {"f64", "9 11 12",
       "v_cvt_i32_f64 v0, v[4:5]\nv_cvt_u32_f64 v1, v[4:5]\nv_cvt_f64_i32 "
       "v[2:3], v8",
       each([=](L &l) {
         l.out[0] = uint32_t(to32(f64(l.a)));
         l.out[1] = toU32(f64(l.a));
         put64(l.out + 2, as<uint64_t>(double(int32_t(l.b[0]))));
       }),
       4},
      {"exact", "9 11 12",
       "v_cvt_f64_f32 v[2:3], v4\nv_cvt_f32_f64 v0, v[2:3]\nv_mov_b32 v2, "
       "0\nv_mov_b32 v3, 0",
       each([](L &l) { l.out[0] = l.a[0]; }), 1},
      {"byte", "9 11 12", "v_cvt_f32_ubyte0 v0, v4\nv_cvt_f32_ubyte3 v1, v4",
       each([](L &l) {
         l.out[0] = bits(float(l.a[0] & 255));
         l.out[1] = bits(float(l.a[0] >> 24));
       }),
       2},
  });
}

TEST(AMDVector, Integer) {
  runCases({
      {"bits", "9 11 12",
       "v_bfe_u32 v0, v4, 5, 9\nv_bfe_i32 v1, v4, 5, 9\nv_bfi_b32 v2, v4, v8, "
       "v12\nv_alignbit_b32 v3, v4, v8, 7",
       each([](L &l) {
         l.out[0] = l.a[0] >> 5 & 511;
         l.out[1] = uint32_t(int32_t(l.a[0] << 18) >> 23);
         l.out[2] = (l.a[0] & l.b[0]) | (~l.a[0] & l.c[0]);
         l.out[3] = l.b[0] >> 7 | l.a[0] << 25;
       }),
       4},
      {"perm", "9 11 12", "v_mov_b32 v1, 0x0c0d0502\nv_perm_b32 v0, v4, v8, v1",
       each([](L &l) {
         l.out[0] =
             0x00ff0000 | (l.a[0] >> 8 & 255) << 8 | (l.b[0] >> 16 & 255);
       }),
       1},
      {"mul", "9 11 12",
       "v_mul_lo_u32 v0, v4, v8\nv_mul_hi_u32 v1, v4, v8\nv_mul_hi_i32 v2, v4, "
       "v8\nv_mad_i32_i24 v3, v4, v8, v12",
       each([](L &l) {
         l.out[0] = l.a[0] * l.b[0];
         l.out[1] = uint32_t(uint64_t(l.a[0]) * l.b[0] >> 32);
         l.out[2] = uint32_t(int64_t(int32_t(l.a[0])) * int32_t(l.b[0]) >> 32);
         l.out[3] = uint32_t(int32_t(l.a[0] << 8) >> 8) *
                        uint32_t(int32_t(l.b[0] << 8) >> 8) +
                    l.c[0];
       }),
       4},
      {"count_9", "9",
       "v_ffbh_u32 v0, v4\nv_ffbh_i32 v1, v4\nv_ffbl_b32 v2, "
       "v4\nv_bcnt_u32_b32 v3, v4, v8",
       each([](L &l) {
         uint32_t x = l.a[0], y = int32_t(x) < 0 ? ~x : x;
         l.out[0] = x ? uint32_t(__builtin_clz(x)) : ~0u;
         l.out[1] = y ? uint32_t(__builtin_clz(y)) : ~0u;
         l.out[2] = x ? uint32_t(__builtin_ctz(x)) : ~0u;
         l.out[3] = uint32_t(__builtin_popcount(x)) + l.b[0];
       }),
       4},
      {"saturate_9", "9",
       "v_add_u32 v0, v4, v8 clamp\nv_sub_u32 v1, v4, v8 clamp\nv_add_i32 v2, "
       "v4, v8 clamp",
       each([](L &l) {
         uint64_t sum = uint64_t(l.a[0]) + l.b[0];
         int64_t s = int64_t(int32_t(l.a[0])) + int32_t(l.b[0]);
         l.out[0] = uint32_t(std::min<uint64_t>(sum, ~0u));
         l.out[1] = l.a[0] > l.b[0] ? l.a[0] - l.b[0] : 0;
         l.out[2] = uint32_t(
             std::min<int64_t>(std::max<int64_t>(s, INT32_MIN), INT32_MAX));
       }),
       3},
      {"med3", "9 11 12",
       "v_med3_i32 v0, v4, v8, v12\nv_min3_u32 v1, v4, v8, v12", each([](L &l) {
         int32_t x[3] = {int32_t(l.a[0]), int32_t(l.b[0]), int32_t(l.c[0])};
         std::sort(x, x + 3);
         l.out[0] = uint32_t(x[1]);
         l.out[1] = std::min(std::min(l.a[0], l.b[0]), l.c[0]);
       }),
       2},
  });
}
