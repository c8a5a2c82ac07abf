//===- memory_test.cpp - spaces, atomics, copies --------------------------===//
#include "machine.h"

#include <gtest/gtest.h>

namespace {

using U = uint64_t;
const char *const store =
    "\nld.param.u64 %rd50, [p0]; mul.wide.u32 %rd51, %r0, 8;"
    "add.s64 %rd50, %rd50, %rd51; st.global.u64 [%rd50], %rd3; ret;";

template <typename T> T at(const std::vector<uint8_t> &v, size_t i) {
  T x;
  std::memcpy(&x, v.data() + i * sizeof x, sizeof x);
  return x;
}

TEST(SimPtx, WidthsAndSigns) {
  std::vector<uint8_t> in = {0x80, 1, 2, 0xff, 0x12, 0x80, 6, 7}, out(256);
  Ptx ptx{std::string(registers) + R"(
    ld.param.u64 %rd1, [p1];
    ld.global.s8 %h1, [%rd1]; cvt.u64.u16 %rd3, %h1; shl.b64 %rd3, %rd3, 48;
    ld.global.nc.u8 %r2, [%rd1+3]; cvt.u64.u32 %rd4, %r2;
    or.b64 %rd3, %rd3, %rd4;
    ld.global.s16 %rd5, [%rd1+4]; and.b64 %rd5, %rd5, 0xffff000;
    or.b64 %rd3, %rd3, %rd5;
  )" + store,
          "", 2};
  Ran r = run(ptx, {{&out, true}, {&in, false}}, true);
  ASSERT_TRUE(r.ok) << r.what;
  EXPECT_EQ(at<U>(out, 9), U(0xff80) << 48 | 0xff | 0xfff8000);
}

TEST(SimPtx, LocalAndGenericMemory) {
  auto v = results(std::string(R"(
    .local .align 8 .b8 depot[32];
    .shared .align 8 .b8 room[256];
    .reg .b64 %SP; .reg .b64 %SPL;
    mov.u64 %SPL, depot; cvta.local.u64 %SP, %SPL;
    cvt.u64.u32 %rd1, %r0; st.u64 [%SP+8], %rd1;
    mov.u64 %rd2, room; cvta.shared.u64 %rd2, %rd2; mul.wide.u32 %rd4, %r0, 8;
    add.s64 %rd2, %rd2, %rd4; add.s64 %rd1, %rd1, 1000; st.u64 [%rd2], %rd1;
    ld.local.u64 %rd5, [%SPL+8]; ld.u64 %rd6, [%rd2];
    shl.b64 %rd6, %rd6, 16; or.b64 %rd3, %rd5, %rd6;
  )") + store);
  for (U t = 0; t < 32; ++t)
    EXPECT_EQ(v[t], t | (1000 + t) << 16);
}

/// LLVM chooses between parameters by their addresses.
TEST(SimPtx, AddressesOfParameters) {
  std::vector<uint8_t> out(256), a(8, 1), b(8, 2);
  Ptx ptx{std::string(registers) + R"(
    mov.b64 %rd1, p1; mov.b64 %rd2, p2; and.b32 %r1, %r0, 1;
    setp.eq.b32 %p1, %r1, 0; selp.b64 %rd4, %rd1, %rd2, %p1;
    ld.param.b64 %rd5, [%rd4]; ld.global.b64 %rd3, [%rd5];
  )" + store,
          "", 3};
  Ran r = run(ptx, {{&out, true}, {&a, false}, {&b, false}}, true);
  ASSERT_TRUE(r.ok) << r.what;
  for (unsigned t = 0; t < 32; ++t)
    EXPECT_EQ(out[t * 8], 1 + t % 2);
  ptx.body.replace(ptx.body.find("[%rd4]"), 6, "[%rd4+16]");
  r = run(ptx, {{&out, true}, {&a, false}, {&b, false}});
  EXPECT_NE(r.what.find("the parameters + 24, of which there are 24"),
            std::string::npos)
      << r.what;
}

TEST(SimPtx, Constants) {
  std::vector<uint8_t> out(256);
  Ptx ptx{std::string(registers) + R"(
    mov.u64 %rd1, table; and.b32 %r1, %r0, 3; mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd1, %rd1, %rd2; ld.global.u32 %r2, [%rd1];
    ld.const.u8 %r3, [bytes+1]; add.s32 %r2, %r2, %r3; cvt.u64.u32 %rd3, %r2;
  )" + store,
          ".global .align 4 .u32 table[4] = {10, 20, 0x1e, 40};\n"
          ".const .align 1 .b8 bytes[4] = {1, 2, 3};\n",
          1};
  Ran r = run(ptx, {{&out, true}});
  ASSERT_TRUE(r.ok) << r.what;
  for (unsigned t = 0; t < 32; ++t)
    EXPECT_EQ(at<U>(out, t), (t % 4 + 1) * 10 + 2);
}

