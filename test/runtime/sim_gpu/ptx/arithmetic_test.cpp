//===- arithmetic_test.cpp - instructions, by their results ---------------===//
//
// Expected values are the host's, or constants of the ISA's text; each body
// runs on all pairs of a few numbers that matter.
//
//===----------------------------------------------------------------------===//
#include "machine.h"

#include <cmath>
#include <gtest/gtest.h>

namespace {

using U = uint64_t;

/// Runs `body`, which makes the result of %rd1 and %rd2 (and their low halves
/// %r1, %r2 and quarters %h1, %h2) in %rd3, %r3 or %h3.
void check(const std::string &body, const std::vector<U> &numbers,
           const std::function<U(U, U)> &expect, const char *result = "%rd3",
           bool nan32 = false) {
  size_t n = numbers.size();
  std::vector<uint8_t> in(n * n * 16), out(n * n * 8);
  for (size_t i = 0; i < n * n; ++i) {
    std::memcpy(in.data() + i * 16, &numbers[i / n], 8);
    std::memcpy(in.data() + i * 16 + 8, &numbers[i % n], 8);
  }
  std::string wide = result[1] == 'r' && result[2] == 'd' ? ""
                     : result[1] == 'h' ? "cvt.u64.u16 %rd3, %h3;\n"
                                        : "cvt.u64.u32 %rd3, %r3;\n";
  std::string all =
      std::string(registers) +
      "ld.param.u64 %rd10, [p0]; ld.param.u64 %rd11, [p1];\n"
      "mov.u32 %r10, %ctaid.x; mad.lo.u32 %r10, %r10, 32, %r0;\n"
      "setp.ge.u32 %p1, %r10, " +
      std::to_string(n * n) +
      "; @%p1 bra END;\n"
      "mul.wide.u32 %rd12, %r10, 16; add.s64 %rd10, %rd10, %rd12;\n"
      "mul.wide.u32 %rd12, %r10, 8; add.s64 %rd11, %rd11, %rd12;\n"
      "ld.global.v2.u64 {%rd1, %rd2}, [%rd10];\n"
      "cvt.u32.u64 %r1, %rd1; cvt.u32.u64 %r2, %rd2;\n"
      "cvt.u16.u64 %h1, %rd1; cvt.u16.u64 %h2, %rd2;\n" +
      body + "\n" + wide + "st.global.u64 [%rd11], %rd3;\nEND: ret;";
  auto groups = static_cast<uint32_t>((n * n + 31) / 32);
  Ran r = run({all, "", 2, 32}, {{&in, false}, {&out, true}}, true, groups);
  ASSERT_TRUE(r.ok) << r.what << "\n" << body;
  for (size_t i = 0; i < n * n; ++i) {
    U got, want = expect(numbers[i / n], numbers[i % n]);
    std::memcpy(&got, out.data() + i * 8, 8);
    if (nan32 && std::isnan(as<float>(uint32_t(want))))
      want = 0x7fffffff;
    EXPECT_EQ(got, want) << body << std::hex << " of " << numbers[i / n]
                         << " and " << numbers[i % n];
  }
}

const std::vector<U> integers = {0,
                                 1,
                                 2,
                                 3,
                                 7,
                                 31,
                                 32,
                                 63,
                                 64,
                                 100,
                                 255,
                                 0x7f,
                                 0x80,
                                 0x7fff,
                                 0x8000,
                                 0xffff,
                                 0x12345678,
                                 0x7fffffff,
                                 0x80000000,
                                 0xffffffff,
                                 0x123456789abcdef0,
                                 0x7fffffffffffffff,
                                 0x8000000000000000,
                                 ~U(0),
                                 ~U(0) - 6};

U f(float v) { return as<uint32_t>(v); }
float g(U v) { return as<float>(uint32_t(v)); }
const std::vector<U> floats = {f(0),
                               f(-0.0f),
                               f(1),
                               f(-1),
                               f(1.5f),
                               f(0.1f),
                               f(-3.75f),
                               f(2.5f),
                               f(3.5f),
                               f(1e30f),
                               f(-1e30f),
                               f(1e-40f),
                               f(-1e-45f),
                               f(3.4e38f),
                               f(INFINITY),
                               f(-INFINITY),
                               f(NAN),
                               f(16777220),
                               f(2147483648.0f),
                               f(65519.0f),
                               f(65520.0f),
                               f(1.0009765f),
                               f(6e-8f),
                               f(2.9e-8f)};
U d(double v) { return as<U>(v); }
double e(U v) { return as<double>(v); }
const std::vector<U> doubles = {
    d(0),         d(-0.0),   d(1),       d(-1.25),       d(0.1),
    d(2.5),       d(-3.5),   d(1e300),   d(1e-310),      d(INFINITY),
    d(-INFINITY), d(9.3e18), d(-9.3e18), d(4294967295.5)};

TEST(SimPtx, Integers) {
  check("add.s64 %rd3, %rd1, %rd2;", integers, [](U a, U b) { return a + b; });
  check(
      "sub.s32 %r3, %r1, %r2;", integers,
      [](U a, U b) { return uint32_t(a - b); }, "%r3");
  check(
      "mul.lo.s16 %h3, %h1, %h2;", integers,
      [](U a, U b) { return uint16_t(uint32_t(a) * uint32_t(b)); }, "%h3");
  check("mul.hi.u64 %rd3, %rd1, %rd2;", integers,
        [](U a, U b) { return U((unsigned __int128)(a)*b >> 64); });
  check(
      "mul.hi.s32 %r3, %r1, %r2;", integers,
      [](U a, U b) { return uint32_t(int64_t(int32_t(a)) * int32_t(b) >> 32); },
      "%r3");
  check("mul.wide.s32 %rd3, %r1, %r2;", integers,
        [](U a, U b) { return U(int64_t(int32_t(a)) * int32_t(b)); });
  check(
      "mul.wide.u16 %r3, %h1, %h2;", integers,
      [](U a, U b) { return uint32_t(uint16_t(a)) * uint16_t(b); }, "%r3");
  check("mad.lo.s64 %rd3, %rd1, %rd2, %rd1;", integers,
        [](U a, U b) { return a * b + a; });
  check("div.u64 %rd3, %rd1, %rd2;", integers,
        [](U a, U b) { return b ? a / b : ~U(0); });
  check(
      "rem.s32 %r3, %r1, %r2;", integers,
      [](U a, U b) {
        auto x = int32_t(a), y = int32_t(b);
        return uint32_t(y == 0 ? x : y == -1 ? 0 : x % y);
      },
      "%r3");
  check("min.s64 %rd3, %rd1, %rd2;", integers,
        [](U a, U b) { return int64_t(a) < int64_t(b) ? a : b; });
  check(
      "max.u16 %h3, %h1, %h2;", integers,
      [](U a, U b) { return std::max(uint16_t(a), uint16_t(b)); }, "%h3");
  check(
      "abs.s32 %r3, %r1;", integers,
      [](U a, U) { return uint32_t(int32_t(a) < 0 ? 0 - a : a); }, "%r3");
}

TEST(SimPtx, Bits) {
  check("shl.b64 %rd3, %rd1, %r2;", integers,
        [](U a, U b) { return uint32_t(b) > 63 ? 0 : a << uint32_t(b); });
  check(
      "shr.s32 %r3, %r1, %r2;", integers,
      [](U a, U b) {
        return uint32_t(int32_t(a) >> (uint32_t(b) > 31 ? 31 : uint32_t(b)));
      },
      "%r3");
  check(
      "shr.u16 %h3, %h1, %r2;", integers,
      [](U a, U b) {
        return uint32_t(b) > 15 ? 0 : uint16_t(a) >> uint32_t(b);
      },
      "%h3");
  check(
      "popc.b64 %r3, %rd1;", integers,
      [](U a, U) { return U(__builtin_popcountll(a)); }, "%r3");
  check(
      "clz.b32 %r3, %r1;", integers,
      [](U a, U) { return U(uint32_t(a) ? __builtin_clz(uint32_t(a)) : 32); },
      "%r3");
  check(
      "brev.b32 %r3, %r1; brev.b32 %r3, %r3;", integers,
      [](U a, U) { return uint32_t(a); }, "%r3");
  check(
      "bfe.u32 %r3, %r1, 5, 9;", integers,
      [](U a, U) { return uint32_t(a) >> 5 & 511; }, "%r3");
  check("bfe.s64 %rd3, %rd1, 60, 9;", integers,
        [](U a, U) { return U(int64_t(a) >> 60); });
  check(
      "bfi.b32 %r3, %r1, %r2, 8, 16;", integers,
      [](U a, U b) {
        return (uint32_t(b) & 0xff0000ff) | (uint32_t(a) & 0xffff) << 8;
      },
      "%r3");
  check(
      "lop3.b32 %r3, %r1, %r2, 12345, 0x96;", integers,
      [](U a, U b) { return uint32_t(a ^ b ^ 12345); }, "%r3");
  check(
      "shf.l.wrap.b32 %r3, %r1, %r2, 7;", integers,
      [](U a, U b) { return uint32_t(b) << 7 | uint32_t(a) >> 25; }, "%r3");
  check(
      "prmt.b32 %r3, %r1, %r2, 0x5410;", integers,
      [](U a, U b) { return (uint32_t(a) & 0xffff) | uint32_t(b) << 16; },
      "%r3");
  check(
      "mov.b32 {%h4, %h5}, %r1; mov.b32 %r3, {%h5, %h4};", integers,
      [](U a, U) { return uint32_t(a) << 16 | uint32_t(a) >> 16; }, "%r3");
}

TEST(SimPtx, Predicates) {
  check(
      "setp.lt.s32 %p2|%p3, %r1, %r2; selp.b32 %r3, 5, 6, %p2;"
      "@%p3 add.s32 %r3, %r3, 10;",
      integers, [](U a, U b) { return U(int32_t(a) < int32_t(b) ? 5 : 16); },
      "%r3");
  check("setp.gt.u64 %p2, %rd1, 99; setp.eq.or.b64 %p3, %rd1, %rd2, !%p2;"
        "selp.u64 %rd3, 1, 0, %p3;",
        integers, [](U a, U b) { return U(a == b || a <= 99); });
  check("setp.ne.b32 %p2, %r1, 0; setp.ne.b32 %p3, %r2, 0;"
        "xor.pred %p4, %p2, %p3; not.pred %p4, %p4; selp.u64 %rd3, 1, 0, %p4;",
        integers,
        [](U a, U b) { return U((uint32_t(a) != 0) == (uint32_t(b) != 0)); });
  for (bool unordered : {false, true})
    check(std::string("setp.lt") + (unordered ? "u" : "") +
              ".f32 %p2, %r1, %r2; selp.u64 %rd3, 1, 0, %p2;",
          floats, [=](U a, U b) {
            return U(std::isnan(g(a)) || std::isnan(g(b)) ? unordered
                                                          : g(a) < g(b));
          });
}

TEST(SimPtx, Floats) {
  check(
      "add.rn.f32 %r3, %r1, %r2;", floats,
      [](U a, U b) { return f(g(a) + g(b)); }, "%r3", true);
  check(
      "mul.f32 %r3, %r1, %r2;", floats, [](U a, U b) { return f(g(a) * g(b)); },
      "%r3", true);
  check(
      "fma.rn.f32 %r3, %r1, %r2, %r1;", floats,
      [](U a, U b) { return f(std::fma(g(a), g(b), g(a))); }, "%r3", true);
  check(
      "div.rn.f32 %r3, %r1, %r2;", floats,
      [](U a, U b) { return f(g(a) / g(b)); }, "%r3", true);
  check(
      "sqrt.rn.f32 %r3, %r1;", floats,
      [](U a, U) { return f(std::sqrt(g(a))); }, "%r3", true);
  check(
      "min.f32 %r3, %r1, %r2;", floats,
      [](U a, U b) {
        if (std::isnan(g(a)) || std::isnan(g(b)))
          return std::isnan(g(a)) ? b : a;
        return g(a) == g(b) ? a | b : g(a) < g(b) ? a : b; // -0 | +0 is -0
      },
      "%r3", true);
  check(
      "add.ftz.f32 %r3, %r1, %r2;", {f(1e-40f), f(1), f(0)},
      [](U a, U b) {
        return f((g(a) == 1 ? 1.0f : 0) + (g(b) == 1 ? 1.0f : 0));
      },
      "%r3");
  check("fma.rn.f64 %rd3, %rd1, %rd2, %rd1;", {d(0.1), d(3), d(1e300), d(-7)},
        [](U a, U b) { return d(std::fma(e(a), e(b), e(a))); });
  check(
      "ex2.approx.ftz.f32 %r3, %r1;", {f(0), f(3), f(-4), f(-200)},
      [](U a, U) { return f(g(a) == -200 ? 0 : std::exp2(g(a))); }, "%r3");
  check(
      "copysign.f32 %r3, %r1, %r2;", {f(-2), f(3), f(0)},
      [](U a, U b) { return f(std::copysign(g(b), g(a))); }, "%r3");
}

TEST(SimPtx, Conversions) {
  check(
      "cvt.rzi.s32.f32 %r3, %r1;", floats,
      [](U a, U) -> U {
        float v = g(a);
        return uint32_t(std::isnan(v)         ? 0
                        : v >= 2147483648.0f  ? INT32_MAX
                        : v <= -2147483648.0f ? INT32_MIN
                                              : int32_t(v));
      },
      "%r3");
  check("cvt.rni.s64.f64 %rd3, %rd1;", doubles, [](U a, U) -> U {
    double v = std::nearbyint(e(a));
    return U(v >= 0x1p63 ? INT64_MAX : v < -0x1p63 ? INT64_MIN : int64_t(v));
  });
  check(
      "cvt.rzi.u32.f64 %r3, %rd1;", doubles,
      [](U a, U) -> U {
        double v = e(a);
        return v >= 4294967295.0 ? UINT32_MAX : v < 0 ? 0 : uint32_t(v);
      },
      "%r3");
  check(
      "cvt.rmi.f32.f32 %r3, %r1;", floats,
      [](U a, U) { return f(std::floor(g(a))); }, "%r3", true);
  check(
      "cvt.rn.f32.u64 %r3, %rd1;", integers,
      [](U a, U) { return f(static_cast<float>(a)); }, "%r3");
  check(
      "cvt.rn.f32.f64 %r3, %rd1;", doubles,
      [](U a, U) { return f(static_cast<float>(e(a))); }, "%r3");
  check("cvt.s64.s8 %rd3, %r1;", integers,
        [](U a, U) { return U(int64_t(int8_t(a))); });
  check(
      "cvt.sat.u8.s32 %r3, %r1;", integers,
      [](U a, U) -> U {
        auto v = int32_t(a);
        return v < 0 ? 0 : v > 255 ? 255 : U(v);
      },
      "%r3");
}

/// The nearest half, by search: of two that are as near the even one.
U nearestHalf(float v) {
  if (std::isnan(v))
    return 0x7fff;
  U sign = std::signbit(v) ? 0x8000 : 0, best = 0;
  double a = std::fabs(double(v)), distance = INFINITY;
  for (U h = 0; h <= 0x7c00; ++h) {
    U exponent = h >> 10, m = h & 1023;
    // What would be infinity is 2^16 as far as rounding is concerned.
    double x = exponent ? std::ldexp(1024.0 + double(m), int(exponent) - 25)
                        : std::ldexp(double(m), -24);
    double far = std::isinf(a) ? (h == 0x7c00 ? 0 : 1) : std::fabs(x - a);
    if (far < distance || (far == distance && !(h & 1))) {
      distance = far;
      best = h;
    }
  }
  return sign | best;
}

TEST(SimPtx, Halves) {
  check(
      "cvt.rn.f16.f32 %h3, %r1;", floats,
      [](U a, U) { return nearestHalf(g(a)); }, "%h3");
  check(
      "cvt.rn.f16x2.f32 %r3, %r1, %r2;", floats,
      [](U a, U b) { return nearestHalf(g(a)) << 16 | nearestHalf(g(b)); },
      "%r3");
  // There and back: all halves but what is not a number.
  std::vector<U> some;
  for (U h = 0; h < 0x7c00; h += 97)
    some.push_back(h);
  check(
      "cvt.f32.f16 %r4, %h1; cvt.rn.f16.f32 %h3, %r4;", some,
      [](U a, U) { return a; }, "%h3");
  check(
      "fma.rn.f16 %h3, %h1, %h2, %h1;", {0x3c00, 0x3c01, 0x3555, 0x0001},
      [](U a, U b) {
        auto value = [](U h) {
          return h >> 10
                     ? std::ldexp(1024.0 + double(h & 1023), int(h >> 10) - 25)
                     : std::ldexp(double(h), -24);
        };
        // Exact in double, and no tie of float's is one of half's.
        return nearestHalf(float(value(a) * value(b) + value(a)));
      },
      "%h3");
  check(
      "cvt.rn.bf16.f32 %h3, %r1;", {f(1), f(1.00390625f), f(1.01171875f)},
      [](U a, U) { // ties to even
        return U(g(a) == 1 ? 0x3f80 : g(a) < 1.01f ? 0x3f80 : 0x3f82);
      },
      "%h3");
}

} // namespace
