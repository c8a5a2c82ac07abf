//===- async.cpp - calls that nobody waits for ----------------------------===//
#include "semaphore.h"
#include "session.h"

#include <ctime>

using namespace isthmus;
using namespace isthmus::async;

namespace {

// All below is the lock's.
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
Flight *first = nullptr, *last = nullptr;
uint32_t users = 0;
bool running = false, stopping = false; // the thread
pthread_t thread;

void finish(Flight *f, ist_status status, const char *message) {
  for (const ist_point &p : f->signals) {
    ist_semaphore &s = *p.semaphore;
    for (size_t i = 0; i < s.pending.size(); ++i)
      if (s.pending[i].flight == f && s.pending[i].value == p.value) {
        s.pending[i] = s.pending.back();
        s.pending.pop();
        break;
      }
    // start() made room.
    if (status)
      addFailure(s, p.value, status, ::strdup(message));
    if (s.value < p.value)
      s.value = p.value;
  }
  for (const ist_point &p : f->waits)
    async::release(p.semaphore);
  for (const ist_point &p : f->signals)
    async::release(p.semaphore);
  for (Timeline *t : f->kept)
    release(t);
  f->kept.clear();
  (f->previous ? f->previous->next : first) = f->next;
  (f->next ? f->next->previous : last) = f->previous;
  Flights &all = f->session->flights;
  (f->state == Flight::State::Issued ? all.issued : all.waiting) -= 1;
  f->state = Flight::State::Done;
  signalAll();
}

/// The device says how an issued flight ended.
void finishIssued(Flight *f, ist_status status, ist_error *error) {
  if (status)
    f->session->nameInFlight(*f, status, error);
  for (const ist_point &p : f->waits)
    if (const ist_semaphore::Failed *cause = failure(p))
      status = fail(error, cause->status, "a wait failed: %s",
                    cause->message ? cause->message : "");
  if (!status)
    status = f->session->observe(*f->frame, error);
  finish(f, status, status ? error->message : "");
}

/// The first flight of the session that is issued, if it comes before `f`.
Flight *issuedEarlier(const Flight &f) {
  for (Flight *g = f.session->flights.first; g && g != &f; g = g->nextOfSession)
    if (g->state == Flight::State::Issued)
      return g;
  return nullptr;
}

/// The first of the issued flights that `f` waits for, and those for others. On
/// its session they end in order: results of the later stay.
Flight *deepest(Flight *f) {
  for (Flight *below = f; below; f = below) {
    below = nullptr;
    for (const ist_point &p : f->waits)
      if (Flight *g = issuedBefore(p))
        below = g == f ? below : g;
    if (Flight *g = issuedEarlier(*f))
      below = g;
    if (!below)
      break;
  }
  return f;
}

ist_status waitOnDevice(const Flight &f, uint64_t timeoutNs, ist_error *error) {
  return f.timeline->device->semaphoreWait(f.timeline->semaphore, f.value,
                                           timeoutNs, error);
}

enum class Wait { Over, OnDevice, Looking, Unknown };

/// Will `g` copy results to where `f` reads its inputs on the host?
bool feeds(const Flight &g, const Flight &f) {
  for (const ist_tensor &from : g.results)
    for (const ist_tensor &to : f.inputs) {
      auto a = reinterpret_cast<uint64_t>(from.data),
           b = reinterpret_cast<uint64_t>(to.data);
      if (a && b && from.memory == IST_MEMORY_HOST &&
          to.memory == IST_MEMORY_HOST && a < b + to.capacity &&
          b < a + from.capacity)
        return true;
    }
  return false;
}

/// What is to be waited for before `f` can go on; the worst of its waits. With
/// Looking, `at` is an issued flight to be looked at.
Wait examine(const Flight &f, Flight **at) {
  Wait worst = Wait::Over;
  for (const ist_point &p : f.waits) {
    if (failure(p))
      continue;
    bool promised = eachBefore(p, [&](Flight *g) {
      if (g->state != Flight::State::Issued) {
        worst = Wait::Unknown;
      } else if (!f.blocking && !f.hostInputs && g->pure &&
                 g->session->device == f.session->device) {
        if (worst == Wait::Over)
          worst = Wait::OnDevice;
      } else {
        worst = Wait::Looking;
        *at = g;
      }
      return worst != Wait::Unknown;
    });
    if (!promised || worst == Wait::Unknown)
      return Wait::Unknown;
  }
  if (f.hostInputs)
    for (Flight *g = f.session->flights.first; g && g != &f;
         g = g->nextOfSession)
      if (g->state == Flight::State::Issued && feeds(*g, f)) {
        worst = Wait::Looking;
        *at = g;
      }
  return worst;
}

/// Why a flight shall not begin, or OK.
ist_status refusal(const Flight &f, ist_error *error) {
  const char *name = f.session->program->function(f.function)->name()->c_str();
  for (const ist_point &p : f.waits)
    if (const ist_semaphore::Failed *cause = failure(p))
      return fail(error, cause->status, "a wait of the call of '%s' failed: %s",
                  name, cause->message ? cause->message : "");
  if (f.cancelled)
    return fail(error, IST_ABORTED,
                f.stuck ? "the session of a call of '%s' ended while nobody "
                          "was to signal what the call waited for"
                        : "the call of '%s' was cancelled",
                name);
  if (f.deadline != UINT64_MAX && nowNs() >= f.deadline)
    return fail(error, IST_DEADLINE_EXCEEDED,
                "the call of '%s' did not begin within %llu ns; set a longer "
                "timeout",
                name, ull(f.timeoutNs));
  return IST_OK;
}

/// With the session. Leaves the lock meanwhile.
void run(Flight *f) {
  f->state = Flight::State::Running;
  __atomic_store_n(&f->session->cancelled, false, __ATOMIC_RELAXED);
  // What the device is to wait for.
  Array<ist_driver_point> points;
  ist_error error;
  ist_status s = refusal(*f, &error);
  for (const ist_point &p : f->waits)
    eachBefore(p, [&](Flight *g) {
      if (s)
        return false;
      if (!points.push({g->timeline->semaphore, g->value}) ||
          !f->kept.push(g->timeline))
        s = outOfMemory(&error, sizeof(ist_driver_point), "a call's waits");
      else
        __atomic_fetch_add(&g->timeline->references, 1, __ATOMIC_RELAXED);
      return true;
    });
  ::pthread_mutex_unlock(&mutex);
  if (!s)
    s = f->session->fly(*f, points.data(), points.size(), &error);
  ::pthread_mutex_lock(&mutex);
  if (s || f->blocking) {
    finish(f, s, s ? error.message : "");
    return;
  }
  f->state = Flight::State::Issued;
  --f->session->flights.waiting;
  ++f->session->flights.issued;
  signalAll();
}

/// Is it the first of its session that was not run?
bool isNext(const Flight &f) {
  for (const Flight *g = f.session->flights.first; g != &f;
       g = g->nextOfSession)
    if (g->state == Flight::State::Parked || g->state == Flight::State::Running)
      return false;
  return true;
}

/// Is there something before `f` that nobody will do, as far as is known?
bool isStuck(const Flight &f) {
  for (const Flight *g = f.session->flights.first; g != &f;
       g = g->nextOfSession)
    if (g->stuck)
      return true;
  for (const ist_point &p : f.waits) {
    bool stuck = false;
    if (!eachBefore(p, [&](Flight *g) { return !(stuck = g->stuck); }) || stuck)
      return !failure(p);
  }
  return false;
}

void *threadMain(void *) {
  ::pthread_setname_np(::pthread_self(), "ist-async");
  ::pthread_mutex_lock(&mutex);
  while (!stopping) {
    Flight *ready = nullptr, *at = nullptr;
    uint64_t deadline = UINT64_MAX;
    ist_error error;
    for (Flight *f = first; f && !ready; f = f->next) {
      if (f->state != Flight::State::Parked)
        continue;
      if (f->deadline < deadline)
        deadline = f->deadline;
      if (refusal(*f, &error)) {
        ready = f; // to its end, whatever comes before it
      } else if (isNext(*f)) {
        Wait w = examine(*f, &at);
        if (w == Wait::Over || w == Wait::OnDevice)
          ready = f;
      }
    }
    if (ready) {
      if (ist_status s = refusal(*ready, &error))
        finish(ready, s, error.message);
      else
        run(ready);
    } else if (at) {
      look(at, kSliceNs);
    } else {
      sleep(deadline);
    }
  }
  ::pthread_mutex_unlock(&mutex);
  return nullptr;
}

ist_status ensureThread(ist_error *error) {
  while (stopping)
    sleep(UINT64_MAX);
  if (running)
    return IST_OK;
  if (int code = startThread(&thread, threadMain, nullptr))
    return fail(error, IST_RESOURCE_EXHAUSTED,
                "cannot start the thread for asynchronous calls: %s",
                std::strerror(code));
  running = true;
  return IST_OK;
}

} // namespace