TEST(SimPtx, Atomics) {
  std::vector<uint8_t> sum(32), out(256);
  Ptx ptx{std::string(registers) + R"(
    ld.param.u64 %rd1, [p1];
    atom.global.add.u32 %r1, [%rd1], 2;
    red.global.max.s32 [%rd1+4], %r0;
    red.relaxed.gpu.global.add.f32 [%rd1+8], 0f3F000000;
    atom.global.cas.b32 %r2, [%rd1+12], 0, %r0;
    atom.global.exch.b64 %rd4, [%rd1+16], %rd1;
    red.global.inc.u32 [%rd1+24], 4;
    cvt.u64.u32 %rd3, %r1;
  )" + store,
          "", 2};
  Ran r = run(ptx, {{&out, true}, {&sum, true}}, true, 2);
  ASSERT_TRUE(r.ok) << r.what;
  EXPECT_EQ(at<uint32_t>(sum, 0), 128u);
  EXPECT_EQ(at<int32_t>(sum, 1), 31);
  EXPECT_EQ(at<float>(sum, 2), 32.0f);
  EXPECT_EQ(at<uint32_t>(sum, 3), 1u);
  EXPECT_EQ(at<U>(sum, 2), reinterpret_cast<U>(sum.data()));
  EXPECT_EQ(at<uint32_t>(sum, 6), 64u % 5);
}

/// What cp.async copies is there after the wait, and not before.
TEST(SimPtx, CopiesArriveAtTheWait) {
  for (bool late : {false, true}) {
    std::vector<uint8_t> in(512), out(256);
    for (unsigned i = 0; i < 64; ++i)
      std::memcpy(in.data() + i * 8, &i, 4);
    std::string wait = "cp.async.wait_group 1;\n",
                read = "ld.shared.u64 %rd3, [%rd2];\n";
    Ptx ptx{std::string(registers) + R"(
      .shared .align 16 .b8 room[1024];
      ld.param.u64 %rd1, [p1]; mul.wide.u32 %rd4, %r0, 8;
      add.s64 %rd1, %rd1, %rd4; mov.u64 %rd2, room; add.s64 %rd2, %rd2, %rd4;
      mov.u64 %rd5, 77; st.shared.u64 [%rd2], %rd5;
      cp.async.ca.shared.global [%rd2], [%rd1], 8;
      cp.async.commit_group;
      cp.async.ca.shared.global [%rd2+512], [%rd1+256], 8, 4;
      cp.async.commit_group;
    )" + (late ? read + wait : wait + read) +
                store,
            "", 2};
    Ran r = run(ptx, {{&out, true}, {&in, false}}, false);
    ASSERT_TRUE(r.ok) << r.what;
    for (U t = 0; t < 32; ++t)
      EXPECT_EQ(at<U>(out, t), late ? 77 : t);
    // The sanitizer knows of it.
    r = run(ptx, {{&out, true}, {&in, false}}, true);
    EXPECT_EQ(r.ok, !late);
    if (late)
      EXPECT_NE(r.what.find("is under way"), std::string::npos) << r.what;
  }
}

/// Bytes that are not read are zeros.
TEST(SimPtx, CopiesFillUp) {
  std::vector<uint8_t> in(256, 0xff), out(256);
  Ptx ptx{std::string(registers) + R"(
    .shared .align 16 .b8 room[1024];
    ld.param.u64 %rd1, [p1]; mul.wide.u32 %rd4, %r0, 8;
    add.s64 %rd1, %rd1, %rd4; mov.u64 %rd2, room; add.s64 %rd2, %rd2, %rd4;
    and.b32 %r1, %r0, 1; shl.b32 %r1, %r1, 2;
    cp.async.ca.shared.global [%rd2], [%rd1], 8, %r1;
    cp.async.wait_all;
    ld.shared.u64 %rd3, [%rd2];
  )" + store,
          "", 2};
  Ran r = run(ptx, {{&out, true}, {&in, false}}, true);
  ASSERT_TRUE(r.ok) << r.what;
  for (unsigned t = 0; t < 32; ++t)
    EXPECT_EQ(at<U>(out, t), t % 2 ? 0xffffffffu : 0u);
}

TEST(SimPtx, SharedMemoryOfTheLaunch) {
  std::vector<uint8_t> out(256);
  Ptx ptx{std::string(registers) + R"(
    mov.u64 %rd1, dynamic; mul.wide.u32 %rd2, %r0, 8; add.s64 %rd1, %rd1, %rd2;
    cvt.u64.u32 %rd3, %r0; st.shared.u64 [%rd1], %rd3;
  )" + store,
          ".extern .shared .align 16 .b8 dynamic[];\n", 1};
  EXPECT_TRUE(run(ptx, {{&out, true}}, true, 1, 256).ok);
  Ran r = run(ptx, {{&out, true}}, true, 1, 128);
  EXPECT_NE(r.what.find("shared memory + 128, of which there are 128"),
            std::string::npos)
      << r.what;
}

} // namespace
