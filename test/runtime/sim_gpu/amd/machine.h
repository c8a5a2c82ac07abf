//===- machine.h - kernels in assembly text, run by the interpreter *- C++
//-*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TEST_SIM_GPU_AMD_MACHINE_H
#define ISTHMUS_TEST_SIM_GPU_AMD_MACHINE_H

#include "runtime/drivers/sim_gpu/machine.h"

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// A kernel's body. It finds its argument blob's address in s[0:1]; s_endpgm is
/// added.
struct Text {
  std::string name, body;
};

/// Assembles and links kernels for `chip`; a test's failure if that fails.
std::vector<char> assemble(const std::string &chip,
                           const std::vector<Text> &kernels,
                           unsigned privateBytes = 64);

struct Loaded {
  std::unique_ptr<isthmus::simgpu::Module> module;
  std::string error;
  isthmus::simgpu::LoadError kind;
};
Loaded load(const std::string &chip, const std::vector<char> &code);

/// What a lane computes with: 16 bytes of three inputs and one output.
struct Lane {
  unsigned id;
  uint32_t a[4], b[4], c[4], out[4] = {};
};

/// One kernel of three inputs, in v[4:7], v[8:11] and v[12:15] of each lane,
/// whose v[0:3] is compared: v16 holds the lane's id, later registers are free.
/// VCC and EXEC stand for the wave's mask.
struct Case {
  std::string name;
  std::string chips; // "9 11 12": those that have it
  std::string body;
  /// Expected results of the words that matter, from all lanes' inputs.
  std::function<void(std::vector<Lane> &)> expect;
  unsigned words = 1;
  std::function<void(std::vector<Lane> &)> inputs = nullptr;
  bool wide = false; // results are f64: any NaN will do
};
void runCases(const std::vector<Case> &cases);

/// The bodies around a case's: loads and stores in the chip's own words.
std::string withInputs(const std::string &chip, const std::string &body);
extern const std::vector<std::string> allChips;
unsigned lanesOf(const std::string &chip);

template <class To, class From> To as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
inline float f32(uint32_t x) { return as<float>(x); }
inline uint32_t bits(float x) { return as<uint32_t>(x); }
inline double f64(const uint32_t *x) {
  return as<double>(uint64_t(x[1]) << 32 | x[0]);
}
inline uint64_t u64(const uint32_t *x) { return uint64_t(x[1]) << 32 | x[0]; }
inline void put64(uint32_t *to, uint64_t v) {
  to[0] = uint32_t(v), to[1] = uint32_t(v >> 32);
}

/// Per lane, in a lambda's shortest form.
template <class F> std::function<void(std::vector<Lane> &)> each(F f) {
  return [f](std::vector<Lane> &lanes) {
    for (Lane &l : lanes)
      f(l);
  };
}

#endif // ISTHMUS_TEST_SIM_GPU_AMD_MACHINE_H
