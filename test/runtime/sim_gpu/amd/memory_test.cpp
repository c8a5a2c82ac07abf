//===- memory_test.cpp - loads, stores, LDS and atomics -------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "machine.h"

#include <gtest/gtest.h>

using namespace isthmus::simgpu;
using L = Lane;

static const char *const wait9 = "s_waitcnt vmcnt(0) lgkmcnt(0)\n";
static const char *const wait12 =
    "s_wait_loadcnt 0\ns_wait_dscnt 0\ns_wait_storecnt 0\n";

TEST(AMDMemory, LDS) {
  auto shift = [](std::vector<L> &lanes) {
    for (L &l : lanes)
      std::copy_n(lanes[(l.id + 1) % lanes.size()].a, 4, l.out);
  };
  auto reverse = [](std::vector<L> &lanes) {
    for (L &l : lanes)
      l.out[0] = lanes[lanes.size() - 1 - l.id].a[0];
  };
  auto next = [](const char *lanes) {
    return "v_add_NC_u32 v20, v16, 1\nv_and_b32 v20, " + std::string(lanes) +
           ", v20\nv_lshlrev_b32 v20, 4, v20\n";
  };
  std::string own = "v_lshlrev_b32 v21, 4, v16\n", next9 = next("63"),
              next11 = next("31");
  for (std::string *s : {&next9, &next11})
    s->replace(s->find("_NC"), 3, s == &next9 ? "" : "_nc");
  std::string index9 = "v_sub_u32 v20, 63, v16\nv_lshlrev_b32 v20, 2, v20\n";
  std::string index11 =
      "v_sub_nc_u32 v20, 31, v16\nv_lshlrev_b32 v20, 2, v20\n";
  runCases({
      {"b128_9", "9",
       own + next9 + "ds_write_b128 v21, v[4:7]\n" + wait9 +
           "ds_read_b128 v[0:3], v20\n" + wait9,
       shift, 4},
      {"b128_11", "11",
       own + next11 + "ds_store_b128 v21, v[4:7]\n" + wait9 +
           "ds_load_b128 v[0:3], v20\n" + wait9,
       shift, 4},
      {"b128_12", "12",
       own + next11 + "ds_store_b128 v21, v[4:7]\n" + wait12 +
           "ds_load_b128 v[0:3], v20\n" + wait12,
       shift, 4},
      {"two_9", "9",
       own + "ds_write2_b64 v21, v[4:5], v[6:7] offset1:1\n" + wait9 +
           "ds_read2_b32 v[0:1], v21 offset0:3 offset1:2\n" + wait9,
       each([](L &l) { l.out[0] = l.a[3], l.out[1] = l.a[2]; }), 2},
      {"stride_9", "9",
       "v_lshlrev_b32 v21, 2, v16\nds_write2st64_b32 v21, v4, v5 offset0:1 "
       "offset1:3\n" +
           std::string(wait9) +
           "ds_read2st64_b32 v[0:1], v21 offset0:3 offset1:1\n" + wait9,
       each([](L &l) { l.out[0] = l.a[1], l.out[1] = l.a[0]; }), 2},
      {"bpermute_9", "9", index9 + "ds_bpermute_b32 v0, v20, v4\n" + wait9,
       reverse},
      {"bpermute_11", "11", index11 + "ds_bpermute_b32 v0, v20, v4\n" + wait9,
       reverse},
      {"permute_12", "12", index11 + "ds_permute_b32 v0, v20, v4\n" + wait12,
       reverse},
      {"swizzle_9", "9",
       "ds_swizzle_b32 v0, v4 offset:swizzle(SWAP,16)\n" + std::string(wait9),
       [](std::vector<L> &lanes) {
         for (L &l : lanes)
           l.out[0] = lanes[l.id ^ 16].a[0];
       }},
      {"bytes_9", "9",
       own +
           "ds_write_b8 v21, v4\nds_write_b16 v21, v5 "
           "offset:2\nds_write_b16_d16_hi v21, v6 offset:4\n" +
           wait9 +
           "v_mov_b32 v2, -1\nds_read_i8 v0, v21\nds_read_u16 v1, v21 "
           "offset:2\nds_read_u16_d16 v2, v21 offset:4\n" +
           wait9,
       each([](L &l) {
         l.out[0] = uint32_t(int8_t(l.a[0]));
         l.out[1] = l.a[1] & 0xffff;
         l.out[2] = 0xffff0000 | l.a[2] >> 16;
       }),
       3},
      // Lanes add one after another: what was there comes back.
      {"atomic_9", "9",
       "v_mov_b32 v20, 0\nv_mov_b32 v21, 0\nds_write_b32 v20, v21\n" +
           std::string(wait9) + "ds_add_rtn_u32 v0, v20, v16\n" + wait9 +
           "ds_read_b32 v1, v20\n" + wait9,
       each([](L &l) { l.out[0] = l.id * (l.id - 1) / 2, l.out[1] = 63 * 32; }),
       2},
      // The operands of a compare and swap have changed places.
      {"swap_9", "9",
       own + "ds_write_b32 v21, v4\n" + wait9 +
           "ds_cmpst_rtn_b32 v0, v21, v4, v8\n" + wait9 +
           "ds_read_b32 v1, v21\n" + wait9,
       each([](L &l) { l.out[0] = l.a[0], l.out[1] = l.b[0]; }), 2},
      {"swap_11", "11",
       own + "ds_store_b32 v21, v4\n" + wait9 +
           "ds_cmpstore_rtn_b32 v0, v21, v8, v4\n" + wait9 +
           "ds_load_b32 v1, v21\n" + wait9,
       each([](L &l) { l.out[0] = l.a[0], l.out[1] = l.b[0]; }), 2},
  });
}

