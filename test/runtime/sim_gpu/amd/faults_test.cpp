//===- faults_test.cpp - seeded bugs are found, broken code objects refused
//===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "machine.h"

#include <gtest/gtest.h>
#include <random>

using namespace isthmus::simgpu;

namespace {
struct Result {
  bool ok;
  Fault fault;
};

/// Runs two waves' worth of lanes; inputs are zeros and ones.
Result runKernel(const std::string &chip, const Kernel &kernel, bool sanitize) {
  unsigned threads = 2 * lanesOf(chip);
  std::vector<uint32_t> memory[4];
  const void *args[4];
  Range ranges[4];
  for (unsigned n = 0; n < 4; ++n) {
    memory[n].assign(threads * 4, n == 2);
    args[n] = memory[n].data();
    ranges[n] = {uint64_t(args[n]), memory[n].size() * 4, n == 0};
  }
  Launch launch = {1,           threads, 0, reinterpret_cast<uint8_t *>(args),
                   sizeof args, ranges,  4, sanitize};
  Counters counters;
  Result r;
  r.ok = kernel.run(launch, 0, counters, r.fault);
  return r;
}

/// The bug is reported in these words, and the same without it is clean.
Fault found(const std::string &chip, const std::string &bug,
            const std::string &clean, const std::string &words,
            bool sanitize = false) {
  Loaded l = load(chip, assemble(chip, {{"bad", withInputs(chip, bug)},
                                        {"good", withInputs(chip, clean)}}));
  EXPECT_TRUE(l.module) << l.error;
  if (!l.module)
    return {};
  Result bad = runKernel(chip, *l.module->find("bad"), sanitize);
  EXPECT_FALSE(bad.ok) << chip << " does not see: " << bug;
  EXPECT_NE(bad.fault.what.find(words), std::string::npos) << bad.fault.what;
  Result good = runKernel(chip, *l.module->find("good"), sanitize);
  EXPECT_TRUE(good.ok) << chip << ": " << clean << ": " << good.fault.what;
  return bad.fault;
}

const std::string wait9 = "s_waitcnt vmcnt(0) lgkmcnt(0)\n",
                  wait12 = "s_wait_loadcnt 0\ns_wait_dscnt 0\n";
} // namespace

TEST(AMDFaults, Bounds) {
  auto load = [](int offset) {
    return "global_load_dword v0, v17, s[10:11] offset:" +
           std::to_string(offset) + "\n" + wait9;
  };
  found("gfx942", load(4092), load(12), "reads 4 bytes at buffer ");
  found("gfx942", load(-4), load(0), "reads 4 bytes at");
  found("gfx1201", "global_store_b32 v17, v4, s[10:11]\n",
        "global_store_b32 v17, v4, s[8:9]\n", "is only read");
  found("gfx1100", "v_mov_b32 v20, 0x1000\nds_store_b32 v20, v4\n",
        "v_mov_b32 v20, 0xffc\nds_store_b32 v20, v4\n",
        "writes 4 bytes at LDS + 4096, which has 4096 bytes");
  found("gfx942", "scratch_store_dword off, v4, off offset:64\n",
        "scratch_store_dword off, v4, off offset:60\n",
        "a lane's own memory, which has 64 bytes");
  found("gfx942", "s_load_dword s20, s[10:11], 0x4000\n" + wait9,
        "s_load_dword s20, s[10:11], 0x400\n" + wait9, "reads 4 bytes at");
  // Which thread of the workgroup it was: the second wave's.
  std::string far = "v_cmp_eq_u32 vcc, 70, v16\nv_cndmask_b32 v20, 0, 1, vcc\n"
                    "v_lshlrev_b32 v20, 20, v20\n";
  std::string get = "global_load_dword v0, v20, s[10:11]\n" + wait9;
  EXPECT_EQ(
      found("gfx942", far + get, "v_mov_b32 v20, 0\n" + get, "reads 4").lane,
      70u);
}