void isthmus::release(Timeline *t) {
  if (!t || __atomic_sub_fetch(&t->references, 1, __ATOMIC_ACQ_REL))
    return;
  t->device->semaphoreDestroy(t->semaphore);
  t->device->release();
  destroy(t);
}

void async::signalAll() { ::pthread_cond_broadcast(&changed); }

void async::sleep(uint64_t deadline) {
  if (deadline == UINT64_MAX) {
    ::pthread_cond_wait(&changed, &mutex);
    return;
  }
  timespec t = {static_cast<time_t>(deadline / 1000000000),
                static_cast<long>(deadline % 1000000000)};
  ::pthread_cond_clockwait(&changed, &mutex, CLOCK_MONOTONIC, &t);
}

bool async::look(Flight *f, uint64_t timeoutNs) {
  ist_error error;
  ++f->helpers;
  ::pthread_mutex_unlock(&mutex);
  ist_status s = waitOnDevice(*f, timeoutNs, &error);
  ::pthread_mutex_lock(&mutex);
  --f->helpers;
  if (f->state == Flight::State::Done) {
    signalAll(); // whoever waits for the last helper
    return true;
  }
  if (s == IST_DEADLINE_EXCEEDED)
    return false;
  // Those that its commands waited for have ended; how is asked first, because
  // their failures are its own.
  for (Flight *g; (g = deepest(f)) != f;) {
    ist_error its;
    finishIssued(g, waitOnDevice(*g, UINT64_MAX, &its), &its);
  }
  finishIssued(f, s, &error);
  return true;
}

