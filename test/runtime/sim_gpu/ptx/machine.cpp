//===- machine.cpp - kernels of PTX text, run by the interpreter ----------===//
#include "machine.h"

#include <gtest/gtest.h>

using namespace isthmus::simgpu;

const char *const registers =
    ".reg .pred %p<16>; .reg .b16 %h<32>; .reg .b32 %r<64>; .reg .b64 "
    "%rd<64>;\n mov.u32 %r0, %tid.x;\n";

std::string text(const Ptx &ptx) {
  std::string s = ".version 7.0\n.target sm_80\n.address_size 64\n" +
                  ptx.module + ".visible .entry k(";
  for (unsigned i = 0; i < ptx.params; ++i)
    s += (i ? ", " : "") + (".param .u64 p" + std::to_string(i));
  return s + ")\n.reqntid " + std::to_string(ptx.threads) + "\n{\n" + ptx.body +
         "\n}\n";
}

Ran run(const Ptx &ptx, const std::vector<Buffer> &buffers, bool sanitize,
        uint32_t groups, uint32_t dynamic) {
  std::string code = text(ptx);
  Ran r = {false, "", 0, {}};
  LoadError kind;
  std::unique_ptr<Module> module =
      loadPtx("sm_80", code.data(), code.size(), kind, r.what);
  if (!module)
    return r;
  const Kernel *kernel = module->find("k");
  EXPECT_TRUE(kernel);
  std::vector<Range> ranges;
  std::vector<uint64_t> args(ptx.params);
  for (size_t i = 0; i < buffers.size(); ++i) {
    args[i] = reinterpret_cast<uint64_t>(buffers[i].bytes->data());
    ranges.push_back({args[i], buffers[i].bytes->size(), buffers[i].write});
  }
  Launch launch = {};
  launch.groups = groups;
  launch.threads = ptx.threads;
  launch.dynamicShared = dynamic;
  launch.args = reinterpret_cast<const uint8_t *>(args.data());
  launch.argsBytes = ptx.params * 8;
  launch.ranges = ranges.data();
  launch.rangeCount = ranges.size();
  launch.sanitize = sanitize;
  Fault fault;
  r.ok = true;
  for (uint32_t g = 0; g < groups && r.ok; ++g)
    r.ok = kernel->run(launch, g, r.counters, fault);
  if (!r.ok) {
    r.what = fault.what;
    r.thread = fault.lane;
  }
  return r;
}

std::vector<uint64_t> results(const std::string &body, unsigned threads,
                              bool sanitize) {
  std::vector<uint8_t> out(threads * 8, 0xee);
  Ptx ptx{registers + body, "", 1, threads};
  Ran r = run(ptx, {{&out, true}}, sanitize);
  EXPECT_TRUE(r.ok) << r.what << "\n" << body;
  std::vector<uint64_t> v(threads);
  std::memcpy(v.data(), out.data(), out.size());
  return v;
}
