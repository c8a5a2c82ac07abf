//===- semaphore.cpp - timeline semaphores of the simulated device --------===//
#include "device.h"

#include <time.h>

using namespace isthmus;
using namespace isthmus::sim;

void ist_driver_semaphore::raise(uint64_t to, const ist_error &failure) {
  if (to > value) {
    if (failure.code && !failures.push({value, to, failure}))
      device->log(IST_LOG_ERROR, "no memory to note a failure");
    value = to;
  }
  ::pthread_cond_broadcast(&device->changed);
}

const ist_error *ist_driver_semaphore::failureOf(uint64_t v) const {
  for (const Failure &f : failures)
    if (v > f.after && v <= f.upTo)
      return &f.error;
  return nullptr;
}

void sim::hold(ist_driver_semaphore *s) { ++s->held; }

void sim::unhold(ist_driver_semaphore *s) {
  if (--s->held == 0 && s->destroyed)
    destroy(s);
}

int sim::semaphoreCreate(ist_driver_device *device, ist_driver_semaphore **out,
                         ist_error *error) {
  if (ist_status s = device->enter("semaphore_create", error))
    return s;
  ist_driver_semaphore *s = make<ist_driver_semaphore>();
  if (!s)
    return outOfMemory(error, sizeof *s, "a semaphore");
  s->device = device;
  s->value = s->given = 0;
  s->waiters = s->held = 0;
  s->destroyed = false;
  Lock l(*device);
  link(device->semaphores, s);
  *out = s;
  return IST_OK;
}

void sim::semaphoreDestroy(ist_driver_semaphore *s) {
  callWithoutResult();
  Lock l(*s->device);
  if (s->destroyed) {
    s->device->breach(nullptr, "a semaphore is destroyed twice");
    return;
  }
  if (s->waiters || s->held)
    s->device->breach(nullptr,
                      "a semaphore is destroyed while %u threads and %u "
                      "submits wait for it or will signal it",
                      s->waiters, s->held);
  unlink(s->device->semaphores, s);
  s->destroyed = true;
  if (s->held == 0 && s->waiters == 0)
    destroy(s);
}

/// What `value` failed with, as the result of a function.
static ist_status outcome(const ist_driver_semaphore &s, uint64_t value,
                          ist_error *error) {
  const ist_error *f = s.failureOf(value);
  return f ? fail(error, f->code, "%s", f->message) : IST_OK;
}

int sim::semaphoreQuery(ist_driver_semaphore *s, uint64_t *value,
                        ist_error *error) {
  ist_driver_device *d = s->device;
  ist_status injected = d->enter("semaphore_query", error);
  Lock l(*d);
  // A failure here is one of the work, which has ended then.
  if (injected)
    while (!d->lost && s->value < s->given)
      ::pthread_cond_wait(&d->changed, &d->lock);
  if (d->lost)
    return d->lostError(error);
  if (injected)
    return injected;
  if (ist_status f = outcome(*s, s->value, error))
    return f;
  *value = s->value;
  return IST_OK;
}

int sim::semaphoreSignal(ist_driver_semaphore *s, uint64_t value,
                         ist_error *error) {
  if (ist_status f = s->device->enter("semaphore_signal", error))
    return f;
  Lock l(*s->device);
  if (value <= s->given)
    return s->device->breach(error,
                             "a semaphore is signalled to %llu and was given "
                             "%llu before",
                             ull(value), ull(s->given));
  s->given = value;
  s->raise(value, {});
  return IST_OK;
}

int sim::semaphoreWait(ist_driver_semaphore *s, uint64_t value,
                       uint64_t timeout, ist_error *error) {
  ist_driver_device *d = s->device;
  ist_error record = {};
  ist_status injected = d->enter("semaphore_wait", &record);
  timespec until;
  ::clock_gettime(CLOCK_MONOTONIC, &until);
  bool ever = timeout == UINT64_MAX;
  if (!ever) {
    uint64_t ns = static_cast<uint64_t>(until.tv_nsec) + timeout % 1000000000;
    until.tv_sec += static_cast<time_t>(timeout / 1000000000 + ns / 1000000000);
    until.tv_nsec = static_cast<long>(ns % 1000000000);
  }
  Lock l(*d);
  ++s->waiters;
  int timedOut = 0;
  while (!d->lost && s->value < value && !timedOut)
    timedOut = ever ? ::pthread_cond_wait(&d->changed, &d->lock)
                    : ::pthread_cond_timedwait(&d->changed, &d->lock, &until);
  --s->waiters;
  if (d->lost)
    return d->lostError(error);
  if (s->value < value)
    return fail(error, IST_DEADLINE_EXCEEDED,
                "the simulated device did not get to %llu in time", ull(value));
  if (injected)
    return fail(error, injected, "%s", record.message);
  return outcome(*s, value, error);
}