/// Generic pointers: into LDS by its aperture, into a lane's own memory.
TEST(AMDMemory, Generic) {
  auto same = each([](L &l) { std::copy_n(l.a, 4, l.out); });
  std::string aperture = "s_mov_b64 s[20:21], src_shared_base\nv_lshlrev_b32 "
                         "v20, 4, v16\nv_mov_b32 v21, s21\n";
  std::string own = "s_mov_b64 s[20:21], src_private_base\nv_mov_b32 v20, "
                    "16\nv_mov_b32 v21, s21\n";
  runCases({
      {"lds_9", "9",
       aperture + "ds_write_b128 v20, v[4:7]\n" + wait9 +
           "flat_load_dwordx4 v[0:3], v[20:21]\n" + wait9,
       same, 4},
      {"lds_11", "11",
       aperture + "flat_store_b128 v[20:21], v[4:7]\n" + wait9 +
           "ds_load_b128 v[0:3], v20\n" + wait9,
       same, 4},
      {"scratch_9", "9",
       "v_mov_b32 v20, 16\nscratch_store_dwordx4 v20, v[4:7], off offset:16\n" +
           std::string(wait9) +
           "s_mov_b32 s20, 32\nscratch_load_dwordx4 v[0:3], off, s20\n" + wait9,
       same, 4},
      {"scratch_11", "11",
       own + "flat_store_b128 v[20:21], v[4:7]\n" + wait9 +
           "s_waitcnt_vscnt null, 0\n" +
           "scratch_load_b128 v[0:3], off, off offset:16\n" + wait9,
       same, 4},
      {"scratch_12", "12",
       "v_mov_b32 v20, 16\nscratch_store_b128 v20, v[4:7], off offset:16\n" +
           std::string(wait12) +
           "scratch_load_b128 v[0:3], off, off offset:32\n" + wait12,
       same, 4},
  });
}

