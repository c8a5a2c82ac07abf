//===- matrix_test.cpp - mma.sync and ldmatrix ----------------------------===//
//
// Fragments are filled here as the tables of PTX ISA 9.7.14.5 say, written once
// more: row and column of each element as the ISA's formulas have them.
//
//===----------------------------------------------------------------------===//
#include "machine.h"

#include <gtest/gtest.h>

namespace {

struct At {
  int row, column;
};
using Formula = At (*)(int g, int t, int i);

struct Shape {
  const char *name;
  int k, bits; // of A's and B's elements
  Formula a, b;
  uint32_t (*encode)(int value);
  bool integers;
};

uint32_t half(int v) { // small integers
  if (!v)
    return 0;
  int m = v < 0 ? -v : v, e = 31 - __builtin_clz(static_cast<unsigned>(m));
  return (v < 0 ? 0x8000u : 0) | uint32_t(e + 15) << 10 |
         (uint32_t(m) << (10 - e) & 1023);
}
uint32_t single(int v) { return as<uint32_t>(float(v)); }
uint32_t bfloat(int v) { return single(v) >> 16; }
uint32_t byte(int v) { return uint32_t(v) & 255; }

const Shape shapes[] = {
    {"m16n8k16.row.col.f32.f16.f16.f32", 16, 16,
     [](int g, int t, int i) {
       return At{i < 2 || (i >= 4 && i < 6) ? g : g + 8,
                 t * 2 + (i & 1) + (i >= 4 ? 8 : 0)};
     },
     [](int g, int t, int i) {
       return At{t * 2 + (i & 1) + (i >= 2 ? 8 : 0), g};
     },
     half, false},
    {"m16n8k16.row.col.f32.bf16.bf16.f32", 16, 16, shapes[0].a, shapes[0].b,
     bfloat, false},
    {"m16n8k8.row.col.f32.f16.f16.f32", 8, 16,
     [](int g, int t, int i) { return At{i < 2 ? g : g + 8, t * 2 + (i & 1)}; },
     [](int g, int t, int i) { return At{t * 2 + i, g}; }, half, false},
    {"m16n8k8.row.col.f32.tf32.tf32.f32", 8, 32,
     [](int g, int t, int i) {
       return At{i == 0 || i == 2 ? g : g + 8, i < 2 ? t : t + 4};
     },
     [](int g, int t, int i) { return At{i ? t + 4 : t, g}; }, single, false},
    {"m16n8k16.row.col.s32.s8.s8.s32", 16, 8,
     [](int g, int t, int i) { return At{i < 4 ? g : g + 8, t * 4 + (i & 3)}; },
     [](int g, int t, int i) { return At{t * 4 + i, g}; }, byte, true},
    {"m16n8k32.row.col.s32.s8.s8.s32", 32, 8,
     [](int g, int t, int i) {
       return At{i < 4 || (i >= 8 && i < 12) ? g : g + 8,
                 t * 4 + (i & 3) + (i >= 8 ? 16 : 0)};
     },
     [](int g, int t, int i) {
       return At{t * 4 + (i & 3) + (i >= 4 ? 16 : 0), g};
     },
     byte, true},
};

int valueOfA(int r, int c) { return (r * 5 + c * 3) % 13 - 6; }
int valueOfB(int r, int c) { return (r * 7 + c * 2) % 11 - 5; }

TEST(SimPtx, Mma) {
  for (const Shape &s : shapes) {
    int per = 32 / s.bits, registersA = 16 * s.k / 32 / per,
        registersB = 8 * s.k / 32 / per;
    // A lane's fragments, 8 words: A then B.
    std::vector<uint8_t> in(32 * 32), out(32 * 16);
    auto *words = reinterpret_cast<uint32_t *>(in.data());
    for (int lane = 0; lane < 32; ++lane) {
      int g = lane >> 2, t = lane % 4;
      for (int i = 0; i < registersA * per; ++i) {
        At p = s.a(g, t, i);
        words[lane * 8 + i / per] |= s.encode(valueOfA(p.row, p.column))
                                     << (i % per * s.bits);
      }
      for (int i = 0; i < registersB * per; ++i) {
        At p = s.b(g, t, i);
        words[lane * 8 + registersA + i / per] |=
            s.encode(valueOfB(p.row, p.column)) << (i % per * s.bits);
      }
    }
    auto list = [](int first, int count) {
      std::string l = "{";
      for (int i = 0; i < count; ++i)
        l += (i ? ", %r" : "%r") + std::to_string(first + i);
      return l + "}";
    };
    std::string body = std::string(registers) +
                       "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1];"
                       "mul.wide.u32 %rd3, %r0, 32; add.s64 %rd1, %rd1, %rd3;"
                       "mul.wide.u32 %rd3, %r0, 16; add.s64 %rd2, %rd2, %rd3;";
    for (int i = 0; i < registersA + registersB; ++i)
      body += "ld.global.b32 %r" + std::to_string(10 + i) + ", [%rd1+" +
              std::to_string(4 * i) + "];";
    body += "mov.b32 %r20, 0; mov.b32 %r21, 0; mov.b32 %r22, 0;"
            "mov.b32 %r23, 0; mma.sync.aligned." +
            std::string(s.name) + " " + list(30, 4) + ", " +
            list(10, registersA) + ", " + list(10 + registersA, registersB) +
            ", " + list(20, 4) + ";";
    for (int i = 0; i < 4; ++i)
      body += "st.global.b32 [%rd2+" + std::to_string(4 * i) + "], %r" +
              std::to_string(30 + i) + ";";
    Ran r = run({body + "ret;", "", 2, 32}, {{&in, false}, {&out, true}}, true);
    ASSERT_TRUE(r.ok) << r.what;
    EXPECT_EQ(r.counters.matrix, 1u);
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 4; ++i) {
        int row = (lane >> 2) + (i < 2 ? 0 : 8),
            column = lane % 4 * 2 + (i & 1);
        int want = 0;
        for (int k = 0; k < s.k; ++k)
          want += valueOfA(row, k) * valueOfB(k, column);
        uint32_t got;
        std::memcpy(&got, out.data() + lane * 16 + i * 4, 4);
        EXPECT_EQ(got, s.integers ? uint32_t(want) : single(want))
            << s.name << " " << row << " " << column;
      }
  }
}

