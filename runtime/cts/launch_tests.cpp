//===- launch_tests.cpp - level 1: code, kernels, launches ----------------===//
#include "harness.h"

#include <algorithm>

using namespace isthmus::cts;

namespace {

void add(const Context &c) {
  Device d(c);
  Queue q(d);
  for (uint64_t n : {1, 255, 256, 257, 5000}) {
    std::vector<uint32_t> a = noise(n, 1), b = noise(n, 2);
    Memory ma = d.upload(q, a), mb = d.upload(q, b), y = d.alloc(4 * n + 4);
    q.fill(y.at(), 0x11, 4 * n + 4);
    q.launch(d.kernels().add, groups(n),
             {n, in(ma.at(), 4 * n), in(mb.at(), 4 * n), out(y.at(), 4 * n)});
    std::vector<uint32_t> got = d.download<uint32_t>(q, y.at(), n + 1);
    for (uint64_t i = 0; i < n; ++i)
      CTS_THAT(got[i] == a[i] + b[i], "element %d of %d", static_cast<int>(i),
               static_cast<int>(n));
    CTS_CHECK(got[n] == 0x11111111);
  }
}

/// Addresses within an allocation, and one tensor as both inputs.
void offsets(const Context &c) {
  Device d(c);
  Queue q(d);
  std::vector<uint32_t> data = noise(4000, 3);
  Memory m = d.upload(q, data);
  constexpr uint64_t n = 900;
  q.launch(
      d.kernels().add, groups(n),
      {n, in(m.at(256), 4 * n), in(m.at(256), 4 * n), out(m.at(8192), 4 * n)});
  std::vector<uint32_t> got = d.download<uint32_t>(q, m.at(), 4000);
  for (uint64_t i = 0; i < n; ++i)
    CTS_CHECK(got[2048 + i] == 2 * data[64 + i]);
}

/// Each kind of argument, with their upper halves.
void argKinds(const Context &c) {
  Device d(c);
  Queue q(d);
  std::vector<uint32_t> data = noise(256, 4);
  Memory x = d.upload(q, data), y = d.alloc(1024);
  constexpr ist_arg_kind A = IST_ARG_ADDRESS, S = IST_ARG_SCALAR,
                         B = IST_ARG_BYTES;
  for (ist_arg_kind kind : {S, B}) {
    Kernel scale = d.kernel("scale", argsOf({kind, kind, A, A}));
    // More elements than 32 bits count; the grid sees to the first.
    q.fill(y.at(), 0, 1024);
    q.launch(scale, 1,
             {uint64_t(1) << 32, 3, in(x.at(), 1024), out(y.at(), 1024)});
    std::vector<uint32_t> got = d.download<uint32_t>(q, y.at(), 256);
    for (size_t i = 0; i < 256; ++i)
      CTS_CHECK(got[i] == data[i] * 3 + 1);
  }
}

void gridZero(const Context &c) {
  Device d(c);
  Queue q(d);
  Memory m = d.upload<uint32_t>(q, {5});
  q.launch(d.kernels().count, 0, {0, inout(m.at(), 4)});
  CTS_CHECK(d.download<uint32_t>(q, m.at(), 1)[0] == 5);
}

/// Each workgroup once.
void grids(const Context &c) {
  Device d(c);
  Queue q(d);
  uint64_t big = std::min<uint64_t>(d.description.max_grid, 1 << 20);
  for (uint64_t grid : {uint64_t(1), uint64_t(2), uint64_t(3), uint64_t(65535),
                        uint64_t(65536), uint64_t(70001), big}) {
    if (grid > d.description.max_grid)
      continue;
    Memory m = d.alloc(4 * grid + 4);
    q.fill(m.at(), 0, 4 * grid + 4);
    q.launch(d.kernels().count, grid, {grid, inout(m.at(), 4 * grid)});
    std::vector<uint32_t> expected(grid + 1, 1);
    expected.back() = 0;
    CTS_THAT(d.download<uint32_t>(q, m.at(), grid + 1) == expected,
             "a grid of %llu", static_cast<unsigned long long>(grid));
  }
}

void gridTooLarge(const Context &c) {
  Device d(c);
  if (d.description.max_grid >= INT64_MAX)
    throw Lacking{"any grid will do"};
  Queue q(d);
  Memory m = d.upload<uint32_t>(q, {5});
  Launch l(d.kernels().count, d.description.max_grid + 1,
           {1, inout(m.at(), 4)});
  CTS_FAILS(d.driver->launch(q.handle, &l.launch, &error),
            IST_INVALID_ARGUMENT);
}

/// launch copies what it is given.
void argsAreCopied(const Context &c) {
  Device d(c);
  Queue q(d);
  Memory word = d.upload<uint32_t>(q, {1}), m = d.upload(q, noise(256, 5)),
         y = d.alloc(1024);
  q.launch(d.kernels().spin, 1, {1000000, inout(word.at(), 4)});
  Launch l(d.kernels().scale, 1, {256, 7, in(m.at(), 1024), out(y.at(), 1024)});
  CTS_OK(d.driver->launch(q.handle, &l.launch, &error));
  std::fill(l.blob.begin(), l.blob.end(), UINT64_MAX);
  std::memset(l.ranges.data(), 0xff, l.ranges.size() * sizeof l.ranges[0]);
  std::memset(&l.launch, 0xff, sizeof l.launch);
  std::vector<uint32_t> data = noise(256, 5),
                        got = d.download<uint32_t>(q, y.at(), 256);
  for (size_t i = 0; i < 256; ++i)
    CTS_CHECK(got[i] == data[i] * 7 + 1);
  CTS_CHECK(d.download<uint32_t>(q, word.at(), 1)[0] == spun(1, 1000000));
}

/// A tensor without elements has an address below 4096.
void emptyTensor(const Context &c) {
  Device d(c);
  Queue q(d);
  Memory y = d.upload<uint32_t>(q, {9});
  q.launch(d.kernels().add, 1, {0, in(64, 0), in(64, 0), out(y.at(), 4)});
  CTS_CHECK(d.download<uint32_t>(q, y.at(), 1)[0] == 9);
}

/// Hundreds of launches, each of which needs the one before.
void chain(const Context &c) {
  Device d(c);
  Queue q(d);
  std::vector<uint32_t> data = noise(700, 6);
  Memory a = d.upload(q, data), b = d.alloc(2800);
  for (uint32_t i = 0; i < 300; ++i) {
    bool odd = i & 1;
    q.launch(
        d.kernels().scale, groups(700),
        {700, i, in((odd ? b : a).at(), 2800), out((odd ? a : b).at(), 2800)});
    for (uint32_t &x : data)
      x = x * i + 1;
  }
  CTS_CHECK(d.download<uint32_t>(q, a.at(), 700) == data);
}

/// Inputs may have grown since this driver was built: a tail of zeros says
/// nothing, any other says what it does not know.
template <typename T> struct Grown {
  T now;
  uint64_t tail;
};
template <typename T> Grown<T> grown(const T &now, uint64_t tail) {
  Grown<T> g = {now, tail};
  g.now.struct_size = sizeof g;
  return g;
}

void unknownMembers(const Context &c) {
  Device d(c);
  Queue q(d);
  const Kernel count = d.kernels().count;
  Memory m = d.upload<uint32_t>(q, {0});
  Launch l(count, 1, {1, inout(m.at(), 4)});
  auto launch = grown(l.launch, 0);
  CTS_OK(d.driver->launch(q.handle, &launch.now, &error));
  launch.tail = 1;
  CTS_FAILS(d.driver->launch(q.handle, &launch.now, &error), IST_UNIMPLEMENTED);

  Semaphore s(d);
  ist_driver_point point = s.point(1);
  auto submit = grown(ist_driver_submit{0, nullptr, 0, &point, 1, 0}, 1);
  CTS_FAILS(d.driver->submit(q.handle, &submit.now, &error), IST_UNIMPLEMENTED);
  submit.tail = 0;
  CTS_OK(d.driver->submit(q.handle, &submit.now, &error));
  s.wait(1);
  CTS_CHECK(d.download<uint32_t>(q, m.at(), 1)[0] == 1);

  uint32_t data[16] = {};
  auto import = grown(ist_import{0, IST_IMPORT_HOST, 0,
                                 reinterpret_cast<uint64_t>(data), sizeof data},
                      1);
  ist_driver_memory memory = {};
  CTS_FAILS(d.driver->import(d.handle, &import.now, &memory, &error),
            IST_UNIMPLEMENTED);

  auto options = grown(ist_module_options{0, c.format.c_str(), nullptr}, 1);
  ist_driver_module *module = nullptr;
  CTS_FAILS(d.driver->module_load(d.handle, c.code.data(), c.code.size(),
                                  &options.now, &module, &error),
            IST_UNIMPLEMENTED);
  options.tail = 0;
  CTS_OK(d.driver->module_load(d.handle, c.code.data(), c.code.size(),
                               &options.now, &module, &error));
  std::vector<ist_arg> args = argsOf({IST_ARG_SCALAR, IST_ARG_ADDRESS});
  ist_kernel_desc base = {};
  base.name = "count";
  base.args = args.data();
  base.arg_count = args.size();
  base.args_bytes = 16;
  base.block = c.block;
  auto desc = grown(base, 1);
  const ist_driver_kernel *kernel = nullptr;
  CTS_FAILS(d.driver->kernel_get(module, &desc.now, &kernel, &error),
            IST_UNIMPLEMENTED);
  desc.tail = 0;
  CTS_OK(d.driver->kernel_get(module, &desc.now, &kernel, &error));
  d.driver->module_unload(module);
}

void moduleTwice(const Context &c) {
  Device d(c);
  Queue q(d);
  ist_module_options options = {sizeof options, c.format.c_str(), "cts"};
  Memory m = d.upload<uint32_t>(q, {0});
  for (int i = 0; i < 3; ++i) {
    if (c.code.empty())
      throw Lacking{"no kernels for this device; give them with --kernels"};
    ist_driver_module *module = nullptr;
    CTS_OK(d.driver->module_load(d.handle, c.code.data(), c.code.size(),
                                 &options, &module, &error));
    std::vector<ist_arg> args = argsOf({IST_ARG_SCALAR, IST_ARG_ADDRESS});
    ist_kernel_desc desc = {};
    desc.struct_size = sizeof desc;
    desc.name = "count";
    desc.args = args.data();
    desc.arg_count = args.size();
    desc.args_bytes = 16;
    desc.block = c.block;
    for (int j = 0; j < 2; ++j) { // the same kernel once more
      Kernel k = {nullptr, 16, c.block};
      CTS_OK(d.driver->kernel_get(module, &desc, &k.kernel, &error));
      q.launch(k, 1, {1, inout(m.at(), 4)});
    }
    q.finish();
    d.driver->module_unload(module);
  }
  CTS_CHECK(d.download<uint32_t>(q, m.at(), 1)[0] == 6);
}

void kernelMissing(const Context &c) {
  Device d(c);
  d.kernels();
  ist_module_options options = {sizeof options, c.format.c_str(), nullptr};
  ist_driver_module *module = nullptr;
  CTS_OK(d.driver->module_load(d.handle, c.code.data(), c.code.size(), &options,
                               &module, &error));
  ist_kernel_desc desc = {};
  desc.struct_size = sizeof desc;
  desc.name = "no_such_kernel";
  desc.block = c.block;
  const ist_driver_kernel *kernel = nullptr;
  CTS_FAILS(d.driver->kernel_get(module, &desc, &kernel, &error),
            IST_DATA_LOSS);
  CTS_CHECK(!kernel);
  d.driver->module_unload(module);
}

void moduleBroken(const Context &c) {
  Device d(c);
  d.kernels();
  ist_module_options options = {sizeof options, c.format.c_str(), nullptr};
  auto refused = [&](std::string code, size_t pretended) {
    ist_driver_module *module = nullptr;
    // Exactly its size, so that a reader that goes beyond is seen.
    std::unique_ptr<char[]> exact(new char[pretended + 1]);
    std::copy_n(code.data(), pretended, exact.get());
    exact[pretended] = 0; // for formats that are text
    CTS_FAILS(d.driver->module_load(d.handle, exact.get(), pretended, &options,
                                    &module, &error),
              IST_DATA_LOSS);
    CTS_CHECK(!module);
  };
  refused(c.code, 0);
  refused(c.code, 3);
  refused(c.code, c.code.size() / 2);
  std::string noiseBytes(4096, 0);
  std::vector<uint32_t> n = noise(1024, 9);
  std::memcpy(&noiseBytes[0], n.data(), 4096);
  refused(noiseBytes, 4096);
}

void moduleFormat(const Context &c) {
  Device d(c);
  d.kernels();
  ist_module_options options = {sizeof options, "no-such-format", nullptr};
  ist_driver_module *module = nullptr;
  CTS_FAILS(d.driver->module_load(d.handle, c.code.data(), c.code.size(),
                                  &options, &module, &error),
            IST_UNAVAILABLE);
}

} // namespace

const std::vector<Test> &isthmus::cts::launchTests() {
  static const std::vector<Test> tests = {
      {1, "launch.add", add},
      {1, "launch.offsets", offsets},
      {1, "launch.arg-kinds", argKinds},
      {1, "launch.grid-0", gridZero},
      {1, "launch.grids", grids},
      {1, "launch.grid-too-large", gridTooLarge},
      {1, "launch.args-are-copied", argsAreCopied},
      {1, "launch.empty-tensor", emptyTensor},
      {1, "launch.chain", chain},
      {1, "unknown-members", unknownMembers},
      {1, "module.twice", moduleTwice},
      {1, "module.broken", moduleBroken},
      {1, "module.format", moduleFormat},
      {1, "kernel.missing", kernelMissing},
  };
  return tests;
}
