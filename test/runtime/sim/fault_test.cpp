//===- fault_test.cpp - a failure at every driver call in turn ------------===//
//
// One scenario over libisthmus on the simulated device: a program of 20 kernels
// and two sessions that call in turn. Then the same with its first call
// failing, its second, and so on. Every run ends, every result that is given is
// right, the failure is one call's alone, and nothing is left behind.
//
//===----------------------------------------------------------------------===//
#include "api.h"
#include "sim_fixture.h"

#include <csignal>
#include <functional>
#include <unistd.h>

using namespace isthmus::cts;
using namespace isthmus::test;

namespace {

void onAlarm(int) {
  static const char text[] = "a run with a failure does not end\n";
  if (::write(2, text, sizeof text - 1) < 0)
    return;
  ::abort();
}

class Faults : public SimTest {
protected:
  void SetUp() override {
    SimTest::SetUp();
    static const ist_status loaded = ist_plugin_load(ISTHMUS_TEST_SIM, nullptr);
    ASSERT_EQ(loaded, IST_OK);
    std::signal(SIGALRM, onAlarm);
  }
  void TearDown() override {
    ::alarm(0);
    SimTest::TearDown();
  }

  /// What a run did.
  struct Outcome {
    int calls = 0, failed = 0, of[2] = {}; // failures of each party
    std::string first;                     // the first failure's message
    int exhausted = 0;
    uint64_t replays = 0;
  };
  void note(Outcome &o, int party, ist_status s, const ist_error &e) {
    if (!s)
      return;
    EXPECT_EQ(e.code, s);
    EXPECT_NE(e.message[0], 0);
    if (!o.failed++)
      o.first = std::string(ist_status_name(s)) + ": " + e.message;
    ++o.of[party];
    o.exhausted += s == IST_RESOURCE_EXHAUSTED;
  }

  /// A session on a device of its own or a shared one.
  struct Party {
    OpenDevice device;
    LoadedProgram program;
    OwnSession session;
  };
  ist_status open(const char *name, const Artifact &a, ist_device *shared,
                  Party &p, ist_error *e) {
    ist_device *d = shared;
    if (!shared) {
      if (ist_status s = ist_device_open(name, nullptr, &d, e))
        return s;
      p.device.reset(d);
    }
    ist_program *program;
    if (ist_status s = ist_program_load_memory(
            a.bytes.data(), a.bytes.size(), d, IST_BEST_VARIANT, &program, e))
      return s;
    p.program.reset(program);
    ist_session *session;
    if (ist_status s = ist_session_create(program, nullptr, &session, e))
      return s;
    p.session.reset(session);
    return IST_OK;
  }

  /// `second` is where the other session is: on the same device if null.
  Outcome scenario(const char *second) {
    Outcome o;
    ist_error e = {};
    Party a, b;
    note(o, 0, open("sim:0", artifact(), nullptr, a, &e), e);
    ist_device *shared = second ? nullptr : a.device.get();
    if (second || shared)
      note(o, 1, open(second, artifact(), shared, b, &e), e);
    constexpr size_t n = 600;
    Values x = noise(n, 1), y = noise(n, 2);
    Values expected = straight().run(x, y, artifact().weight);
    auto tried = [&](Party *p, ist_status s) {
      ++o.calls;
      note(o, p == &b, s, e);
      return s == IST_OK;
    };
    // Seen first, recorded, replayed; and other things between.
    for (int round = 0; round < 4; ++round)
      for (Party *p : {&a, &b}) {
        if (!p->session)
          continue;
        Buffer bx(nullptr, n), by(nullptr, n), bz(nullptr, n);
        bx.set(x);
        by.set(y);
        std::vector<ist_tensor> outputs = {bz.tensor(n)};
        if (tried(p, call(p->session, "f0", {bx.tensor(n), by.tensor(n)},
                          outputs, &e))) {
          EXPECT_EQ(bz.get(n), expected);
        }
        if (round == 1) {
          outputs = {none()};
          if (tried(p, call(p->session, "loop", {bx.tensor(n)}, outputs, &e))) {
            auto *z = static_cast<const uint32_t *>(outputs[0].data);
            EXPECT_EQ(Values(z, z + n), loopOf(x));
          }
        }
        if (round == 2)
          states(p, second ? p->device.get() : a.device.get(), x, tried, &e);
      }
    for (Party *p : {&a, &b})
      if (p->session) {
        ist_session_counters c = {};
        c.struct_size = sizeof c;
        ist_session_get_counters(p->session.get(), &c);
        o.replays += c.replays;
      }
    return o;
  }

