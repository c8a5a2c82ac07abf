//===- async_fault_test.cpp - failures of calls that nobody waits for -----===//
//
// Two sessions, each call of the second waiting for one of the first. Whatever
// fails, every point is reached: with a right result, or with a failure that
// the calls behind it have as well.
//
//===----------------------------------------------------------------------===//
#include "api.h"
#include "sim_fixture.h"

#include <csignal>
#include <unistd.h>

using namespace isthmus::cts;
using namespace isthmus::test;

namespace {

constexpr size_t n = 400;
constexpr int rounds = 4;

class AsyncFaults : public SimTest {
protected:
  void SetUp() override {
    SimTest::SetUp();
    ASSERT_EQ(ist_plugin_load(ISTHMUS_TEST_SIM, &error), IST_OK);
    std::signal(SIGALRM, [](int) { ::abort(); });
  }
  void TearDown() override {
    ::alarm(0);
    SimTest::TearDown();
  }

  struct Outcome {
    int given = 0, failed = 0, dependent = 0;
  };

  /// Gives a call; a failure signals nothing.
  static ist_status give(const OwnSession &s, const ist_tensor *inputs,
                         ist_tensor *output, const ist_point *wait,
                         const ist_point &signal, ist_error *e) {
    ist_call_points p = IST_CALL_POINTS_INIT;
    p.waits = wait;
    p.wait_count = wait != nullptr;
    p.signals = &signal;
    p.signal_count = 1;
    return ist_call_async(s.get(), "f0", inputs, 2, output, 1, &p, e);
  }

  void scenario(Outcome *o) {
    ist_error e;
    ist_device *d;
    if (ist_device_open("sim", nullptr, &d, &e))
      return;
    OpenDevice device(d);
    ist_program *p;
    if (ist_program_load_memory(artifact().bytes.data(),
                                artifact().bytes.size(), d, IST_BEST_VARIANT,
                                &p, &e))
      return;
    LoadedProgram program(p);
    OwnSession sessions[2];
    for (OwnSession &own : sessions) {
      ist_session *s;
      if (ist_session_create(p, nullptr, &s, &e))
        return;
      own.reset(s);
    }
    ist_semaphore *semaphores[2];
    for (ist_semaphore *&s : semaphores)
      ASSERT_EQ(ist_semaphore_create(0, &s, &e), IST_OK);
    Values x = noise(n, 1), y = noise(n, 2);
    Buffer bx(nullptr, n), by(nullptr, n);
    bx.set(x);
    by.set(y);
    std::vector<std::unique_ptr<Buffer>> results;
    std::vector<ist_tensor> outputs(2 * rounds);
    std::vector<ist_status> given;
    for (int r = 0; r < rounds; ++r)
      for (int who = 0; who < 2; ++who) {
        results.push_back(std::make_unique<Buffer>(nullptr, n));
        ist_tensor &to = outputs[results.size() - 1];
        to = results.back()->tensor(n);
        uint64_t value = static_cast<uint64_t>(r) + 1;
        ist_tensor inputs[] = {who ? results[results.size() - 2]->tensor(n)
                                   : bx.tensor(n),
                               by.tensor(n)};
        ist_point wait = {semaphores[0], value},
                  signal = {semaphores[who], value};
        // Nobody will signal what the first did not take.
        if (who && given.back()) {
          given.push_back(given.back());
          continue;
        }
        given.push_back(give(sessions[who], inputs, &to, who ? &wait : nullptr,
                             signal, &e));
        o->given += !given.back();
      }
    Values first = straight().run(x, y, artifact().weight);
    Values second = straight().run(first, y, artifact().weight);
    for (int r = 0; r < rounds; ++r) {
      ist_status of[2];
      for (size_t who = 0; who < 2; ++who) {
        size_t i = 2 * static_cast<size_t>(r) + who;
        of[who] = given[i];
        if (given[i]) {
          ++o->failed;
          continue;
        }
        of[who] = ist_semaphore_wait(
            semaphores[who], static_cast<uint64_t>(r) + 1, UINT64_MAX, &e);
        if (of[who]) {
          EXPECT_EQ(e.code, of[who]);
          ++o->failed;
        } else {
          EXPECT_EQ(results[i]->get(n), who ? second : first);
        }
      }
      if (of[0]) {
        EXPECT_EQ(of[1], of[0]);
        ++o->dependent;
      }
    }
    for (OwnSession &own : sessions)
      own.reset();
    for (ist_semaphore *s : semaphores)
      ist_semaphore_release(s);
  }

  const Straight &straight() {
    static const Straight s(10, 4);
    return s;
  }
  const Artifact &artifact() {
    static const Artifact a(context(), {straight()}, 5);
    return a;
  }

  void sweep(const std::string &base, const char *key, const char *status) {
    configure(base.c_str());
    Outcome clean;
    scenario(&clean);
    ASSERT_EQ(clean.given, 2 * rounds);
    ASSERT_EQ(clean.failed, 0);
    ist_sim_counters c = count();
    uint64_t total = *key == 'f' && key[5] == 'r' ? c.commands : c.failable;
    int failures = 0, dependents = 0;
    for (uint64_t i = 1; i <= total; ++i) {
      std::string options = base + (base.empty() ? "" : ",") + key + "=" +
                            std::to_string(i) + ",fail_status=" + status;
      SCOPED_TRACE(options);
      configure(options.c_str());
      ::alarm(60);
      Outcome o;
      scenario(&o);
      ::alarm(0);
      failures += o.failed != 0;
      dependents += o.dependent != 0;
      c = count();
      EXPECT_EQ(c.breaches + c.leaks, 0u);
      EXPECT_EQ(c.blocks + c.bytes + c.objects + c.devices, 0u);
      if (std::string(status) != "DEVICE_LOST") {
        EXPECT_LE(o.failed, 2); // and the one that waits for it
      }
      ASSERT_FALSE(HasFailure());
    }
    std::printf("%s %s: %llu sites, %d with failed calls, %d with calls that "
                "waited for them\n",
                key, status, static_cast<unsigned long long>(total), failures,
                dependents);
    EXPECT_GT(dependents, 0);
  }
};

TEST_F(AsyncFaults, EveryCall) { sweep("", "fail_at", "INTERNAL"); }
TEST_F(AsyncFaults, EveryCallLate) {
  sweep("latency_us=100", "fail_at", "RESOURCE_EXHAUSTED");
}
TEST_F(AsyncFaults, EveryCallLosesTheDevice) {
  sweep("latency_us=50", "fail_at", "DEVICE_LOST");
}
TEST_F(AsyncFaults, EveryCommand) { sweep("", "fail_run_at", "INTERNAL"); }
TEST_F(AsyncFaults, EveryCommandLate) {
  sweep("eager=0,latency_us=50", "fail_run_at", "INTERNAL");
}
TEST_F(AsyncFaults, EveryCommandLosesTheDevice) {
  sweep("", "fail_run_at", "DEVICE_LOST");
}

} // namespace
