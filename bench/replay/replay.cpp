//===- replay.cpp - what a replayed call costs beside a bare graph --------===//
//
// A program of 100 kernels, each of which reads the caller's input, called
// again and again, and the same kernels in a CUDA graph that is launched bare.
// Both are waited for. The goal: a call costs at most 2 us more.
//
//===----------------------------------------------------------------------===//
#include "api.h"
#include "cuda.h" // the driver's table of symbols
#include "drivers.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::cts;

namespace {

constexpr const char *usage =
    "usage: bench-replay [--device=cuda:0] [--kernels=FILE --format=NAME]\n"
    "                    [--launches=100] [--rounds=2000]\n"
    "Compares replayed calls with bare launches of the same CUDA graph.\n";

struct Options {
  std::string device = "cuda:0", kernels, format = "ptx";
  uint32_t launches = 100, rounds = 2000;
};

/// v = x + y; v = v + x ...: every kernel reads memory of the caller's.
Straight chain(uint32_t launches) {
  Straight s(launches, 1);
  for (uint32_t i = 0; i < launches; ++i)
    s.steps[i] = {Step::add, i ? i + 3 : 0, i ? 0u : 1u, 0};
  return s;
}

struct Times {
  std::vector<double> us;
  double at(double part) {
    std::sort(us.begin(), us.end());
    return us[static_cast<size_t>(part * static_cast<double>(us.size() - 1))];
  }
};

/// Times `run` after some rounds that are not.
template <typename Run> Times measure(uint32_t rounds, Run run) {
  Times t;
  for (uint32_t i = 0; i < rounds + rounds / 10 + 3; ++i) {
    auto begin = std::chrono::steady_clock::now();
    run(i);
    std::chrono::duration<double, std::micro> passed =
        std::chrono::steady_clock::now() - begin;
    if (i >= rounds / 10 + 3)
      t.us.push_back(passed.count());
  }
  return t;
}

/// The program's kernels by CUDA alone.
class Bare {
public:
  Bare(const gpu::CudaSymbols &api, int device) : api(api), device(device) {
    check(api.PrimaryCtxRetain(&context, device), "context");
    check(api.CtxPushCurrent(context), "context");
    check(api.StreamCreate(&stream, gpu::flags::nonBlocking), "stream");
  }
  ~Bare() {
    if (exec)
      api.GraphExecDestroy(exec);
    if (graph)
      api.GraphDestroy(graph);
    if (module)
      api.ModuleUnload(module);
    for (uint64_t p : buffers)
      api.MemFree(p);
    api.StreamDestroy(stream);
    api.CtxPopCurrent(&context);
    api.PrimaryCtxRelease(device);
  }
  uint64_t alloc(uint64_t bytes) {
    uint64_t p = 0;
    check(api.MemAlloc(&p, bytes), "memory");
    buffers.push_back(p);
    return p;
  }
  void copy(uint64_t to, uint64_t from, uint64_t bytes) {
    check(api.MemcpyAsync(to, from, bytes, stream), "copy");
    check(api.StreamSynchronize(stream), "wait");
  }
  void make(const std::string &code, const Straight &s, uint32_t block,
            uint64_t n, uint64_t x, uint64_t y, uint64_t z) {
    check(api.ModuleLoadDataEx(&module, code.c_str(), 0, nullptr, nullptr),
          "module");
    void *add = nullptr;
    check(api.ModuleGetFunction(&add, module, "add"), "kernel");
    check(api.GraphCreate(&graph, 0), "graph");
    std::vector<uint64_t> values = {x, y, 0, 0};
    void *last = nullptr;
    for (const Step &step : s.steps) {
      values.push_back(&step == &s.steps.back() ? z : alloc(4 * n));
      uint64_t args[] = {n, values[step.a], values[step.b], values.back()};
      void *pointers[] = {&args[0], &args[1], &args[2], &args[3], nullptr};
      gpu::CudaKernelNode node = {
          add,           {static_cast<unsigned>(groups(n)), 1, 1},
          {block, 1, 1}, 0,
          pointers,      nullptr,
          nullptr,       nullptr};
      void *made = nullptr;
      check(api.GraphAddKernelNode(&made, graph, &last, last ? 1 : 0, &node),
            "node");
      last = made;
    }
    check(api.GraphInstantiate(&exec, graph, 0), "graph");
  }
  void run() {
    check(api.GraphLaunch(exec, stream), "launch");
    check(api.StreamSynchronize(stream), "wait");
  }

private:
  static void check(int code, const char *what) {
    CTS_THAT(code == 0, "CUDA: %s: error %d", what, code);
  }
  const gpu::CudaSymbols &api;
  int device;
  void *context = nullptr, *stream = nullptr, *module = nullptr,
       *graph = nullptr, *exec = nullptr;
  std::vector<uint64_t> buffers;
};

std::string slurp(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

/// In the build folder and installed, they lie beside the suite.
std::string defaultKernels() {
  char self[4096];
  ssize_t n = ::readlink("/proc/self/exe", self, sizeof self - 1);
  std::string path(self, n > 0 ? static_cast<size_t>(n) : 0);
  return path.substr(0, path.rfind('/') + 1) +
         "../share/isthmus/cts/nvidia.ptx";
}

int compare(const Options &o, Context &c) {
  c.format = o.format;
  c.block = 64;
  std::string path = o.kernels.empty() ? defaultKernels() : o.kernels;
  c.code = slurp(path);
  CTS_THAT(!c.code.empty(), "cannot read '%s'", path.c_str());
  constexpr size_t n = 256;
  Straight s = chain(o.launches);
  Artifact artifact(c, {s}, 1);
  OpenDevice device = openDevice(c);
  LoadedProgram program = load(artifact, device.get());
  OwnSession session = cts::session(program);
  Values a = noise(n, 1), b = noise(n, 2), expected = s.run(a, b, {});
  struct Set {
    explicit Set(ist_device *d) : x(d, n), y(d, n), z(d, n) {}
    cts::Buffer x, y, z;
  };
  Set sets[2] = {Set(device.get()), Set(device.get())};
  for (Set &each : sets) {
    each.x.set(a);
    each.y.set(b);
  }
  auto callOn = [&](Set &set) {
    std::vector<ist_tensor> outputs = {set.z.tensor(n)};
    CTS_OK(call(session, "f0", {set.x.tensor(n), set.y.tensor(n)}, outputs,
                &error));
  };
  Times same = measure(o.rounds, [&](uint32_t) { callOn(sets[0]); });
  Times changed = measure(o.rounds, [&](uint32_t i) { callOn(sets[i % 2]); });
  ist_session_counters counters = {};
  counters.struct_size = sizeof counters;
  ist_session_get_counters(session.get(), &counters);
  CTS_THAT(counters.replays + 1 == counters.calls && counters.recordings == 1,
           "%llu of %llu calls were replays",
           static_cast<unsigned long long>(counters.replays),
           static_cast<unsigned long long>(counters.calls));
  for (Set &each : sets)
    CTS_THAT(each.z.get(n) == expected, "a call's result is wrong");

  const void *symbols = nullptr;
  CTS_OK(stream::openLibrary(gpu::Cuda::library, &symbols, &error));
  const auto &api = *static_cast<const gpu::CudaSymbols *>(symbols);
  int ordinal = 0;
  CTS_THAT(!api.DeviceGet(&ordinal, static_cast<int>(c.index)) &&
               gpu::hasGraphs(api),
           "this libcuda has no graphs");
  Times bare;
  {
    Bare graph(api, ordinal);
    uint64_t x = graph.alloc(4 * n), y = graph.alloc(4 * n),
             z = graph.alloc(4 * n);
    graph.copy(x, reinterpret_cast<uint64_t>(sets[0].x.tensor(n).data), 4 * n);
    graph.copy(y, reinterpret_cast<uint64_t>(sets[0].y.tensor(n).data), 4 * n);
    graph.make(c.code, s, c.block, n, x, y, z);
    bare = measure(o.rounds, [&](uint32_t) { graph.run(); });
    sets[1].z.set(Values(n, 0));
    graph.copy(reinterpret_cast<uint64_t>(sets[1].z.tensor(n).data), z, 4 * n);
    CTS_THAT(sets[1].z.get(n) == expected, "the bare graph's result is wrong");
  }
  auto line = [&](const char *what, Times &t) {
    std::printf("%-34s median %9.2f us  (10 %% %.2f, 90 %% %.2f)  %+.2f us\n",
                what, t.at(0.5), t.at(0.1), t.at(0.9),
                t.at(0.5) - bare.at(0.5));
  };
  std::printf("%u kernels, %u rounds, on %s\n", o.launches, o.rounds,
              c.name.c_str());
  line("bare cuGraphLaunch", bare);
  line("ist_call, unchanged slots", same);
  line("ist_call, all pointers changed", changed);
  std::printf("the same results; the goal of bare + 2 us is %s\n",
              same.at(0.5) <= bare.at(0.5) + 2 ? "met" : "not met");
  return 0;
}

bool parse(int argc, char **argv, Options &o) {
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i], value;
    size_t equals = arg.find('=');
    if (equals != std::string::npos)
      value = arg.substr(equals + 1);
    std::string name = arg.substr(0, equals);
    if (name == "--device")
      o.device = value;
    else if (name == "--kernels")
      o.kernels = value;
    else if (name == "--format")
      o.format = value;
    else if (name == "--launches")
      o.launches = static_cast<uint32_t>(std::atoi(value.c_str()));
    else if (name == "--rounds")
      o.rounds = static_cast<uint32_t>(std::atoi(value.c_str()));
    else
      return false;
  }
  return o.launches > 1 && o.rounds > 0 && o.device.compare(0, 4, "cuda") == 0;
}

} // namespace

int main(int argc, char **argv) {
  Options o;
  if (!parse(argc, argv, o)) {
    std::fputs(usage, stderr);
    return 2;
  }
  Context c;
  c.name = o.device;
  c.host = &driverHost;
  ist_error error = {};
  ist_device *there = nullptr;
  if (ist_device_open(c.name.c_str(), nullptr, &there, &error)) {
    std::printf(
        "nothing was measured: no NVIDIA GPU can be reached here (%s)\n",
        error.message);
    return 0;
  }
  ist_device_release(there);
  if (const char *library = std::getenv("ISTHMUS_CUDA_LIBRARY"))
    std::printf("note: ISTHMUS_CUDA_LIBRARY names %s; unless that is NVIDIA's, "
                "no time below is that of hardware\n",
                library);
  try {
    FoundDevice found;
    CTS_OK(findDevice(c.name.c_str(), &found, &error));
    c.driver = found.driver;
    c.index = found.index;
    return compare(o, c);
  } catch (const Failed &f) {
    std::fprintf(stderr, "bench-replay: %s\n", f.what.c_str());
    return 1;
  }
}