  /// A state that the session makes, and two calls that change it.
  template <typename Tried>
  void states(Party *p, ist_device *device, const Values &x, Tried tried,
              ist_error *e) {
    size_t n = x.size();
    ist_tensor bx = none();
    if (!tried(p,
               ist_device_alloc(device, IST_MEMORY_DEVICE, 4 * n, &bx.data, e)))
      return;
    struct Free {
      ist_device *device;
      void *memory;
      ~Free() { ist_device_free(device, memory); }
    } end = {device, bx.data};
    bx.memory = IST_MEMORY_DEVICE;
    bx.capacity = 4 * n;
    bx.dtype = IST_U32;
    bx.rank = 1;
    bx.dims[0] = static_cast<int64_t>(n);
    if (!tried(p, ist_device_copy(device, bx.data, IST_MEMORY_DEVICE, x.data(),
                                  IST_MEMORY_HOST, 4 * n, e)))
      return;
    ist_tensor state = bx, bound = bx;
    state.data = bound.data = nullptr;
    if (!tried(p, ist_session_bind(p->session.get(), "s", &state, e)))
      return;
    for (int i = 0; i < 2; ++i) {
      std::vector<ist_tensor> outputs = {none()};
      if (!tried(p, call(p->session, "state", {bound, bx}, outputs, e)))
        return; // its contents are undefined
    }
    Values got(n);
    if (!tried(p, ist_device_copy(device, got.data(), IST_MEMORY_HOST,
                                  state.data, IST_MEMORY_DEVICE, 4 * n, e)))
      return;
    for (size_t i = 0; i < n; ++i)
      EXPECT_EQ(got[i], x[i] * 2);
  }

  const Straight &straight() {
    static const Straight s(20, 9);
    return s;
  }
  const Artifact &artifact() {
    static const Artifact a(context(), {straight()}, 5);
    return a;
  }

