//===- semaphore.cpp - events, submits and timeline semaphores ------------===//
//
// A semaphore is the value it is known to have and a list of points: values
// that were submitted, each with the event that will say when it is reached.
// The device's lock guards events and semaphores; nobody blocks under it.
//
//===----------------------------------------------------------------------===//
#include "stream.h"

#include <cstdio>
#include <ctime>
#include <sched.h>

using namespace isthmus;
using namespace isthmus::stream;

ist_error *stream::copyOf(const ist_error &error) {
  ist_error *copy = static_cast<ist_error *>(std::malloc(sizeof error));
  if (copy)
    *copy = error;
  return copy;
}

//===----------------------------------------------------------------------===//
// Events
//===----------------------------------------------------------------------===//

void stream::release(Device &d, Event *e) {
  if (--e->references)
    return;
  for (Event *w : e->waited)
    release(d, w);
  e->waited.clear();
  std::free(e->failure);
  e->failure = nullptr;
  e->next = d.pool;
  d.pool = e;
}

void stream::dropPool(Device &d) {
  while (Event *e = d.pool) {
    d.pool = e->next;
    d.ops->eventDestroy(d, e->handle);
    destroy(e);
  }
}

/// One that nobody uses; with one reference.
static Event *take(Device &d, ist_error *error, ist_status *status) {
  {
    Guard guard(d);
    if (Event *e = d.pool) {
      d.pool = e->next;
      e->references = 1;
      e->done = false;
      return e;
    }
  }
  Event *e = make<Event>();
  if (!e) {
    *status = outOfMemory(error, sizeof *e, "an event");
    return nullptr;
  }
  if (Code code = d.ops->eventCreate(d, &e->handle)) {
    destroy(e);
    *status = d.failed(code, error, "making an event");
    return nullptr;
  }
  e->references = 1;
  e->done = false;
  e->failure = nullptr;
  return e;
}

// Apart from their caller, which recurses and keeps its frames small.
struct Told {
  explicit Told(const Event &e) {
    if (e.last)
      std::snprintf(text, sizeof text, "commands %llu to %llu of a queue",
                    ull(e.first), ull(e.last));
  }
  char text[64] = "what was submitted";
};
__attribute__((noinline)) static ist_error *failureOf(Device &d, const Event &e,
                                                      Code code) {
  ist_error failure;
  d.failed(code, &failure, "running %s", Told(e).text);
  return copyOf(failure);
}
__attribute__((noinline)) static ist_status
notTold(Device &d, const Event &e, Code code, ist_error *error) {
  return d.failed(code, error, "asking whether %s ran", Told(e).text);
}

/// Asks the vendor whether `e` is done, and whether what it stands for failed.
static ist_status update(Device &d, Event *e, ist_error *error) {
  if (e->done)
    return IST_OK;
  bool done = false;
  Code failure = 0;
  if (Code code = d.ops->eventQuery(d, e->handle, &done, &failure))
    return notTold(d, *e, code, error);
  if (failure && !e->failure)
    e->failure = failureOf(d, *e, failure);
  if (!done)
    return IST_OK;
  e->done = true;
  // Its queue waited for these, so they are done as well.
  for (Event *w : e->waited) {
    if (ist_status s = update(d, w, error))
      return s;
    if (w->failure && !e->failure)
      e->failure = copyOf(*w->failure);
  }
  for (Event *w : e->waited)
    release(d, w);
  e->waited.clear();
  return IST_OK;
}

//===----------------------------------------------------------------------===//
// Semaphores
//===----------------------------------------------------------------------===//

/// Moves points that were reached from the list to the value.
static ist_status update(Semaphore &s, ist_error *error) {
  Device &d = *s.device;
  size_t kept = 0;
  for (size_t i = 0; i < s.points.size(); ++i) {
    Point p = s.points[i];
    ist_status status = update(d, p.event, error);
    if (status) { // the rest stays as it is
      for (; i < s.points.size(); ++i)
        s.points[kept++] = s.points[i];
      (void)s.points.resize(kept);
      return status;
    }
    if (!p.event->done) {
      s.points[kept++] = p;
      continue;
    }
    if (p.value > s.value)
      s.value = p.value;
    if (p.event->failure)
      if (ist_error *copy = copyOf(*p.event->failure))
        if (!s.failures.push({p.value, copy}))
          std::free(copy);
    release(d, p.event);
  }
  (void)s.points.resize(kept);
  return IST_OK;
}

