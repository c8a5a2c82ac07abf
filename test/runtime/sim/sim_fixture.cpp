//===- sim_fixture.cpp - tests that look at the simulated device ----------===//
#include "sim_fixture.h"

#include <dlfcn.h>
#include <fstream>
#include <mutex>
#include <sstream>

using namespace isthmus::test;

namespace {

std::mutex lock;
std::string log;

void logLine(void *, ist_log_level level, const char *line) {
  std::lock_guard<std::mutex> l(lock);
  if (level == IST_LOG_ERROR)
    log += std::string(line) + "\n";
}
void *allocate(void *, size_t bytes) {
  return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
}
void deallocate(void *, void *memory) { std::free(memory); }
void *cacheGet(void *, const char *, size_t *) { return nullptr; }
void cachePut(void *, const char *, const void *, size_t) {}
uint64_t clockNs(void *) { return 0; }

const ist_host host = {sizeof(ist_host), nullptr,  logLine,  allocate,
                       deallocate,       cacheGet, cachePut, clockNs};

} // namespace

const SimExports &isthmus::test::sim() {
  static const SimExports exports = [] {
    void *library = ::dlopen(ISTHMUS_TEST_SIM, RTLD_NOW | RTLD_LOCAL);
    EXPECT_NE(library, nullptr) << ::dlerror();
    auto find = [&](const char *name) { return ::dlsym(library, name); };
    return SimExports{
        reinterpret_cast<ist_driver_entry_fn>(find(IST_DRIVER_ENTRY)),
        reinterpret_cast<ist_sim_configure_fn>(find(IST_SIM_CONFIGURE)),
        reinterpret_cast<ist_sim_count_fn>(find(IST_SIM_COUNT))};
  }();
  return exports;
}

ist_sim_counters isthmus::test::count() {
  ist_sim_counters c;
  sim().count(&c);
  return c;
}

void SimTest::SetUp() {
  configure("");
  log.clear();
}

void SimTest::TearDown() {
  ist_sim_counters c = count();
  EXPECT_EQ(c.breaches, expected) << log;
  EXPECT_EQ(c.leaks, 0u) << log;
  EXPECT_EQ(c.blocks + c.objects + c.devices, 0u) << log;
}

void SimTest::configure(const char *options) {
  EXPECT_EQ(sim().configure(options, &error), IST_OK) << error.message;
}

const isthmus::cts::Context &SimTest::context(uint32_t index) {
  static cts::Context contexts[2];
  for (uint32_t i = 0; i < 2; ++i) {
    cts::Context &c = contexts[i];
    if (c.driver)
      continue;
    c.driver = sim().entry(IST_DRIVER_ABI, &error);
    c.host = &host;
    c.index = i;
    c.format = "elf";
    std::ifstream in(ISTHMUS_TEST_CTS_KERNELS, std::ios::binary);
    std::stringstream s;
    s << in.rdbuf();
    c.code = s.str();
  }
  return contexts[index];
}

bool SimTest::logged(const char *text) {
  std::lock_guard<std::mutex> l(lock);
  return log.find(text) != std::string::npos;
}
