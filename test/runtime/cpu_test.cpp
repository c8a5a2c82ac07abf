//===- cpu_test.cpp - the cpu driver's threads and limits -----------------===//
#include "builder.h"
#include "cgroup.h"
#include "isthmus/driver.h"
#include "thread_pool.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <pthread.h>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::test;

extern "C" const ist_driver ist_cpu_driver;

namespace {

unsigned limit(const char *text) {
  text ? ::setenv("ISTHMUS_THREADS", text, 1) : ::unsetenv("ISTHMUS_THREADS");
  unsigned n = 0;
  ist_error error = {};
  EXPECT_EQ(cpu::threadLimit(&n, &error), IST_OK) << error.message;
  ::unsetenv("ISTHMUS_THREADS");
  return n;
}

TEST(ThreadLimit, FromTheEnvironment) {
  EXPECT_EQ(limit("3"), 3u);
  EXPECT_EQ(limit("1"), 1u);
  EXPECT_EQ(limit("0"), 1u);
  EXPECT_EQ(limit("999999"), 1024u);
  EXPECT_EQ(limit(""), limit(nullptr));
  EXPECT_GE(limit(nullptr), 1u);
  ::setenv("ISTHMUS_THREADS", "many", 1);
  ist_device *d = nullptr;
  ist_error error = {};
  EXPECT_EQ(ist_device_open("cpu", nullptr, &d, &error), IST_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error.message).find("'many'"), std::string::npos);
  ::unsetenv("ISTHMUS_THREADS");
}