async::Lock::Lock() { ::pthread_mutex_lock(&mutex); }
async::Lock::~Lock() { ::pthread_mutex_unlock(&mutex); }

void async::addUser() {
  Lock l;
  ++users;
}

void async::removeUser() {
  pthread_t ended;
  {
    Lock l;
    if (--users || !running)
      return;
    stopping = true;
    running = false;
    ended = thread;
    signalAll();
  }
  ::pthread_join(ended, nullptr);
  Lock l;
  stopping = false;
  signalAll();
}

ist_status async::start(Flight *f, ist_error *error) {
  Lock l;
  if (f->session->flights.waiting + f->session->flights.issued >= kMostFlights)
    return fail(error, IST_RESOURCE_EXHAUSTED,
                "%u calls of the session are under way, which is the most; "
                "wait for one",
                kMostFlights);
  for (size_t i = 0; i < f->signals.size(); ++i) {
    const ist_point &p = f->signals[i];
    uint64_t above = p.semaphore->promised;
    for (size_t j = 0; j < i; ++j)
      if (f->signals[j].semaphore == p.semaphore && f->signals[j].value > above)
        above = f->signals[j].value;
    if (p.value <= above)
      return fail(error, IST_INVALID_ARGUMENT,
                  "a call is to signal %llu of a semaphore that was promised "
                  "%llu before; values only rise",
                  ull(p.value), ull(above));
    // Room for what finish() must not fail at.
    ist_semaphore &s = *p.semaphore;
    size_t m = s.pending.size() + f->signals.size(), n = s.failed.size() + m;
    if (!s.failed.reserve(n < kMostFailed ? n : kMostFailed) ||
        !s.pending.reserve(m))
      return outOfMemory(error, m * sizeof(ist_semaphore::Failed),
                         "a semaphore");
  }
  Flights &mine = f->session->flights;
  Flight *at = nullptr;
  // Only what needs no thread is given to the device here and now.
  Wait w = mine.waiting || f->blocking ? Wait::Unknown : examine(*f, &at);
  bool now = w == Wait::Over || w == Wait::OnDevice;
  if (!now)
    if (ist_status s = ensureThread(error))
      return s;
  for (const ist_point &p : f->waits)
    ++p.semaphore->references;
  for (const ist_point &p : f->signals) {
    ++p.semaphore->references;
    p.semaphore->promised = p.value;
    (void)!p.semaphore->pending.push({p.value, f});
  }
  f->previous = last;
  (last ? last->next : first) = f;
  last = f;
  (mine.last ? mine.last->nextOfSession : mine.first) = f;
  mine.last = f;
  ++mine.waiting;
  if (now)
    run(f);
  else
    signalAll();
  return IST_OK;
}