TEST(AMDMemory, Global) {
  std::string clear = "v_lshlrev_b32 v20, 4, v16\n";
  runCases({
      {"scalar_9", "9",
       "s_load_dwordx2 s[20:21], s[10:11], 0x10\n" + std::string(wait9) +
           "v_mov_b32 v0, s20\nv_mov_b32 v1, s21",
       [](std::vector<L> &lanes) {
         for (L &l : lanes)
           l.out[0] = lanes[1].a[0], l.out[1] = lanes[1].a[1];
       },
       2},
      // Data in the code, found from the program counter.
      {"pc_9", "9",
       "s_getpc_b64 s[20:21]\ns_branch 1f\n.long 0x12345678\n1:\n"
       "s_load_dword s22, s[20:21], 0x4\n" +
           std::string(wait9) + "v_mov_b32 v0, s22",
       each([](L &l) { l.out[0] = 0x12345678; })},
      {"bytes_12", "12",
       "s_load_i8 s20, s[10:11], 0x3\ns_wait_kmcnt 0\nv_mov_b32 v0, s20",
       [](std::vector<L> &lanes) {
         for (L &l : lanes)
           l.out[0] = uint32_t(int32_t(lanes[0].a[0]) >> 24);
       }},
      {"narrow_9", "9",
       clear +
           "v_mov_b32 v2, -1\nv_mov_b32 v3, -1\nglobal_load_sbyte v0, v20, "
           "s[10:11] offset:1\n"
           "global_load_ushort v1, v20, s[10:11] "
           "offset:2\nglobal_load_short_d16_hi v2, v20, s[10:11]\n"
           "global_load_ubyte_d16 v3, v20, s[10:11]\n" +
           wait9,
       each([](L &l) {
         l.out[0] = uint32_t(int32_t(int8_t(l.a[0] >> 8)));
         l.out[1] = l.a[0] >> 16;
         l.out[2] = l.a[0] << 16 | 0xffff;
         l.out[3] = 0xffff0000 | (l.a[0] & 255);
       }),
       4},
      // The output is memory that atomics may change.
      {"atomic_9", "9",
       "v_mov_b32 v20, 0\nv_mov_b32 v21, 0\nglobal_store_dword v20, v21, "
       "s[8:9]\n" +
           std::string(wait9) + "global_atomic_add v0, v20, v16, s[8:9] sc0\n" +
           wait9,
       each([](L &l) { l.out[0] = l.id * (l.id - 1) / 2; })},
      {"atomic_11", "11",
       "v_mov_b32 v20, 0\nv_mov_b32 v21, 0\nglobal_store_b32 v20, v21, "
       "s[8:9]\n" +
           std::string(wait9) +
           "global_atomic_add_u32 v0, v20, v16, s[8:9] glc\n" + wait9,
       each([](L &l) { l.out[0] = l.id * (l.id - 1) / 2; })},
      {"swap_12", "12",
       clear + "global_store_b64 v20, v[4:5], s[8:9]\n" + wait12 +
           "v_mov_b32 v22, v8\nv_mov_b32 v23, v9\n" +
           "v_mov_b32 v24, v4\nv_mov_b32 v25, v5\nglobal_atomic_cmpswap_b64 "
           "v[0:1], v20, v[22:25], s[8:9] "
           "th:TH_ATOMIC_RETURN\n" +
           wait12 + "global_load_b64 v[2:3], v20, s[8:9]\n" + wait12,
       each([](L &l) {
         std::copy_n(l.a, 2, l.out), std::copy_n(l.b, 2, l.out + 2);
       }),
       4},
      // A descriptor's size ends what may be read: zero comes from beyond.
      {"buffer_9", "9",
       clear +
           "s_mov_b32 s20, s10\ns_mov_b32 s21, s11\ns_movk_i32 s22, "
           "0x100\ns_mov_b32 s23, 0x20000\n"
           "buffer_load_dword v0, v20, s[20:23], 0 offen offset:4\n" +
           wait9,
       each([](L &l) { l.out[0] = l.id < 16 ? l.a[1] : 0; })},
  });
}

/// Ids of a grid of one dimension, wherever the chip puts them.
TEST(AMDMemory, GroupIds) {
  for (const std::string &chip : allChips) {
    bool gfx12 = chip == "gfx1201", gfx9 = chip == "gfx942";
    std::string body = std::string(gfx9 ? "s_load_dwordx2" : "s_load_b64") +
                       " s[8:9], s[0:1], 0x0\n" +
                       (gfx12 ? "s_mov_b32 s10, ttmp9\ns_wait_kmcnt 0\n"
                              : "s_mov_b32 s10, s2\ns_waitcnt lgkmcnt(0)\n") +
                       "v_mov_b32 v1, s10\ns_lshl_b32 s10, s10, 5\nv_or_b32 "
                       "v2, s10, v0\nv_lshlrev_b32 v2, 2, v2\n" +
                       (gfx9 ? "global_store_dword" : "global_store_b32") +
                       " v2, v1, s[8:9]";
    Loaded l = load(chip, assemble(chip, {{"ids", body}}));
    ASSERT_TRUE(l.module) << l.error;
    std::vector<uint32_t> out(7 * 32, ~0u);
    void *args[4] = {out.data()};
    Range range = {uint64_t(out.data()), out.size() * 4, true};
    Launch launch = {7,           32,     0, reinterpret_cast<uint8_t *>(args),
                     sizeof args, &range, 1, true};
    for (uint32_t g = 0; g < 7; ++g) {
      Counters counters;
      Fault fault;
      ASSERT_TRUE(l.module->find("ids")->run(launch, g, counters, fault))
          << chip << ": " << fault.what;
      EXPECT_EQ(counters.globalWritten, 128u);
    }
    for (uint32_t n = 0; n < out.size(); ++n)
      ASSERT_EQ(out[n], n / 32) << chip;
  }
}