/// The failure of what `value` stood for, or null.
static const ist_error *failureOf(const Semaphore &s, uint64_t value) {
  for (const Failure &f : s.failures)
    if (f.value == value)
      return f.error;
  return nullptr;
}

/// What will say that `value` is reached, or null: nothing was submitted.
static Event *pending(const Semaphore &s, uint64_t value) {
  for (const Point &p : s.points)
    if (p.value >= value)
      return p.event;
  return nullptr;
}

int stream::semaphoreCreate(ist_driver_device *device,
                            ist_driver_semaphore **out, ist_error *error) {
  Device *d = of(device);
  if (ist_status s = d->alive(error))
    return s;
  Semaphore *s = make<Semaphore>();
  if (!s)
    return outOfMemory(error, sizeof *s, "a semaphore");
  s->device = d;
  s->value = 0;
  *out = reinterpret_cast<ist_driver_semaphore *>(s);
  return IST_OK;
}

void stream::semaphoreDestroy(ist_driver_semaphore *semaphore) {
  Semaphore *s = of(semaphore);
  {
    Guard guard(*s->device);
    for (const Point &p : s->points)
      release(*s->device, p.event);
  }
  for (const Failure &f : s->failures)
    std::free(f.error);
  destroy(s);
}

int stream::semaphoreQuery(ist_driver_semaphore *semaphore, uint64_t *value,
                           ist_error *error) {
  Semaphore &s = *of(semaphore);
  Device &d = *s.device;
  if (ist_status status = d.alive(error))
    return status;
  Entered entered(d);
  if (ist_status status = entered.ok(error))
    return status;
  Guard guard(d);
  if (ist_status status = update(s, error))
    return status;
  if (const ist_error *failure = failureOf(s, s.value)) {
    *error = *failure;
    return failure->code;
  }
  *value = s.value;
  return IST_OK;
}

int stream::semaphoreSignal(ist_driver_semaphore *semaphore, uint64_t value,
                            ist_error *error) {
  Semaphore &s = *of(semaphore);
  Device &d = *s.device;
  if (ist_status status = d.alive(error))
    return status;
  Guard guard(d);
  if (value > s.value)
    s.value = value;
  ::pthread_cond_broadcast(&d.changed);
  return IST_OK;
}

static timespec after(uint64_t ns) {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  uint64_t sum = static_cast<uint64_t>(t.tv_nsec) + ns % 1000000000;
  t.tv_sec += static_cast<time_t>(ns / 1000000000 + sum / 1000000000);
  t.tv_nsec = static_cast<long>(sum % 1000000000);
  return t;
}

int stream::semaphoreWait(ist_driver_semaphore *semaphore, uint64_t value,
                          uint64_t timeout, ist_error *error) {
  // Short waits are polled, for a blocking wait takes tens of microseconds.
  constexpr uint64_t spin = 50000, nap = 100000, sleep = 1000000000;
  Semaphore &s = *of(semaphore);
  Device &d = *s.device;
  uint64_t begin = nowNs();
  for (;;) {
    if (ist_status status = d.alive(error))
      return status;
    uint64_t passed = nowNs() - begin;
    Entered entered(d);
    if (ist_status status = entered.ok(error))
      return status;
    Event *event = nullptr;
    {
      Guard guard(d);
      if (ist_status status = update(s, error))
        return status;
      if (s.value >= value) {
        const ist_error *failure = failureOf(s, value);
        if (failure)
          *error = *failure;
        return failure ? failure->code : IST_OK;
      }
      if (passed >= timeout)
        return fail(error, IST_DEADLINE_EXCEEDED,
                    "%s:%u: value %llu of a semaphore was not reached in "
                    "%llu us; it has %llu",
                    d.driver, d.index, ull(value), ull(timeout / 1000),
                    ull(s.value));
      event = pending(s, value);
      if (event) {
        ++event->references;
      } else {
        // Somebody has yet to submit or signal it.
        uint64_t rest = timeout - passed;
        timespec until = after(rest < sleep ? rest : sleep);
        ::pthread_cond_timedwait(&d.changed, &d.lock, &until);
        continue;
      }
    }
    if (passed < spin) {
      ::sched_yield();
    } else if (timeout == UINT64_MAX) {
      // A failure is told by the query that follows.
      d.ops->eventSynchronize(d, event->handle);
    } else {
      uint64_t rest = timeout - passed;
      timespec t = {0, static_cast<long>(rest < nap ? rest : nap)};
      ::nanosleep(&t, nullptr);
    }
    Guard guard(d);
    release(d, event);
  }
}

