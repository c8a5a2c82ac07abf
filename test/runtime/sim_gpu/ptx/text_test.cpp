//===- text_test.cpp - what cannot be loaded ------------------------------===//
#include "machine.h"

#include <gtest/gtest.h>

using namespace isthmus::simgpu;

namespace {

std::string errorOf(const std::string &code, LoadError *kind = nullptr) {
  LoadError k;
  std::string error;
  auto module = loadPtx("sm_80", code.data(), code.size(), k, error);
  if (kind)
    *kind = k;
  return module ? "" : error;
}
std::string errorOfBody(const std::string &body) {
  return errorOf(text({registers + body, "", 1, 32}));
}

TEST(SimPtxText, WhatItDoesNotKnowIsNamed) {
  EXPECT_EQ(errorOfBody("wgmma.fence.sync.aligned;"),
            "kernel 'k', line 9 (wgmma.fence.sync.aligned): it does not know "
            "the instruction");
  LoadError kind;
  errorOf(text({std::string(registers) + "add.q7 %r1, %r2, %r3;", "", 1, 32}),
          &kind);
  EXPECT_EQ(kind, LoadError::unsupported);
  for (const char *body : {"add.rm.f32 %r1, %r2, %r3;",
                           "add.s32 %r1, %r2;",
                           "add.s32 %r1, %r2, %r3, %r4;",
                           "add.s32 %r1, %rd2, %r3;",
                           "add.s32 %r1, %p2, %r3;",
                           "add.s32 %r1, %r2, %r99;",
                           "add.s32 5, %r2, %r3;",
                           "bra NOWHERE;",
                           "brx.idx %r1, NOWHERE;",
                           "@%r1 ret;",
                           "ld.param.u64 %rd1, [p1];",
                           "ld.param.u64 %rd1, [p0+8];",
                           "ld.global.v2.b32 %r1, [%rd1];",
                           "ld.global.b64 %r1, [%rd1];",
                           "ld.global.b32 %r1, [%h1];",
                           "mov.u32 %r1, %nothing;",
                           "bar.sync 16;",
                           "cp.async.ca.shared.global [%rd1], [%rd2], 5;",
                           "mov.b32 {%r1, %r2}, %r3;",
                           "st.global.b32 [%rd1], {%r1, %r2};",
                           "atom.global.add.f16 %h1, [%rd1], %h2;",
                           "mov.b64 %rd1, {};"})
    EXPECT_NE(errorOfBody(body), "") << body;
}

TEST(SimPtxText, WhatIsNoPtx) {
  LoadError kind;
  EXPECT_NE(errorOf("", &kind), "");
  EXPECT_EQ(kind, LoadError::malformed);
  for (const char *code :
       {"\177ELF", "hello", ".version 7.0\n.entry", "/*", "\"",
        ".version 7.0\n.shared .b8 x[99999999999999999999];",
        ".version 7.0\n.shared .align 3 .b8 x[4];",
        ".version 7.0\n.global .b32 x[1] = {1, 2};",
        ".version 7.0\n.visible .func f() {}",
        ".version 7.0\n.extern .global .b32 x;"})
    EXPECT_NE(errorOf(code), "") << code;
}

/// Any part of a text, and any text with a byte changed, is an error or not,
/// and nothing else.
TEST(SimPtxText, BrokenTexts) {
  std::string whole =
      text({std::string(registers) + R"(
    .shared .align 16 .b8 room[256]; // a comment
    ld.param.u64 %rd1, [p0]; /* another */
    setp.lt.and.s32 %p1|%p2, %r0, 0x10, !%p3;
    @!%p1 bra END;
    ld.global.nc.v4.b32 {%r1, _, %r3, %r4}, [%rd1+-16];
    fma.rn.f32 %r1, %r1, 0f3F800000, %r3;
    st.shared.v2.b64 [room+16], {%rd1, 0d3FF0000000000000};
    T: .branchtargets A, END; brx.idx %r1, T;
  A: cp.async.cg.shared.global.L2::128B [room], [%rd1], 16;
    mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%r1,%r2,%r3,%r4},
      {%r5,%r6}, {%r7}, {%r8,%r9,%r10,%r11};
  END: ret;)",
            ".const .align 4 .f32 c[2] = {0f00000000, 1.5};\n", 1, 32});
  EXPECT_EQ(errorOf(whole),
            "line 4: decimal fractions are not read here at '}'")
      << "the text itself";
  whole.replace(whole.find("1.5"), 3, "0f3");
  whole.replace(whole.find("0f3}"), 3, "0f3F800000");
  EXPECT_EQ(errorOf(whole), "");
  for (size_t n = 0; n < whole.size(); ++n)
    errorOf(whole.substr(0, n));
  uint32_t random = 1;
  for (int n = 0; n < 4000; ++n) {
    std::string spoiled = whole;
    for (int m = 0; m < 2; ++m) {
      random = random * 1664525 + 1013904223;
      spoiled[(random >> 8) % spoiled.size()] =
          ";{}[]@.,0x%!|-\"\n a9\0"[random >> 27 & 15];
    }
    errorOf(spoiled);
  }
}

} // namespace
