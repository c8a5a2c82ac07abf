//===- control_test.cpp - divergence, barriers, between lanes -------------===//
#include "machine.h"

#include <gtest/gtest.h>

namespace {

using U = uint64_t;
/// Parameter 0 + 8 * thread gets %rd3.
const char *const store =
    "\nld.param.u64 %rd50, [p0]; mul.wide.u32 %rd51, %r0, 8;"
    "add.s64 %rd50, %rd50, %rd51; st.global.u64 [%rd50], %rd3; ret;";

TEST(SimPtx, LanesPartAndMeet) {
  // Each lane loops as often as its number says; then all add up.
  auto v = results(std::string(R"(
    mov.u64 %rd3, 0; mov.u32 %r1, 0;
  LOOP:
    setp.ge.u32 %p1, %r1, %r0;
    @%p1 bra DONE;
    add.s32 %r1, %r1, 1;
    and.b32 %r2, %r1, 1; setp.eq.s32 %p2, %r2, 0;
    @%p2 bra EVEN;
    add.s64 %rd3, %rd3, 100;
    bra.uni LOOP;
  EVEN:
    add.s64 %rd3, %rd3, 1;
    bra.uni LOOP;
  DONE:
    cvt.u32.u64 %r3, %rd3;
    shfl.sync.idx.b32 %r4, %r3, 31, 31, -1;
    cvt.u64.u32 %rd4, %r4; shl.b64 %rd4, %rd4, 32; or.b64 %rd3, %rd3, %rd4;
  )") + store);
  for (U t = 0; t < 32; ++t)
    EXPECT_EQ(v[t], ((t + 1) / 2 * 100 + t / 2) | U(1615) << 32) << t;
}

/// Blocks laid out backwards: where lanes meet again lies before where they
/// parted.
TEST(SimPtx, LanesMeetEarlierInTheText) {
  auto v = results(std::string(R"(
    mov.u64 %rd3, 0; bra.uni START;
  MEET:
    shfl.sync.bfly.b32 %r4, %r3, 16, 31, -1;
    cvt.u64.u32 %rd3, %r4;
    bra.uni END;
  START:
    setp.lt.u32 %p1, %r0, 7;
    @%p1 bra FEW;
    add.s32 %r3, %r0, 1000;
    bra.uni MEET;
  FEW:
    add.s32 %r3, %r0, 2000;
    bra.uni MEET;
  END:
  )") + store);
  for (U t = 0; t < 32; ++t) {
    U other = t ^ 16;
    EXPECT_EQ(v[t], other + (other < 7 ? 2000 : 1000)) << t;
  }
}

TEST(SimPtx, TablesOfBranches) {
  auto v = results(std::string(R"(
    and.b32 %r1, %r0, 3;
    T: .branchtargets A, B, C, A;
    brx.idx %r1, T;
  A: mov.u64 %rd3, 10; bra.uni END;
  B: mov.u64 %rd3, 11; bra.uni END;
  C: mov.u64 %rd3, 12;
  END:
  )") + store);
  for (U t = 0; t < 32; ++t)
    EXPECT_EQ(v[t], t % 4 == 3 ? 10 : 10 + t % 4);
}

TEST(SimPtx, BetweenLanes) {
  auto shuffled = [](const char *how, auto expect) {
    auto v = results(std::string("add.s32 %r1, %r0, 500;\n") + how +
                     "\ncvt.u64.u32 %rd3, %r3;" + store);
    for (unsigned t = 0; t < 32; ++t)
      EXPECT_EQ(v[t], expect(t)) << how << " " << t;
  };
  shuffled("shfl.sync.up.b32 %r3, %r1, 3, 0, -1;",
           [](unsigned t) { return 500u + (t < 3 ? t : t - 3); });
  shuffled("shfl.sync.down.b32 %r3, %r1, 4, 31, -1;",
           [](unsigned t) { return 500u + (t > 27 ? t : t + 4); });
  shuffled("shfl.sync.bfly.b32 %r3, %r1, 5, 31, -1;",
           [](unsigned t) { return 500u + (t ^ 5); });
  // Segments of 8 lanes: c = (0x18 << 8) | 31.
  shuffled("shfl.sync.idx.b32 %r3, %r1, 2, 6175, -1;",
           [](unsigned t) { return 500u + (t & 24) + 2; });
  shuffled("shfl.sync.down.b32 %r3|%p1, %r1, 1, 31, -1;"
           "@!%p1 mov.b32 %r3, 7;",
           [](unsigned t) { return t == 31 ? 7 : 501u + t; });
  shuffled("setp.gt.u32 %p1, %r0, 20; vote.sync.ballot.b32 %r3, %p1, -1;",
           [](unsigned) { return 0xffe00000u; });
  shuffled("redux.sync.max.s32 %r3, %r0, -1;", [](unsigned) { return 31u; });
}

TEST(SimPtx, BarriersAndSharedMemory) {
  // 128 threads reverse what 128 threads wrote.
  Ptx ptx{std::string(registers) + R"(
    .shared .align 8 .b8 room[1024];
    mov.u64 %rd1, room; mul.wide.u32 %rd2, %r0, 8; add.s64 %rd4, %rd1, %rd2;
    cvt.u64.u32 %rd3, %r0;
    st.shared.u64 [%rd4], %rd3;
    bar.sync 0;
    sub.s64 %rd5, 1016, %rd2; add.s64 %rd5, %rd5, %rd1;
    ld.shared.u64 %rd3, [%rd5];
  )" + store,
          "", 1, 128};
  std::vector<uint8_t> out(1024);
  Ran r = run(ptx, {{&out, true}}, true);
  ASSERT_TRUE(r.ok) << r.what;
  for (U t = 0; t < 128; ++t)
    EXPECT_EQ(as<U>(*reinterpret_cast<U(*)>(out.data() + t * 8)), 127 - t);
  EXPECT_EQ(r.counters.barriers, 4u);
  EXPECT_EQ(r.counters.sharedWritten, 1024u);
  EXPECT_EQ(r.counters.sharedRead, 1024u);
  EXPECT_EQ(r.counters.globalWritten, 1024u);
  EXPECT_EQ(r.counters.bankConflicts, 0u);
}

TEST(SimPtx, BankConflictsAreCounted) {
  auto conflicts = [](const char *stride) {
    Ptx ptx{std::string(registers) + R"(
      .shared .align 4 .b8 room[8192];
      mov.u64 %rd1, room; mul.wide.u32 %rd2, %r0, )" +
                stride + R"(;
      add.s64 %rd1, %rd1, %rd2; st.shared.u32 [%rd1], %r0; ret;)",
            "", 0, 32};
    Ran r = run(ptx, {});
    EXPECT_TRUE(r.ok) << r.what;
    return r.counters.bankConflicts;
  };
  EXPECT_EQ(conflicts("4"), 0u);
  EXPECT_EQ(conflicts("8"), 1u);
  EXPECT_EQ(conflicts("128"), 31u);
  EXPECT_EQ(conflicts("132"), 0u);
  EXPECT_EQ(conflicts("0"), 0u);
}

TEST(SimPtx, GridsAndSizes) {
  auto v = results(std::string("mov.u32 %r1, %ntid.x; mov.u32 %r2, %nctaid.x;"
                               "mad.lo.u32 %r3, %r1, 10, %r2; mov.u32 %r4, "
                               "%laneid; mad.lo.u32 %r3, %r3, 100, %r4;"
                               "cvt.u64.u32 %rd3, %r3;") +
                       store,
                   40);
  for (U t = 0; t < 40; ++t)
    EXPECT_EQ(v[t], 40100 + t % 32);
}

} // namespace