std::vector<std::string> threadNames() {
  std::vector<std::string> names;
  for (const auto &e : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream in(e.path() / "comm");
    std::string name;
    if (std::getline(in, name) && name.rfind("ist-cpu-", 0) == 0)
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(ThreadPool, ThreadsAreNamedAndAsManyAsAskedFor) {
  size_t before = threadNames().size();
  cpu::ThreadPool pool;
  ist_error error;
  ASSERT_EQ(pool.start(3, &error), IST_OK);
  // A thread names itself when it begins.
  for (int i = 0; i < 1000 && threadNames().size() < before + 3; ++i)
    ::usleep(1000);
  EXPECT_EQ(threadNames().size(), before + 3);
  pool.stop();
  EXPECT_EQ(threadNames().size(), before);
  ASSERT_EQ(pool.start(0, &error), IST_OK);
  EXPECT_EQ(threadNames().size(), before);
  pool.stop();
}

/// A device's launches of `where`: how many workgroups ran on this thread.
class Inline : public testing::Test {
protected:
  void open(const char *threads) {
    ::setenv("ISTHMUS_THREADS", threads, 1);
    ASSERT_EQ(t.open(nullptr, 0, nullptr, &device, &error), IST_OK);
    ::unsetenv("ISTHMUS_THREADS");
    ist_module_options options = {sizeof options, "elf", nullptr};
    code = ArtifactBuilder().code;
    ASSERT_EQ(t.module_load(device, code.data(), code.size(), &options, &module,
                            &error),
              IST_OK);
    static const ist_arg args[] = {{IST_ARG_ADDRESS, 0, 8},
                                   {IST_ARG_SCALAR, 8, 8}};
    ist_kernel_desc desc = {};
    desc.struct_size = sizeof desc;
    desc.name = "where";
    desc.args = args;
    desc.arg_count = 2;
    desc.args_bytes = 16;
    desc.block = 1;
    ASSERT_EQ(t.kernel_get(module, &desc, &kernel, &error), IST_OK);
    ASSERT_EQ(t.queue_create(device, nullptr, &queue, &error), IST_OK);
  }
  void TearDown() override {
    t.queue_destroy(queue);
    t.module_unload(module);
    t.close(device);
  }
  size_t here(uint64_t grid, uint64_t rounds) {
    std::vector<uint64_t> stacks(grid);
    uint64_t args[] = {reinterpret_cast<uint64_t>(stacks.data()), rounds};
    ist_range range = {args[0], grid * 8, IST_ACCESS_WRITE, 0};
    ist_launch launch = {};
    launch.struct_size = sizeof launch;
    launch.kernel = kernel;
    launch.grid = grid;
    launch.block = 1;
    launch.args = args;
    launch.args_bytes = sizeof args;
    launch.ranges = &range;
    launch.range_count = 1;
    EXPECT_EQ(t.launch(queue, &launch, &error), IST_OK);
    pthread_attr_t attributes;
    void *base;
    size_t size;
    ::pthread_getattr_np(::pthread_self(), &attributes);
    ::pthread_attr_getstack(&attributes, &base, &size);
    ::pthread_attr_destroy(&attributes);
    uint64_t low = reinterpret_cast<uint64_t>(base);
    return static_cast<size_t>(
        std::count_if(stacks.begin(), stacks.end(),
                      [&](uint64_t s) { return s >= low && s < low + size; }));
  }
  const ist_driver &t = ist_cpu_driver;
  std::string code;
  ist_error error;
  ist_driver_device *device = nullptr;
  ist_driver_module *module = nullptr;
  ist_driver_queue *queue = nullptr;
  const ist_driver_kernel *kernel = nullptr;
};

TEST_F(Inline, OneWorkgroup) {
  open("4");
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(here(1, 100000), 1u);
}

TEST_F(Inline, SmallOnceItsCostIsKnown) {
  open("4");
  here(8, 1);
  // What is measured on a busy machine may be too much at first.
  int alone = 0;
  for (int i = 0; i < 100; ++i)
    alone += here(8, 1) == 8;
  EXPECT_GE(alone, 50);
}

TEST_F(Inline, LargeIsShared) {
  open("4");
  size_t mine = 0, all = 0;
  for (int i = 0; i < 50; ++i, all += 64)
    mine += here(64, 200000);
  EXPECT_LT(mine, all);
}

TEST_F(Inline, WithoutThreadsOfItsOwn) {
  open("0");
  EXPECT_EQ(here(64, 100000), 64u);
}

// --- control groups ---------------------------------------------------------

class Cgroup : public testing::Test {
protected:
  Cgroup()
      : root(testing::TempDir() + "isthmus-cgroup-" +
             std::to_string(::getpid())) {}
  ~Cgroup() override { std::filesystem::remove_all(root); }
  void write(const std::string &path, const std::string &text) {
    std::filesystem::path p = std::filesystem::path(root) / path;
    std::filesystem::create_directories(p.parent_path());
    std::ofstream(p) << text << "\n";
  }
  cpu::CgroupLimits limits(const std::string &groups) {
    write("groups", groups);
    return cpu::cgroupLimits((root + "/groups").c_str(), root.c_str());
  }
  std::string root;
};

TEST_F(Cgroup, None) {
  cpu::CgroupLimits l = limits("0::/a/b");
  EXPECT_EQ(l.cpus, UINT64_MAX);
  EXPECT_EQ(l.memory, UINT64_MAX);
  l = cpu::cgroupLimits("/no/such/file", "/no/such/folder");
  EXPECT_EQ(l.cpus, UINT64_MAX);
}

TEST_F(Cgroup, Version2TheTightestOfAllAbove) {
  write("a/b/cpu.max", "max 100000");
  write("a/cpu.max", "150000 100000");
  write("cpu.max", "800000 100000");
  write("a/b/memory.max", "1000000");
  write("a/b/memory.current", "400000");
  write("a/memory.max", "900000");
  write("a/memory.current", "850000");
  cpu::CgroupLimits l = limits("0::/a/b");
  EXPECT_EQ(l.cpus, 2u);
  EXPECT_EQ(l.memory, 900000u);
  EXPECT_EQ(l.memoryLeft, 50000u);
  l = limits("0::/a");
  EXPECT_EQ(l.memory, 900000u);
  l = limits("0::/elsewhere/that/is/not/mounted");
  EXPECT_EQ(l.cpus, 8u);
  EXPECT_EQ(l.memory, UINT64_MAX);
}

TEST_F(Cgroup, Version1) {
  write("cpu/a/cpu.cfs_quota_us", "50000");
  write("cpu/a/cpu.cfs_period_us", "100000");
  write("cpu/cpu.cfs_quota_us", "-1");
  write("cpu/cpu.cfs_period_us", "100000");
  write("memory/a/memory.limit_in_bytes", "9223372036854771712");
  write("memory/memory.limit_in_bytes", "123456");
  write("memory/memory.usage_in_bytes", "200000");
  cpu::CgroupLimits l =
      limits("12:cpuset:/a\n4:cpu,cpuacct:/a\n2:memory:/a\n0::/a");
  EXPECT_EQ(l.cpus, 1u);
  EXPECT_EQ(l.memory, 123456u);
  EXPECT_EQ(l.memoryLeft, 0u);
}

TEST_F(Cgroup, NoNumbers) {
  write("cpu.max", "lots of it");
  write("memory.max", "");
  cpu::CgroupLimits l = limits("nonsense\n0::/\n:::");
  EXPECT_EQ(l.cpus, UINT64_MAX);
  EXPECT_EQ(l.memory, UINT64_MAX);
}

} // namespace