TEST(AMDFaults, Waits) {
  std::string load = "global_load_dword v0, v17, s[10:11]\n",
              load11 = "global_load_b32 v0, v17, s[10:11]\n";
  found("gfx942", load + "v_add_u32 v0, v0, v4\n",
        load + wait9 + "v_add_u32 v0, v0, v4\n",
        "uses v0 before waiting for the load");
  found("gfx942",
        load + "global_load_dword v1, v17, s[10:11]\ns_waitcnt "
               "vmcnt(1)\nv_mov_b32 v2, v1\n",
        load +
            "global_load_dword v1, v17, s[10:11]\ns_waitcnt "
            "vmcnt(1)\nv_mov_b32 v2, v0\n" +
            wait9,
        "uses v1 before");
  found("gfx1100", load11 + "v_mov_b32 v0, 0\n",
        load11 + wait9 + "v_mov_b32 v0, 0\n", "writes v0 before waiting");
  found("gfx1201",
        "ds_store_b32 v17, v4\nds_load_b32 v0, v17\ns_wait_loadcnt "
        "0\nv_mov_b32 v1, v0\n",
        "ds_store_b32 v17, v4\nds_load_b32 v0, v17\ns_wait_dscnt 0\nv_mov_b32 "
        "v1, v0\n",
        "uses v0 before");
  // Scalar loads come in any order: only zero will do.
  std::string two =
      "s_load_dword s20, s[10:11], 0x0\ns_load_dword s21, s[10:11], 0x4\n";
  found("gfx942", two + "s_waitcnt lgkmcnt(1)\ns_mov_b32 s22, s20\n",
        two + "s_waitcnt lgkmcnt(0)\ns_mov_b32 s22, s20\n", "uses s20 before");
  found("gfx1201", "s_load_b32 s20, s[10:11], 0x0\ns_add_co_i32 s21, s20, 1\n",
        "s_load_b32 s20, s[10:11], 0x0\ns_wait_kmcnt 0\ns_add_co_i32 s21, s20, "
        "1\n",
        "uses s20 before");
}

TEST(AMDFaults, Misaligned) {
  found("gfx942", "v_mov_b32 v20, 2\nds_read_b32 v90, v20\n" + wait9,
        "v_mov_b32 v20, 4\nds_read_b32 v90, v20\n" + wait9, "misaligned", true);
  found("gfx942",
        "s_add_u32 s10, s10, 2\ns_load_dword s20, s[10:11], 0x0\n" + wait9,
        "s_add_u32 s10, s10, 4\ns_load_dword s20, s[10:11], 0x0\n" + wait9,
        "misaligned");
  found("gfx1100", "v_mov_b32 v20, 2\nglobal_atomic_add_u32 v20, v4, s[8:9]\n",
        "v_mov_b32 v20, 4\nglobal_atomic_add_u32 v20, v4, s[8:9]\n",
        "misaligned");
}

// Matrix operations run for lanes that are off, whose operands nobody brought.
TEST(AMDFaults, MatrixLanes) {
  std::string operands = "v_mov_b32 v40, 0\nv_mov_b32 v41, 0\n",
              some = "v_cmp_gt_u32 vcc, 7, v16\ns_and_saveexec_b64 s[20:21], "
                     "vcc\n",
              all = "s_mov_b64 exec, s[20:21]\n",
              mfma = "v_mfma_f32_16x16x16_f16 v[44:47], v[40:41], v[40:41], "
                     "0\n";
  found("gfx942", operands + some + mfma + all, operands + some + all + mfma,
        "multiplies where some lanes are off", true);
}

TEST(AMDFaults, Barriers) {
  // One wave goes round it.
  std::string skip9 = "v_readfirstlane_b32 s20, v16\ns_cmp_eq_u32 s20, "
                      "0\ns_cbranch_scc1 1f\ns_barrier\n1:\n";
  found("gfx942", skip9, "s_barrier\n", "ended before a barrier");
  std::string skip12 =
      "v_readfirstlane_b32 s20, v16\ns_cmp_eq_u32 s20, 0\ns_cbranch_scc1 1f\n"
      "s_barrier_signal -1\ns_barrier_wait -1\n1:\n";
  found("gfx1201", skip12, "s_barrier_signal -1\ns_barrier_wait -1\n",
        "ended before a barrier");
  found("gfx1201", "s_barrier_wait -1\n",
        "s_barrier_signal -1\ns_barrier_wait -1\n", "no other wave signals");
  found("gfx942",
        "v_cmp_gt_u32 vcc, 7, v4\nv_cmp_gt_u32 vcc, 70, "
        "v16\ns_and_saveexec_b64 s[20:21], vcc\ns_barrier\n"
        "s_mov_b64 exec, s[20:21]\n",
        "v_cmp_gt_u32 vcc, 70, v16\ns_and_saveexec_b64 s[20:21], "
        "vcc\ns_mov_b64 exec, s[20:21]\ns_barrier\n",
        "not all lanes", true);
}

TEST(AMDFaults, Races) {
  // Each lane writes its word and reads that of the other wave.
  std::string other9 = "v_xor_b32 v20, 64, v16\nv_lshlrev_b32 v20, 2, "
                       "v20\nv_lshlrev_b32 v21, 2, v16\nds_write_b32 v21, v4\n";
  std::string read9 = "ds_read_b32 v90, v20\n" + wait9;
  found("gfx942", other9 + wait9 + read9,
        other9 + wait9 + "s_barrier\n" + read9, "race: ", true);
  // The write is still under way at the barrier.
  found("gfx942", other9 + "s_barrier\n" + read9,
        other9 + wait9 + "s_barrier\n" + read9, "race: ", true);
  std::string own = "v_lshlrev_b32 v20, 2, v16\n";
  found("gfx1201", "v_mov_b32 v20, 0\nds_store_b32 v20, v4\n",
        own + "ds_store_b32 v20, v4\n", "race: ", true);
  // Atomics are no race with each other.
  found("gfx1201",
        own + "v_mov_b32 v21, 0\nds_store_b32 v20, v4\nds_add_u32 v21, v4\n",
        own + "v_mov_b32 v21, 0\nds_store_b32 v20, v4\ns_wait_dscnt "
              "0\ns_barrier_signal -1\n"
              "s_barrier_wait -1\nds_add_u32 v21, v4\n",
        "race: ", true);
}