/// Row-major matrices in shared memory become mma's fragments.
TEST(SimPtx, Ldmatrix) {
  for (bool transposed : {false, true}) {
    std::vector<uint8_t> in(512), out(512);
    for (unsigned i = 0; i < 256; ++i) { // four of 8 x 8
      uint16_t v = static_cast<uint16_t>(i);
      std::memcpy(in.data() + 2 * i, &v, 2);
    }
    Ptx ptx{std::string(registers) + R"(
      .shared .align 16 .b8 room[512];
      ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1];
      mul.wide.u32 %rd3, %r0, 16; add.s64 %rd1, %rd1, %rd3;
      mov.u64 %rd4, room; add.s64 %rd4, %rd4, %rd3;
      ld.global.v2.b64 {%rd5, %rd6}, [%rd1];
      st.shared.v2.b64 [%rd4], {%rd5, %rd6};
      bar.warp.sync -1;
      ldmatrix.sync.aligned.m8n8.x4)" +
                std::string(transposed ? ".trans" : "") +
                R"(.shared.b16 {%r1, %r2, %r3, %r4}, [%rd4];
      add.s64 %rd2, %rd2, %rd3;
      st.global.v4.b32 [%rd2], {%r1, %r2, %r3, %r4}; ret;)",
            "", 2, 32};
    Ran r = run(ptx, {{&in, false}, {&out, true}}, true);
    ASSERT_TRUE(r.ok) << r.what;
    for (unsigned lane = 0; lane < 32; ++lane)
      for (unsigned m = 0; m < 4; ++m)
        for (unsigned n = 0; n < 2; ++n) {
          uint16_t got;
          std::memcpy(&got, out.data() + lane * 16 + m * 4 + n * 2, 2);
          unsigned row = lane / 4, column = lane % 4 * 2 + n;
          EXPECT_EQ(
              got, m * 64 + (transposed ? column * 8 + row : row * 8 + column));
        }
  }
}

} // namespace