/// LLVM reads an aligned unit for a part of it: what lies behind the buffer's
/// end is not read, and nothing may come of it.
TEST(AMDMemory, WidenedScalarLoad) {
  std::string begin =
      "s_load_dwordx4 s[8:11], s[0:1], 0x0\ns_waitcnt lgkmcnt(0)\n"
      "s_load_dwordx4 s[12:15], s[10:11], 0x0\ns_waitcnt lgkmcnt(0)\n"
      "v_mov_b32 v1, 0\nv_mov_b32 v2, s";
  std::string end = "\nglobal_store_dword v1, v2, s[8:9]";
  Loaded l = load("gfx942", assemble("gfx942", {{"good", begin + "14" + end},
                                                {"bad", begin + "15" + end}}));
  ASSERT_TRUE(l.module) << l.error;
  alignas(16) uint32_t in[4] = {1, 2, 3, 4};
  uint32_t out = 0;
  const void *args[4] = {&out, in};
  Range ranges[2] = {{uint64_t(&out), 4, true}, {uint64_t(in), 12, false}};
  Launch launch = {1,           64,     0, reinterpret_cast<uint8_t *>(args),
                   sizeof args, ranges, 2, true};
  Counters counters;
  Fault fault;
  ASSERT_TRUE(l.module->find("good")->run(launch, 0, counters, fault))
      << fault.what;
  EXPECT_EQ(out, 3u);
  EXPECT_FALSE(l.module->find("bad")->run(launch, 0, counters, fault));
  EXPECT_NE(fault.what.find("stores a value that was never written"),
            std::string::npos)
      << fault.what;
  // A unit that begins elsewhere is a bug of somebody's.
  ranges[1] = {uint64_t(in) + 4, 12, false};
  args[1] = in + 1;
  EXPECT_FALSE(l.module->find("good")->run(launch, 0, counters, fault));
}

/// What a kernel costs, counted where it is known: instructions by class, bytes
/// by space, and passes that LDS takes beyond the first.
TEST(AMDMemory, Counters) {
  std::string body = "v_lshlrev_b32 v1, 7, v0\nv_and_b32 v1, 0xfff, v1\n"
                     "v_lshlrev_b32 v2, 2, v0\nds_write_b32 v2, v0\n"
                     "s_waitcnt lgkmcnt(0)\nds_read_b32 v3, v1\n"
                     "s_waitcnt lgkmcnt(0)\ns_barrier\n";
  Loaded l = load("gfx942", assemble("gfx942", {{"k", body}}));
  ASSERT_TRUE(l.module) << l.error;
  uint64_t args[4] = {};
  Launch launch = {1,           64,      0, reinterpret_cast<uint8_t *>(args),
                   sizeof args, nullptr, 0, false};
  Counters c;
  Fault fault;
  ASSERT_TRUE(l.module->find("k")->run(launch, 0, c, fault)) << fault.what;
  EXPECT_EQ(c.instructions, 9u);
  EXPECT_EQ(c.arithmetic, 3u);
  EXPECT_EQ(c.memory, 2u);
  EXPECT_EQ(c.control, 4u);
  EXPECT_EQ(c.barriers, 1u);
  EXPECT_EQ(c.sharedWritten, 256u);
  EXPECT_EQ(c.sharedRead, 256u);
  // The write has none; all lanes of each half want the same bank to read.
  EXPECT_EQ(c.bankConflicts, 2 * 31u);
}

// 16 bytes a lane: eight lanes at a time fill the banks.
TEST(AMDMemory, ConflictsOfWideAccesses) {
  auto conflicts = [](const char *stride) {
    std::string body = "v_mul_u32_u24 v1, v0, " + std::string(stride) +
                       "\nds_read_b128 v[4:7], v1\ns_waitcnt lgkmcnt(0)\n";
    Loaded l = load("gfx942", assemble("gfx942", {{"k", body}}));
    EXPECT_TRUE(l.module) << l.error;
    uint64_t args[4] = {};
    Launch launch = {1,           64,      0, reinterpret_cast<uint8_t *>(args),
                     sizeof args, nullptr, 0, false};
    Counters c;
    Fault fault;
    EXPECT_TRUE(l.module->find("k")->run(launch, 0, c, fault)) << fault.what;
    return c.bankConflicts;
  };
  EXPECT_EQ(conflicts("16"), 0u);
  EXPECT_EQ(conflicts("48"), 0u); // rows padded to an odd multiple of 16 bytes
  EXPECT_EQ(conflicts("32"), 8u); // two lanes to a bank, eight times
  EXPECT_EQ(conflicts("0"), 0u);
}
