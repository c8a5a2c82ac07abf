//===- sim_fixture.h - tests that look at the simulated device ------------===//
#ifndef ISTHMUS_TEST_RUNTIME_SIM_FIXTURE_H
#define ISTHMUS_TEST_RUNTIME_SIM_FIXTURE_H

#include "harness.h"

#include <gtest/gtest.h>

namespace isthmus::test {

/// What the plug-in exports.
struct SimExports {
  ist_driver_entry_fn entry;
  ist_sim_configure_fn configure;
  ist_sim_count_fn count;
};
const SimExports &sim();
ist_sim_counters count();

/// Begins with all options at their defaults, and ends without a breach or a
/// leak that the test did not expect.
class SimTest : public testing::Test {
protected:
  void SetUp() override;
  void TearDown() override;
  void configure(const char *options);
  const cts::Context &context(uint32_t index = 0);
  /// Whether an error with `text` in it was logged since SetUp.
  bool logged(const char *text);
  ist_error error = {};
  uint64_t expected = 0; // breaches
};

} // namespace isthmus::test

/// `expression` uses `error`; is counted, and named in the message.
#define EXPECT_BREACH(expression, text)                                        \
  do {                                                                         \
    uint64_t before = ::isthmus::test::count().breaches;                       \
    error = {};                                                                \
    EXPECT_EQ(expression, IST_INTERNAL);                                       \
    EXPECT_NE(std::string(error.message).find(text), std::string::npos)        \
        << error.message;                                                      \
    EXPECT_EQ(::isthmus::test::count().breaches, before + 1);                  \
    expected += 1;                                                             \
  } while (0)

#endif // ISTHMUS_TEST_RUNTIME_SIM_FIXTURE_H