  /// The scenario once for each n up to what `counter` was without a failure.
  void sweep(const std::string &base, const char *key,
             const std::function<uint64_t(const ist_sim_counters &)> &counter,
             const char *status, bool sticky, const char *second = nullptr) {
    configure(base.c_str());
    Outcome clean = scenario(second);
    ASSERT_EQ(clean.failed, 0) << clean.first;
    ASSERT_EQ(clean.calls, 22);
    if (base.find("recording=0") == std::string::npos) {
      ASSERT_GE(clean.replays, 4u);
    }
    uint64_t total = counter(count()), failures = 0;
    ASSERT_GT(total, 20u);
    for (uint64_t n = 1; n <= total; ++n) {
      std::string options = base + (base.empty() ? "" : ",") + key + "=" +
                            std::to_string(n) + ",fail_status=" + status +
                            (sticky ? ",fail_sticky=1" : "");
      SCOPED_TRACE(options);
      configure(options.c_str());
      ::alarm(60);
      Outcome o = scenario(second);
      ::alarm(0);
      ist_sim_counters c = count();
      EXPECT_GT(c.injected, 0u);
      EXPECT_EQ(c.breaches, 0u);
      EXPECT_EQ(c.leaks, 0u);
      EXPECT_EQ(c.blocks + c.bytes + c.objects + c.devices, 0u);
      failures += o.failed != 0;
      bool lossy = std::string(status) == "DEVICE_LOST";
      if (!sticky && !lossy) {
        EXPECT_LE(o.failed, 1) << o.first;
      }
      if (lossy && second) {
        EXPECT_TRUE(!o.of[0] || !o.of[1]) << o.first;
      }
      if (HasFailure())
        return; // one is enough to look at
    }
    std::printf("%s: %llu sites, %llu of them seen by the caller\n", status,
                static_cast<unsigned long long>(total),
                static_cast<unsigned long long>(failures));
  }
  static uint64_t failable(const ist_sim_counters &c) { return c.failable; }
  static uint64_t commands(const ist_sim_counters &c) { return c.commands; }
};

TEST_F(Faults, EveryCallInternal) {
  sweep("", "fail_at", failable, "INTERNAL", false);
}
TEST_F(Faults, EveryCallExhausted) {
  sweep("", "fail_at", failable, "RESOURCE_EXHAUSTED", false);
}
TEST_F(Faults, EveryCallFromThereOn) {
  sweep("", "fail_at", failable, "RESOURCE_EXHAUSTED", true);
}
TEST_F(Faults, EveryCallWithoutImports) {
  sweep("import=0", "fail_at", failable, "INTERNAL", false);
}
TEST_F(Faults, EveryCallWithoutRecordings) {
  sweep("recording=0,eager=0", "fail_at", failable, "INTERNAL", false);
}
TEST_F(Faults, EveryCallLosesTheDevice) {
  sweep("", "fail_at", failable, "DEVICE_LOST", false);
}
TEST_F(Faults, EveryCallLosesOneOfTwoDevices) {
  sweep("devices=2", "fail_at", failable, "DEVICE_LOST", false, "sim:1");
}
/// Any amount of memory gives results, or RESOURCE_EXHAUSTED.
TEST_F(Faults, EveryAmountOfMemory) {
  int enough = 0, refused = 0;
  for (int kib = 4; kib <= 256; kib += 4) {
    std::string options = "memory=" + std::to_string(kib) + "K";
    SCOPED_TRACE(options);
    configure(options.c_str());
    ::alarm(60);
    Outcome o = scenario(nullptr);
    ::alarm(0);
    ist_sim_counters c = count();
    EXPECT_EQ(c.breaches + c.leaks + c.blocks + c.objects + c.devices, 0u);
    EXPECT_EQ(o.failed, o.exhausted) << o.first;
    enough += !o.failed;
    refused += o.failed != 0;
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(enough, 5);
  EXPECT_GT(refused, 5);
}
TEST_F(Faults, EveryCommand) {
  sweep("", "fail_run_at", commands, "INTERNAL", false);
}
TEST_F(Faults, EveryCommandLate) {
  sweep("eager=0,latency_us=20", "fail_run_at", commands, "INTERNAL", false);
}
TEST_F(Faults, EveryCommandLosesOneOfTwoDevices) {
  sweep("devices=2", "fail_run_at", commands, "DEVICE_LOST", false, "sim:1");
}

/// A compiled model at random sites; test/targets/cpu/faults*.test give some.
class Model {
public:
  explicit Model(const char *path) : path(path) {}
  /// All that it gives, or a status. Two sessions; the second's results, where
  /// both have some, are the first's.
  ist_status run(std::string *bytes, int *failed, ist_error *e) {
    *failed = 0;
    ist_device *d;
    if (ist_status s = ist_device_open("sim:0", nullptr, &d, e))
      return s;
    OpenDevice device(d);
    ist_program *p;
    if (ist_status s = ist_program_load(path, d, IST_BEST_VARIANT, &p, e))
      return s;
    LoadedProgram program(p);
    OwnSession sessions[2];
    ist_status first = IST_OK;
    for (OwnSession &own : sessions) {
      ist_session *session;
      ist_status s = ist_session_create(p, nullptr, &session, e);
      if (!s)
        own.reset(session);
      note(s, &first, failed);
    }
    for (int round = 0; round < 3; ++round)
      for (OwnSession &own : sessions)
        if (own)
          note(callOnce(p, own, bytes, e), &first, failed);
    return first;
  }

private:
  static void note(ist_status s, ist_status *first, int *failed) {
    *failed += s != IST_OK;
    if (!*first)
      *first = s;
  }
  /// Bytes are set by the first call that gives some, and compared after.
  ist_status callOnce(ist_program *p, OwnSession &own, std::string *bytes,
                      ist_error *e) {
    uint32_t index;
    ist_function_info f;
    EXPECT_EQ(ist_program_find_function(p, "main", &index, e), IST_OK);
    EXPECT_EQ(ist_program_function(p, index, &f, e), IST_OK);
    std::vector<ist_tensor> inputs(f.input_count), outputs(f.output_count);
    std::vector<std::vector<uint64_t>> data(f.input_count);
    for (uint32_t i = 0; i < f.input_count; ++i) {
      ist_tensor_info info;
      EXPECT_EQ(ist_program_input(p, index, i, &info, e), IST_OK);
      ist_tensor &t = inputs[i];
      t = none();
      t.dtype = info.dtype;
      t.rank = info.rank;
      size_t n = 1;
      for (int32_t k = 0; k < info.rank; ++k)
        n *= static_cast<size_t>(
            t.dims[k] = info.dims[k].size >= 0 ? info.dims[k].size : 2);
      size_t width = ist_dtype_size(info.dtype);
      data[i].resize((n * width + 7) / 8);
      t.data = data[i].data();
      t.capacity = n * width;
      // Numbers that are small in any type: the bits of f32, or integers.
      char *at = reinterpret_cast<char *>(data[i].data());
      for (uint32_t v : noise(n, i + 1)) {
        float real = static_cast<float>(v % 2000) / 1000 - 1;
        uint64_t whole = v % 2;
        std::memcpy(at,
                    info.dtype == IST_F32 ? static_cast<void *>(&real)
                                          : static_cast<void *>(&whole),
                    width);
        at += width;
      }
    }
    for (ist_tensor &t : outputs)
      t = none();
    if (ist_status s = call(own, "main", inputs, outputs, e))
      return s;
    std::string all;
    for (const ist_tensor &t : outputs)
      all.append(static_cast<const char *>(t.data), t.bytes);
    if (bytes->empty())
      *bytes = all;
    EXPECT_EQ(all, *bytes);
    return IST_OK;
  }
  const char *path;
};

TEST_F(Faults, Model) {
  const char *path = std::getenv("ISTHMUS_TEST_MODEL");
  if (!path)
    GTEST_SKIP() << "no compiled model in ISTHMUS_TEST_MODEL";
  Model model(path);
  std::string bytes;
  int failed;
  ASSERT_EQ(model.run(&bytes, &failed, &error), IST_OK) << error.message;
  ASSERT_FALSE(bytes.empty());
  uint64_t total = count().failable, ran = count().commands;
  for (uint32_t site : noise(50, 4)) {
    bool run = site & 1;
    static const char *const statuses[] = {"INTERNAL", "RESOURCE_EXHAUSTED",
                                           "DEVICE_LOST"};
    const char *status = statuses[site / 2 % 3];
    std::string options = std::string(run ? "fail_run_at=" : "fail_at=") +
                          std::to_string(1 + site / 8 % (run ? ran : total)) +
                          ",fail_status=" + status;
    SCOPED_TRACE(options);
    configure(options.c_str());
    ::alarm(60);
    model.run(&bytes, &failed, &error);
    ::alarm(0);
    ist_sim_counters c = count();
    EXPECT_EQ(c.injected, 1u);
    EXPECT_EQ(c.breaches + c.leaks, 0u);
    EXPECT_EQ(c.blocks + c.bytes + c.objects + c.devices, 0u);
    if (*status != 'D') {
      EXPECT_LE(failed, 1) << error.message;
    }
    ASSERT_FALSE(HasFailure());
  }
}

} // namespace