bool async::drain(Flights &flights, bool issued, uint64_t deadline) {
  Lock l;
  for (;;) {
    Flight *at = nullptr;
    bool done = flights.waiting == 0 && (!issued || flights.issued == 0);
    for (Flight *f = flights.first; f; f = f->nextOfSession) {
      done &= !issued || f->helpers == 0;
      if (issued && !at && f->state == Flight::State::Issued)
        at = f;
    }
    if (done)
      return true;
    if (deadline != UINT64_MAX && nowNs() >= deadline)
      return false;
    if (at)
      look(at, kSliceNs);
    else
      sleep(deadline);
  }
}

void async::abandon(Flights &flights) {
  Lock l;
  for (Flight *f = first; f; f = f->next)
    f->stuck = false;
  for (bool more = true; more;) {
    more = false;
    for (Flight *f = first; f; f = f->next)
      if (!f->stuck && f->state == Flight::State::Parked && isStuck(*f))
        f->stuck = more = true;
  }
  for (Flight *f = first; f; f = f->next) {
    f->stuck &= &f->session->flights == &flights;
    f->cancelled |= f->stuck;
  }
  signalAll();
}

void async::cancel(Flights &flights) {
  Lock l;
  for (Flight *f = flights.first; f; f = f->nextOfSession)
    f->cancelled |= f->state == Flight::State::Parked;
  signalAll();
}

void async::failIssued(Flights &flights, ist_status status,
                       const char *message) {
  Lock l;
  for (Flight *f = flights.first; f; f = f->nextOfSession)
    if (f->state == Flight::State::Issued)
      finish(f, status, message);
}

Flight *async::takeDone(Flights &flights) {
  Lock l;
  for (Flight *f = flights.first; f; f = f->nextOfSession)
    if (f->state == Flight::State::Issued && !look(f, 0))
      break;
  Flight *taken = nullptr, *keptLast = nullptr;
  for (Flight *f = flights.first, *after; f; f = after) {
    after = f->nextOfSession;
    if (f->state != Flight::State::Done || f->helpers) {
      keptLast = f;
      continue;
    }
    (keptLast ? keptLast->nextOfSession : flights.first) = after;
    f->nextOfSession = taken;
    taken = f;
  }
  flights.last = keptLast;
  return taken;
}
