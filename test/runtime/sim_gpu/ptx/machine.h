//===- machine.h - kernels of PTX text, run by the interpreter --*- C++ -*-===//
#ifndef ISTHMUS_TEST_SIM_GPU_PTX_MACHINE_H
#define ISTHMUS_TEST_SIM_GPU_PTX_MACHINE_H

#include "runtime/drivers/sim_gpu/machine.h"

#include <cstring>
#include <functional>
#include <string>
#include <vector>

template <typename To, typename From> To as(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

/// A kernel `k` of parameters p0, p1, ...: .u64 each.
struct Ptx {
  std::string body;        // with its registers, without the braces
  std::string module = ""; // before the kernel
  unsigned params = 4, threads = 32;
};
std::string text(const Ptx &ptx);
/// Registers for bodies: %p<16> %h<32> %r<64> %rd<64>, and the thread in %r0.
extern const char *const registers;

struct Buffer {
  std::vector<uint8_t> *bytes;
  bool write;
};

struct Ran {
  bool ok;
  std::string what; // the fault, or why it did not load
  uint32_t thread = 0;
  isthmus::simgpu::Counters counters;
};
/// Runs the groups one after the other. Parameters are the buffers' addresses.
Ran run(const Ptx &ptx, const std::vector<Buffer> &buffers,
        bool sanitize = false, uint32_t groups = 1, uint32_t dynamic = 0);

/// 32 results of 64 bits; parameter 0 is where they go.
std::vector<uint64_t> results(const std::string &body, unsigned threads = 32,
                              bool sanitize = true);

#endif // ISTHMUS_TEST_SIM_GPU_PTX_MACHINE_H