TEST(AMDFaults, Unwritten) {
  found("gfx942", "v_mov_b32 v0, v99\n", "v_mov_b32 v0, v4\n",
        "stores a value that was never written", true);
  found("gfx942", "v_add_u32 v0, v99, v4\n", "v_and_b32 v0, 0, v99\n",
        "stores a value that was never written", true);
  found("gfx1100", "v_mov_b32 v0, s90\n", "v_mov_b32 v0, s8\n",
        "stores a value", true);
  found("gfx942", "global_load_dword v0, v99, s[10:11]\n" + wait9,
        "global_load_dword v0, v17, s[10:11]\n" + wait9,
        "an address depends on v99", true);
  found("gfx1201", "s_cmp_eq_u32 s90, 0\ns_cbranch_scc1 1f\n1:\n",
        "s_cmp_eq_u32 s8, 0\ns_cbranch_scc1 1f\n1:\n",
        "a branch depends on scc", true);
  found("gfx942",
        "v_cmp_eq_u32 vcc, v99, v4\ns_and_saveexec_b64 s[20:21], "
        "vcc\ns_mov_b64 exec, s[20:21]\n",
        "v_cmp_eq_u32 vcc, v4, v4\ns_and_saveexec_b64 s[20:21], vcc\ns_mov_b64 "
        "exec, s[20:21]\n",
        "exec depends on s106", true);
  found("gfx942", "ds_read_b32 v0, v17 offset:0\n" + wait9,
        "ds_write_b32 v17, v4\n" + wait9 + "ds_read_b32 v0, v17\n" + wait9,
        "stores a value that was never written", true);
  // The high half was never written, and nobody looks at it.
  found("gfx942",
        "global_load_short_d16 v90, v17, s[10:11]\n" + wait9 +
            "v_mov_b32 v0, v90\n",
        "global_load_short_d16 v90, v17, s[10:11]\n" + wait9 +
            "v_and_b32 v0, 0xffff, v90\n",
        "stores a value", true);
}

TEST(AMDFaults, CodeObjects) {
  std::vector<char> good =
      assemble("gfx942", {{"k", withInputs("gfx942", "s_barrier")}});
  ASSERT_TRUE(load("gfx942", good).module);
  Loaded other = load("gfx1100", good);
  EXPECT_FALSE(other.module);
  EXPECT_EQ(other.kind, LoadError::unsupported);
  EXPECT_NE(other.error.find("gfx942"), std::string::npos) << other.error;

  Loaded unknown = load("gfx942", assemble("gfx942", {{"k", "s_trap 2"}}));
  EXPECT_FALSE(unknown.module);
  EXPECT_NE(unknown.error.find("kernel 'k'"), std::string::npos)
      << unknown.error;
  EXPECT_NE(unknown.error.find("s_trap is not known"), std::string::npos)
      << unknown.error;

  // LLVM leaves nothing of a body that cannot be run; it may be loaded.
  std::vector<Text> two = {{"k", "s_nop 0"},
                           {"none", "s_branch .Lout\n.Lout = . + 4"}};
  Loaded none = load("gfx942", assemble("gfx942", two));
  ASSERT_TRUE(none.module) << none.error;
  uint64_t args[4] = {};
  Launch launch = {1,           64,      0, reinterpret_cast<uint8_t *>(args),
                   sizeof args, nullptr, 0, false};
  Counters counters;
  Fault fault;
  EXPECT_TRUE(none.module->find("k")->run(launch, 0, counters, fault));
  EXPECT_FALSE(none.module->find("none")->run(launch, 0, counters, fault));
  EXPECT_NE(fault.what.find("runs out of its code"), std::string::npos)
      << fault.what;

  // Cut short, and bytes changed: refused or run, never a crash.
  for (size_t n = 0; n < good.size(); n += 97) {
    std::vector<char> cut(good.begin(), good.begin() + long(n));
    Loaded l = load("gfx942", cut);
    EXPECT_TRUE(l.module || !l.error.empty());
  }
  std::mt19937 random(1);
  unsigned refused = 0;
  for (unsigned n = 0; n < 500; ++n) {
    std::vector<char> bad = good;
    size_t end = n % 2 ? 1024 : bad.size();
    for (unsigned k = 0; k <= random() % 3; ++k)
      bad[random() % std::min(end, bad.size())] = char(random());
    Loaded l = load("gfx942", bad);
    refused += !l.module;
    EXPECT_TRUE(l.module || !l.error.empty());
  }
  EXPECT_GT(refused, 50u);
}
