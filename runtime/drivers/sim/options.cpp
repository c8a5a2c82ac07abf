//===- options.cpp - what is simulated, and what happened -----------------===//
#include "backend.h"

#include <cerrno>
#include <pthread.h>
#include <time.h>

using namespace isthmus;
using namespace isthmus::sim;

ist_sim_counters sim::counters;

namespace {

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
Options current;
bool lost[kMaxDevices];
bool configured;

struct OptionsLock {
  OptionsLock() { ::pthread_mutex_lock(&lock); }
  ~OptionsLock() { ::pthread_mutex_unlock(&lock); }
};

struct Row {
  const char *name;
  uint64_t Options::*member;
  uint64_t least, most;
  Options::For there = Options::Both;
};
const Row rows[] = {
    {"devices", &Options::devices, 1, kMaxDevices, Options::CPU},
    {"memory", &Options::memory, 1, UINT64_MAX / 4},
    {"max_alloc", &Options::max_alloc, 0, UINT64_MAX / 4},
    {"alignment", &Options::alignment, 64, 65536},
    {"max_grid", &Options::max_grid, 1, INT64_MAX},
    {"latency_us", &Options::latency_us, 0, 10000000},
    {"call_us", &Options::call_us, 0, 10000000},
    {"eager", &Options::eager, 0, 1},
    {"import", &Options::import, 0, 1},
    {"recording", &Options::recording, 0, 1},
    {"fail_at", &Options::fail_at, 0, UINT64_MAX},
    {"fail_run_at", &Options::fail_run_at, 0, UINT64_MAX},
    {"fail_sticky", &Options::fail_sticky, 0, 1},
    {"threads", &Options::threads, 0, 256, Options::GPU},
    {"sanitize", &Options::sanitize, 0, 1, Options::GPU},
};

/// "64M" and the like.
bool parseNumber(const char *text, uint64_t *out) {
  if (*text < '0' || *text > '9')
    return false;
  char *end;
  errno = 0;
  unsigned long long v = std::strtoull(text, &end, 10);
  int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
  end += shift != 0;
  *out = static_cast<uint64_t>(v) << shift;
  return !*end && errno == 0 && *out >> shift == v;
}

bool parseStatus(const char *text, uint64_t *out) {
  for (int s = 1; s <= IST_DEVICE_LOST; ++s)
    if (std::strcmp(text, ist_status_name(static_cast<ist_status>(s))) == 0) {
      *out = static_cast<uint64_t>(s);
      return true;
    }
  return false;
}

ist_status parseOne(char *text, Options *o, ist_error *error) {
  char *value = std::strchr(text, '=');
  if (value)
    *value++ = 0;
  if (value && std::strcmp(text, "fail_status") == 0) {
    if (parseStatus(value, &o->fail_status))
      return IST_OK;
    return fail(error, IST_INVALID_ARGUMENT,
                "sim: fail_status=%.64s is not a status such as DEVICE_LOST",
                value);
  }
  for (const Row &row : rows) {
    if (!value || !(row.there & backend::optionsFor) ||
        std::strcmp(text, row.name) != 0)
      continue;
    uint64_t v;
    if (!parseNumber(value, &v) || v < row.least || v > row.most ||
        (row.member == &Options::alignment && (v & (v - 1))))
      return fail(error, IST_INVALID_ARGUMENT,
                  "sim: %s=%.64s is not a number that it takes; see "
                  "docs/drivers.md",
                  text, value);
    o->*row.member = v;
    return IST_OK;
  }
  return fail(error, IST_INVALID_ARGUMENT,
              "sim: '%.64s' is not an option with a value, as in "
              "latency_us=20; see docs/drivers.md",
              text);
}

ist_status parse(const char *text, Options *o, ist_error *error) {
  char copy[512];
  if (std::strlen(text) >= sizeof copy)
    return fail(error, IST_INVALID_ARGUMENT, "sim: the options are too long");
  std::strcpy(copy, text);
  char *rest = nullptr;
  for (char *one = ::strtok_r(copy, ",", &rest); one;
       one = ::strtok_r(nullptr, ",", &rest))
    if (ist_status s = parseOne(one, o, error))
      return s;
  return IST_OK;
}

/// With the lock. Counts of what there is stay.
void apply(const Options &o) {
  current = o;
  configured = true;
  std::memset(lost, 0, sizeof lost);
  uint64_t *const events[] = {&counters.calls,    &counters.failable,
                              &counters.commands, &counters.injected,
                              &counters.breaches, &counters.leaks};
  for (uint64_t *c : events)
    __atomic_store_n(c, 0, __ATOMIC_RELAXED);
}

/// Whether event number `n` is one to fail.
bool due(uint64_t n, uint64_t at, bool sticky) {
  return at && (n == at || (sticky && n > at));
}

ist_status injected(const Options &o, const char *what, const char *name,
                    uint64_t n, ist_error *error) {
  count(counters.injected);
  return fail(error, static_cast<ist_status>(o.fail_status),
              "sim: injected failure of %s %llu, %s", what,
              static_cast<unsigned long long>(n), name);
}

} // namespace

Options sim::options() {
  OptionsLock l;
  return current;
}

ist_status sim::configure(const char *text, ist_error *error) {
  Options o;
  if (ist_status s = parse(text, &o, error))
    return s;
  OptionsLock l;
  apply(o);
  return IST_OK;
}

bool sim::readEnvironment(uint32_t abi, ist_error *error) {
  if (abi != IST_DRIVER_ABI) {
    fail(error, IST_UNAVAILABLE,
         "the sim driver was built for version %d of the driver table, and "
         "this is version %u",
         IST_DRIVER_ABI, abi);
    return false;
  }
  const char *text = std::getenv(backend::environment);
  Options o;
  if (parse(text ? text : "", &o, error))
    return false;
  OptionsLock l;
  if (!configured)
    apply(o);
  return true;
}

bool sim::isLost(uint32_t index) {
  OptionsLock l;
  return lost[index];
}

void sim::lose(uint32_t index) {
  OptionsLock l;
  lost[index] = true;
}

ist_status sim::injectAtCall(const char *function, ist_error *error) {
  Options o = options();
  count(counters.calls);
  sleepUs(o.call_us);
  uint64_t n = __atomic_add_fetch(&counters.failable, 1, __ATOMIC_RELAXED);
  if (!due(n, o.fail_at, o.fail_sticky))
    return IST_OK;
  return injected(o, "call", function, n, error);
}

ist_status sim::injectAtRun(const char *command, ist_error *error) {
  Options o = options();
  sleepUs(o.latency_us);
  uint64_t n = __atomic_add_fetch(&counters.commands, 1, __ATOMIC_RELAXED);
  if (!due(n, o.fail_run_at, o.fail_sticky))
    return IST_OK;
  return injected(o, "command", command, n, error);
}

void sim::callWithoutResult() {
  count(counters.calls);
  sleepUs(options().call_us);
}

void sim::sleepUs(uint64_t us) {
  if (!us)
    return;
  timespec t = {static_cast<time_t>(us / 1000000),
                static_cast<long>(us % 1000000 * 1000)};
  while (::nanosleep(&t, &t) != 0 && errno == EINTR)
    ;
}
