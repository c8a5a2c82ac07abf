//===- machine.cpp - kernels in assembly text, run by the interpreter -----===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "machine.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <unistd.h>

using namespace isthmus::simgpu;

const std::vector<std::string> allChips = {"gfx942", "gfx1100", "gfx1201"};

unsigned lanesOf(const std::string &chip) { return chip == "gfx942" ? 64 : 32; }

std::vector<char> assemble(const std::string &chip,
                           const std::vector<Text> &kernels,
                           unsigned privateBytes) {
  bool gfx9 = chip == "gfx942";
  std::string text = ".amdgcn_target \"amdgcn-amd-amdhsa--" + chip + "\"\n",
              metadata;
  for (const Text &k : kernels) {
    text +=
        ".text\n.globl " + k.name + "\n.p2align 8\n.type " + k.name +
        ",@function\n" + k.name + ":\n" + k.body +
        "\ns_endpgm\n.rodata\n.p2align 6\n.amdhsa_kernel " + k.name +
        "\n.amdhsa_group_segment_fixed_size "
        "4096\n.amdhsa_private_segment_fixed_size " +
        std::to_string(privateBytes) +
        "\n.amdhsa_kernarg_size 32\n.amdhsa_user_sgpr_kernarg_segment_ptr "
        "1\n.amdhsa_next_free_vgpr 128\n"
        ".amdhsa_next_free_sgpr 96\n.amdhsa_float_denorm_mode_32 3\n" +
        (gfx9 ? ".amdhsa_accum_offset 64\n" : ".amdhsa_wavefront_size32 1\n") +
        ".end_amdhsa_kernel\n";
    metadata +=
        "  - .name: " + k.name + "\n    .symbol: " + k.name +
        ".kd\n    .kernarg_segment_size: 32\n    .kernarg_segment_align: 8\n"
        "    .group_segment_fixed_size: 4096\n    .private_segment_fixed_size: "
        "64\n    .wavefront_size: " +
        std::to_string(lanesOf(chip)) +
        "\n    .sgpr_count: 96\n    .vgpr_count: 128\n    "
        ".max_flat_workgroup_size: 256\n";
  }
  text += ".amdgpu_metadata\n---\namdhsa.version: [ 1, 2 ]\namdhsa.kernels:\n" +
          metadata + "...\n.end_amdgpu_metadata\n";

  // mkdtemp fills the end in.
  std::string folder = testing::TempDir() + "isthmus-amd-XXXXXX";
  if (!mkdtemp(folder.data())) {
    ADD_FAILURE() << "no temporary folder";
    return {};
  }
  std::string base = folder + "/k";
  std::ofstream(base + ".s") << text;
  std::string command = std::string(ISTHMUS_TEST_LLVM_MC) +
                        " -triple=amdgcn-amd-amdhsa -mcpu=" + chip +
                        " -filetype=obj " + base + ".s -o " + base +
                        ".o && " ISTHMUS_TEST_LLD " -shared " + base +
                        ".o -o " + base + ".hsaco";
  std::vector<char> code;
  if (std::system(command.c_str()) != 0) {
    ADD_FAILURE() << "does not assemble for " << chip;
  } else {
    std::ifstream in(base + ".hsaco", std::ios::binary);
    code.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (const char *end : {".s", ".o", ".hsaco"})
    std::remove((base + end).c_str());
  rmdir(folder.c_str());
  return code;
}

Loaded load(const std::string &chip, const std::vector<char> &code) {
  Loaded l;
  l.module = loadCodeObject(chip, code.data(), code.size(), l.kind, l.error);
  return l;
}

static std::string wordOf(const std::string &chip, const std::string &gfx9,
                          const std::string &later) {
  return chip == "gfx942" ? gfx9 : later;
}

static std::string withMasks(const std::string &chip, std::string body) {
  for (auto [from, to] : {std::pair("VCC", wordOf(chip, "vcc", "vcc_lo")),
                          {"EXEC", wordOf(chip, "exec", "exec_lo")}})
    for (size_t at; (at = body.find(from)) != std::string::npos;)
      body.replace(at, std::strlen(from), to);
  return body;
}

std::string withInputs(const std::string &chip, const std::string &body) {
  std::string read = wordOf(chip, "global_load_dwordx4", "global_load_b128");
  std::string scalar = wordOf(chip, "s_load_dwordx8", "s_load_b256");
  bool gfx12 = chip == "gfx1201";
  return scalar +
         " s[8:15], s[0:1], 0x0\nv_mov_b32 v16, v0\nv_lshlrev_b32 v17, 4, "
         "v0\n" +
         (gfx12 ? "s_wait_kmcnt 0\n" : "s_waitcnt lgkmcnt(0)\n") + read +
         " v[4:7], v17, s[10:11]\n" + read + " v[8:11], v17, s[12:13]\n" +
         read + " v[12:15], v17, s[14:15]\n" +
         (gfx12 ? "s_wait_loadcnt 0\n" : "s_waitcnt vmcnt(0)\n") +
         "v_mov_b32 v0, 0\nv_mov_b32 v1, 0\nv_mov_b32 v2, 0\nv_mov_b32 v3, "
         "0\n" +
         withMasks(chip, body) + "\n" +
         wordOf(chip, "global_store_dwordx4", "global_store_b128") +
         " v17, v[0:3], s[8:9]\n";
}

/// Numbers of all kinds, floats' corners among them.
static uint32_t anyNumber(std::mt19937 &random) {
  static const uint32_t corners[] = {
      0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
      0x7fc00000, 0x00000001, 0x807fffff, 0x7f7fffff, 0x4f000000, 0xcf000001,
      0xffffffff, 0x7fffffff, 0x3c003c00, 0x00018001};
  switch (random() % 4) {
  case 0:
    return corners[random() % 16];
  case 1:
    return bits(float(int(random() % 4096)) / 16 - 100);
  default:
    return uint32_t(random());
  }
}

void runCases(const std::vector<Case> &cases) {
  for (const std::string &chip : allChips) {
    std::string generation = chip == "gfx942"    ? "9"
                             : chip == "gfx1100" ? "11"
                                                 : "12";
    std::vector<const Case *> own;
    std::vector<Text> texts;
    for (const Case &c : cases)
      if ((" " + c.chips + " ").find(" " + generation + " ") !=
          std::string::npos) {
        own.push_back(&c);
        texts.push_back({c.name, withInputs(chip, c.body)});
      }
    if (own.empty())
      continue;
    Loaded l = load(chip, assemble(chip, texts));
    ASSERT_TRUE(l.module) << chip << ": " << l.error;
    for (const Case *c : own) {
      const Kernel *kernel = l.module->find(c->name);
      ASSERT_TRUE(kernel);
      for (unsigned seed = 0; seed < 4; ++seed) {
        std::mt19937 random(seed + 1);
        std::vector<Lane> lanes(lanesOf(chip));
        for (unsigned n = 0; n < lanes.size(); ++n) {
          lanes[n].id = n;
          for (unsigned k = 0; k < 4; ++k) {
            lanes[n].a[k] = anyNumber(random);
            lanes[n].b[k] = anyNumber(random);
            lanes[n].c[k] = anyNumber(random);
          }
        }
        if (c->inputs)
          c->inputs(lanes);
        std::vector<uint32_t> in[3], out(lanes.size() * 4);
        for (const Lane &lane : lanes) {
          in[0].insert(in[0].end(), lane.a, lane.a + 4);
          in[1].insert(in[1].end(), lane.b, lane.b + 4);
          in[2].insert(in[2].end(), lane.c, lane.c + 4);
        }
        const void *args[4] = {out.data(), in[0].data(), in[1].data(),
                               in[2].data()};
        Range ranges[4];
        for (unsigned n = 0; n < 4; ++n)
          ranges[n] = {uint64_t(args[n]), out.size() * 4, n == 0};
        Launch launch = {1,           unsigned(lanes.size()),
                         0,           reinterpret_cast<uint8_t *>(args),
                         sizeof args, ranges,
                         4,           bool(seed & 1)};
        Counters counters;
        Fault fault;
        ASSERT_TRUE(kernel->run(launch, 0, counters, fault))
            << chip << " " << c->name << ": " << fault.what;
        c->expect(lanes);
        for (const Lane &lane : lanes)
          for (unsigned k = 0; k < c->words; ++k) {
            uint32_t got = out[lane.id * 4 + k], want = lane.out[k];
            // One NaN is as good as another.
            const uint32_t *pair = &out[lane.id * 4 + k / 2 * 2];
            bool nan = c->wide ? std::isnan(f64(pair)) &&
                                     std::isnan(f64(lane.out + k / 2 * 2))
                               : std::isnan(f32(got)) && std::isnan(f32(want));
            EXPECT_TRUE(got == want || nan)
                << chip << " " << c->name << ", lane " << lane.id << ", word "
                << k << std::hex << ": got 0x" << got << ", want 0x" << want
                << " of a 0x" << lane.a[0] << " 0x" << lane.a[1] << " b 0x"
                << lane.b[0] << " 0x" << lane.b[1] << " c 0x" << lane.c[0];
            if (!(got == want || nan))
              return;
          }
      }
    }
  }
}