//===----------------------------------------------------------------------===//
// Submits
//===----------------------------------------------------------------------===//

/// Makes what follows on `q` wait for `point`.
static ist_status waitFor(Queue &q, const ist_driver_point &point,
                          ist_error *error) {
  Device &d = *q.device;
  Semaphore &s = *of(point.semaphore);
  Event *event;
  {
    Guard guard(d);
    if (ist_status status = update(s, error))
      return status;
    if (s.value >= point.value) {
      const ist_error *failure = failureOf(s, point.value);
      if (failure && !q.failure)
        q.failure = copyOf(*failure);
      return IST_OK;
    }
    event = pending(s, point.value);
    if (!event)
      return fail(error, IST_INVALID_ARGUMENT,
                  "a queue was told to wait for value %llu of a semaphore, "
                  "which nobody has submitted; it has %llu",
                  ull(point.value), ull(s.value));
    if (!q.waited.push(event))
      return outOfMemory(error, sizeof event, "a wait");
    ++event->references;
    if (event->stream == q.serial)
      return IST_OK; // in order already
  }
  if (Code code = d.ops->streamWait(d, q.stream, event->handle))
    return d.failed(code, error, "waiting for another queue");
  return IST_OK;
}

static ist_status signal(Queue &q, const ist_driver_submit &submit,
                         ist_error *error) {
  Device &d = *q.device;
  ist_status status = IST_OK;
  Event *event = take(d, error, &status);
  if (!event)
    return status;
  event->stream = q.serial;
  event->first = event->last = 0;
  if (IST_HAS(&submit, ist_driver_submit, commands) && submit.commands) {
    event->first = q.commands + 1;
    event->last = submit.commands;
    q.commands = submit.commands;
  }
  if (Code code = d.ops->eventRecord(d, q.stream, event->handle)) {
    status = d.failed(code, error, "ending a submit");
    Guard guard(d);
    release(d, event);
    return status;
  }
  Guard guard(d);
  event->failure = q.failure;
  q.failure = nullptr;
  for (Event *w : q.waited)
    if (!event->waited.push(w)) // it is kept from the pool for good
      status = outOfMemory(error, sizeof w, "a wait");
  q.waited.clear();
  for (size_t i = 0; i < submit.signal_count && !status; ++i) {
    Semaphore &s = *of(submit.signals[i].semaphore);
    uint64_t value = submit.signals[i].value;
    uint64_t most = s.value;
    if (!s.points.empty() && s.points.back().value > most)
      most = s.points.back().value;
    if (value <= most)
      status = fail(error, IST_INVALID_ARGUMENT,
                    "a submit signals value %llu of a semaphore that was given "
                    "%llu before; values rise",
                    ull(value), ull(most));
    else if (!s.points.push({value, event}))
      status = outOfMemory(error, sizeof(Point), "a signal");
    else
      ++event->references;
  }
  if (q.last)
    release(d, q.last);
  q.last = event; // with the reference of our own
  ::pthread_cond_broadcast(&d.changed);
  return status;
}

int stream::submit(ist_driver_queue *queue, const ist_driver_submit *submit,
                   ist_error *error) {
  Queue &q = *of(queue);
  Device &d = *q.device;
  if (ist_status s = known(d, *submit, "submit", error))
    return s;
  if (ist_status s = d.alive(error)) {
    q.failed = true; // what it was given may still run
    return s;
  }
  if (q.recording) {
    fail(error, IST_INVALID_ARGUMENT,
         "submit while the queue is recording; end that first");
    spoilRecording(q, *error);
    return IST_INVALID_ARGUMENT;
  }
  if (!submit->wait_count && !submit->signal_count)
    return IST_OK;
  Entered entered(d);
  if (ist_status s = entered.ok(error)) {
    q.failed = true;
    return s;
  }
  ist_status s = IST_OK;
  for (size_t i = 0; i < submit->wait_count && !s; ++i)
    s = waitFor(q, submit->waits[i], error);
  if (!s && submit->signal_count)
    s = signal(q, *submit, error);
  if (s)
    q.failed = true;
  return s;
}
