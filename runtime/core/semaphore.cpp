//===- semaphore.cpp - numbers that calls wait for and raise --------------===//
#include "semaphore.h"
#include "trace.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::async;

void async::release(ist_semaphore *s) {
  if (--s->references)
    return;
  for (ist_semaphore::Failed &f : s->failed)
    std::free(f.message);
  destroy(s);
}

static bool isReached(const ist_point &p) {
  bool before = false;
  return eachBefore(p, [&](Flight *) { return !(before = true); }) && !before;
}

void async::addFailure(ist_semaphore &s, uint64_t value, ist_status status,
                       char *message) {
  if (s.failed.size() < kMostFailed) {
    if (!s.failed.push({value, status, message}))
      std::free(message);
    return;
  }
  ist_semaphore::Failed &f = s.failed[s.oldest];
  s.oldest = (s.oldest + 1) % kMostFailed;
  if (f.value < s.forgotten[0])
    s.forgotten[0] = f.value;
  if (f.value > s.forgotten[1])
    s.forgotten[1] = f.value;
  std::free(f.message);
  f = {value, status, message};
}

const ist_semaphore::Failed *async::failure(const ist_point &p) {
  static char text[] =
      "the semaphore no longer knows whether this value failed: it keeps its "
      "last 4096 failures; ask for a value before so many more calls fail";
  static_assert(kMostFailed == 4096, "the text says so");
  static const ist_semaphore::Failed unknown = {0, IST_UNAVAILABLE, text};
  const ist_semaphore &s = *p.semaphore;
  for (const ist_semaphore::Failed &f : s.failed)
    if (f.value == p.value)
      return &f;
  return p.value >= s.forgotten[0] && p.value <= s.forgotten[1] && isReached(p)
             ? &unknown
             : nullptr;
}

Flight *async::issuedBefore(const ist_point &p) {
  Flight *found = nullptr;
  eachBefore(p, [&](Flight *f) {
    if (f->state == Flight::State::Issued)
      found = f;
    return !found;
  });
  return found;
}

extern "C" {

ist_status ist_semaphore_create(uint64_t value, ist_semaphore **out,
                                ist_error *error) {
  if (!out)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_semaphore_create: out is NULL");
  *out = make<ist_semaphore>();
  if (!*out)
    return outOfMemory(error, sizeof(ist_semaphore), "a semaphore");
  (*out)->value = (*out)->promised = value;
  (*out)->references = 1;
  return IST_OK;
}

void ist_semaphore_release(ist_semaphore *semaphore) {
  if (!semaphore)
    return;
  async::Lock l;
  async::release(semaphore);
}

uint64_t ist_semaphore_value(const ist_semaphore *semaphore) {
  async::Lock l;
  // What ended on a device is known when somebody looks.
  for (size_t i = 0; i < semaphore->pending.size();) {
    Flight *f = semaphore->pending[i].flight;
    bool done = f->state == Flight::State::Issued && look(f, 0);
    i = done ? 0 : i + 1; // the list is another then
  }
  uint64_t value = semaphore->value;
  for (const ist_semaphore::Pending &p : semaphore->pending)
    if (p.value <= value)
      value = p.value - 1;
  return value;
}

ist_status ist_semaphore_signal(ist_semaphore *semaphore, uint64_t value,
                                ist_error *error) {
  if (!semaphore)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_semaphore_signal: no semaphore");
  async::Lock l;
  if (value <= semaphore->promised)
    return fail(error, IST_INVALID_ARGUMENT,
                "a semaphore that was promised %llu cannot be signalled %llu; "
                "values only rise",
                ull(semaphore->promised), ull(value));
  semaphore->promised = semaphore->value = value;
  signalAll();
  return IST_OK;
}

static ist_status waitFor(ist_semaphore *semaphore, uint64_t value,
                          uint64_t timeoutNs, ist_error *error) {
  if (!semaphore)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_semaphore_wait: no semaphore");
  uint64_t deadline = UINT64_MAX;
  if (timeoutNs != UINT64_MAX &&
      __builtin_add_overflow(nowNs(), timeoutNs, &deadline))
    deadline = UINT64_MAX;
  async::Lock l;
  ist_point point = {semaphore, value};
  for (;;) {
    if (const ist_semaphore::Failed *f = failure(point))
      return fail(error, f->status, "%s", f->message ? f->message : "");
    if (isReached(point))
      return IST_OK;
    uint64_t now = nowNs(), slice = kSliceNs;
    if (now >= deadline)
      return fail(error, IST_DEADLINE_EXCEEDED,
                  "the semaphore did not reach %llu within %llu ns; it is at "
                  "%llu",
                  ull(value), ull(timeoutNs), ull(semaphore->value));
    if (deadline - now < slice)
      slice = deadline - now;
    if (Flight *f = issuedBefore(point))
      look(f, slice);
    else
      sleep(deadline);
  }
}

ist_status ist_semaphore_wait(ist_semaphore *semaphore, uint64_t value,
                              uint64_t timeoutNs, ist_error *error) {
  uint64_t begin = tracing() ? nowNs() : 0;
  ist_status s = waitFor(semaphore, value, timeoutNs, error);
  if (begin) {
    char detail[64];
    std::snprintf(detail, sizeof detail, "value %llu = %s", ull(value),
                  ist_status_name(s));
    traceSpan("wait", "ist_semaphore_wait", begin, nullptr, detail, nullptr);
  }
  return s;
}
}
