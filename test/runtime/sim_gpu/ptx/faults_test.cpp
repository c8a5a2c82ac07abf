//===- faults_test.cpp - bugs that must be found --------------------------===//
//
// One kernel for each kind of bug, and what is said of it; each has a twin
// without the bug that is clean.
//
//===----------------------------------------------------------------------===//
#include "machine.h"

#include <gtest/gtest.h>

namespace {

struct Bug {
  const char *name, *body, *fixed; // parameter 0 is written, 1 is read
  const char *what;                // part of the report
  uint32_t thread;
  bool onlySanitized = false;
  unsigned threads = 32;
};

// 256 bytes each; %rd1 and %rd2 are the buffers and %rd3 is 8 * thread.
const char *const prologue = ".shared .align 16 .b8 room[256];\n"
                             "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1];"
                             "mul.wide.u32 %rd3, %r0, 8; and.b32 %r1, %r0, 31; "
                             "mul.wide.u32 %rd8, %r1, 8;"
                             "mov.u64 %rd4, room; add.s64 %rd5, %rd4, %rd8;\n";

const Bug bugs[] = {
    {"reads behind a buffer",
     "add.s64 %rd6, %rd2, %rd3; ld.global.nc.u64 %rd7, [%rd6+16]; ret;",
     "add.s64 %rd6, %rd2, %rd3; ld.global.nc.u64 %rd7, [%rd6]; ret;",
     "(ld.global.nc.u64) reads 8 bytes at buffer 1 + 256, which has 256 bytes",
     30},
    {"writes before a buffer",
     "add.s64 %rd6, %rd1, %rd3; st.global.u32 [%rd6+-8], %r0; ret;",
     "add.s64 %rd6, %rd1, %rd3; st.global.u32 [%rd6], %r0; ret;",
     "writes 4 bytes at buffer 0 - 8", 0},
    {"writes what is read only", "st.global.u32 [%rd2+4], %r0; ret;",
     "st.global.u32 [%rd1+4], %r0; ret;",
     "writes 4 bytes at buffer 1 + 4, which is only read", 0},
    {"reads through a null pointer",
     "mov.u64 %rd6, 0; ld.global.u32 %r1, [%rd6]; ret;", "ret;",
     "address 0, which is in no buffer", 0},
    {"atomic behind a buffer", "red.global.add.u32 [%rd1+256], 1; ret;",
     "red.global.add.u32 [%rd1+252], 1; ret;", "buffer 0 + 256", 0},
    {"reads behind shared memory",
     "st.shared.u64 [%rd5], %rd3; ld.shared.u64 %rd6, [%rd5+8]; ret;",
     "st.shared.u64 [%rd5], %rd3; ld.shared.u64 %rd6, [%rd5]; ret;",
     "shared memory + 256, of which there are 256", 31},
    {"misaligned vector",
     "mov.b32 %r2, 0; st.global.v4.b32 [%rd1+8], {%r2, %r2, %r2, %r2}; ret;",
     "mov.b32 %r2, 0; st.global.v4.b32 [%rd1+16], {%r2, %r2, %r2, %r2}; ret;",
     "which is not a multiple of them", 0},
    {"barrier within a branch",
     "setp.lt.u32 %p1, %r0, 16; @%p1 bra THERE; bar.sync 0; bra.uni END;"
     "THERE: bar.sync 0; END: ret;",
     "bar.sync 0; ret;", "is a divergent barrier: 16 of 32 lanes", 16},
    {"a warp leaves before a barrier",
     "setp.gt.u32 %p1, %r0, 31; @%p1 bra END; bar.sync 0; END: ret;",
     "bar.sync 0; ret;",
     "is a divergent barrier: 32 threads of the workgroup never come", 0, false,
     64},
    {"shuffle without all lanes",
     "setp.lt.u32 %p1, %r0, 16; @%p1 bra A; shfl.sync.bfly.b32 %r2, %r0, 1, 31,"
     "-1; bra.uni END; A: shfl.sync.bfly.b32 %r2, %r0, 1, 31, -1; END: ret;",
     "shfl.sync.bfly.b32 %r2, %r0, 1, 31, -1; ret;", "waits for ever", 16},
    {"trap", "trap;", "ret;", "was reached", 0},
    {"stores a register that nothing wrote",
     "add.s32 %r3, %r40, 1; add.s64 %rd6, %rd1, %rd3;"
     "st.global.u32 [%rd6], %r3; ret;",
     "mov.u32 %r40, 0; add.s32 %r3, %r40, 1; add.s64 %rd6, %rd1, %rd3;"
     "st.global.u32 [%rd6], %r3; ret;",
     "writes an uninitialised value", 0, true},
    {"one lane's register",
     "setp.ne.u32 %p1, %r0, 9; @%p1 mov.u32 %r41, 5; add.s64 %rd6, %rd1, %rd3;"
     "st.global.u32 [%rd6], %r41; ret;",
     "setp.ne.u32 %p1, %r0, 9; @%p1 mov.u32 %r41, 5; @!%p1 mov.u32 %r41, 6;"
     "add.s64 %rd6, %rd1, %rd3; st.global.u32 [%rd6], %r41; ret;",
     "writes an uninitialised value", 9, true},
    {"shared memory that nothing wrote, stored",
     "ld.shared.u64 %rd6, [%rd5]; add.s64 %rd7, %rd1, %rd3;"
     "st.global.u64 [%rd7], %rd6; ret;",
     "st.shared.u64 [%rd5], %rd3; ld.shared.u64 %rd6, [%rd5];"
     "add.s64 %rd7, %rd1, %rd3; st.global.u64 [%rd7], %rd6; ret;",
     "writes an uninitialised value", 0, true},
    {"shared memory that nothing wrote, a branch",
     "ld.shared.u64 %rd6, [%rd5]; setp.eq.u64 %p1, %rd6, 0; @%p1 bra END;"
     "END: ret;",
     "mov.u64 %rd6, 0; setp.eq.u64 %p1, %rd6, 0; @%p1 bra END; END: ret;",
     "as a condition", 0, true},
    {"an address that nothing made",
     "and.b64 %rd6, %rd40, 0; add.s64 %rd6, %rd6, %rd2;"
     "ld.global.u32 %r2, [%rd6]; ret;",
     "ld.global.u32 %r2, [%rd2]; ret;", "as an address", 0, true},
    {"from another lane",
     "setp.lt.u32 %p1, %r0, 31; @%p1 mov.u32 %r2, 1;"
     "shfl.sync.down.b32 %r3, %r2, 1, 31, -1; add.s64 %rd6, %rd1, %rd3;"
     "st.global.u32 [%rd6], %r3; ret;",
     "mov.u32 %r2, 1; shfl.sync.down.b32 %r3, %r2, 1, 31, -1;"
     "add.s64 %rd6, %rd1, %rd3; st.global.u32 [%rd6], %r3; ret;",
     "writes an uninitialised value", 30, true},
    {"race: write, then read of another warp",
     "mov.u64 %rd6, 1; setp.gt.u32 %p1, %r0, 31; @%p1 bra READ;"
     "st.shared.u64 [%rd5], %rd3; bra.uni END;"
     "READ: ld.shared.u64 %rd6, [%rd5]; END: bar.sync 0; ret;",
     "setp.gt.u32 %p1, %r0, 31; @!%p1 st.shared.u64 [%rd5], %rd3;"
     "bar.sync 0; ld.shared.u64 %rd6, [%rd5]; ret;",
     "which thread 0 wrote with no barrier between: a race", 32, true, 64},
    {"race: read, then write of another warp",
     "setp.gt.u32 %p1, %r0, 31; @!%p1 st.shared.u64 [%rd5], %rd3; bar.sync 0;"
     "@!%p1 ld.shared.u64 %rd6, [%rd5]; @%p1 st.shared.u64 [%rd5], %rd3; ret;",
     "setp.gt.u32 %p1, %r0, 31; @!%p1 st.shared.u64 [%rd5], %rd3; bar.sync 0;"
     "@!%p1 ld.shared.u64 %rd6, [%rd5]; bar.sync 0;"
     "@%p1 st.shared.u64 [%rd5], %rd3; ret;",
     "which thread 0 read with no barrier between: a race", 32, true, 64},
    {"race: two writes of different values", "st.shared.u64 [%rd5], %rd3; ret;",
     "mov.u64 %rd3, 4; st.shared.u64 [%rd5], %rd3; ret;",
     "writes shared memory + 1, which thread 0 wrote", 32, true, 64},
    {"race: within a warp",
     "st.shared.u64 [%rd5], %rd3; xor.b64 %rd6, %rd5, 8;"
     "ld.shared.u64 %rd7, [%rd6]; ret;",
     "st.shared.u64 [%rd5], %rd3; xor.b64 %rd6, %rd5, 8; bar.warp.sync -1;"
     "ld.shared.u64 %rd7, [%rd6]; ret;",
     "which thread 1 wrote with no barrier between: a race", 0, true},
    {"race: a copy under way that another thread reads",
     "add.s64 %rd6, %rd2, %rd8; cp.async.ca.shared.global [%rd5], [%rd6], 8;"
     "cp.async.wait_all; xor.b64 %rd7, %rd5, 8; ld.shared.u64 %rd6, [%rd7];"
     "ret;",
     "add.s64 %rd6, %rd2, %rd8; cp.async.ca.shared.global [%rd5], [%rd6], 8;"
     "cp.async.wait_all; bar.sync 0; xor.b64 %rd7, %rd5, 8;"
     "ld.shared.u64 %rd6, [%rd7]; ret;",
     "which thread 1 wrote with no barrier between: a race", 0, true},
};

Ran runBody(const Bug &bug, const char *body, bool sanitize) {
  std::vector<uint8_t> out(256), in(256);
  return run({std::string(registers) + prologue + body, "", 2, bug.threads},
             {{&out, true}, {&in, false}}, sanitize);
}

TEST(SimPtxBugs, AreFound) {
  for (const Bug &bug : bugs) {
    Ran r = runBody(bug, bug.body, true);
    EXPECT_FALSE(r.ok) << bug.name;
    EXPECT_NE(r.what.find(bug.what), std::string::npos)
        << bug.name << ": " << r.what;
    EXPECT_EQ(r.thread, bug.thread) << bug.name << ": " << r.what;
    EXPECT_EQ(runBody(bug, bug.body, false).ok, bug.onlySanitized) << bug.name;
  }
}

TEST(SimPtxBugs, TheirTwinsAreClean) {
  for (const Bug &bug : bugs) {
    Ran r = runBody(bug, bug.fixed, true);
    EXPECT_TRUE(r.ok) << bug.name << ": " << r.what;
  }
}

/// What of a vector lies behind its buffer may be loaded, and not be used.
TEST(SimPtxBugs, VectorsOverTheEdge) {
  auto body = [](const char *element) {
    return std::string(registers) +
           "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1];"
           "ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%rd2];"
           "st.global.b32 [%rd1], " +
           element + "; ret;";
  };
  std::vector<uint8_t> out(16), in;
  in.reserve(64);
  in.assign(12, 1);
  EXPECT_TRUE(
      run({body("%r3"), "", 2, 32}, {{&out, true}, {&in, false}}, true).ok);
  EXPECT_EQ(out[0], 1);
  EXPECT_FALSE(
      run({body("%r4"), "", 2, 32}, {{&out, true}, {&in, false}}, true).ok);
  // Three bytes of a word.
  in.assign(3, 7);
  Ran r = run({std::string(registers) +
                   "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1];"
                   "ld.global.b32 %r1, [%rd2]; bfe.u32 %r1, %r1, 16, 8;"
                   "st.global.b32 [%rd1], %r1; ret;",
               "", 2, 32},
              {{&out, true}, {&in, false}}, true);
  EXPECT_TRUE(r.ok) << r.what;
  EXPECT_EQ(out[0], 7);
}

} // namespace
