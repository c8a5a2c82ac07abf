//===- async.cpp - semaphores, and calls that nobody waits for ------------===//
#include "async.h"
#include "session.h"
#include "trace.h"

#include <csignal>
#include <cstdio>
#include <ctime>

using namespace isthmus;

struct ist_semaphore {
  uint64_t value;    // reached
  uint64_t promised; // the largest that was signalled or given to a flight
  int references;    // flights, and the user
  struct Failed {
    uint64_t value;
    ist_status status;
    char *message; // may be null
  };
  Array<Failed> failed;
  struct Pending {
    uint64_t value;
    Flight *flight;
  };
  Array<Pending> pending;
};

namespace {

/// How long a thread that helps looks at one flight before it looks around.
constexpr uint64_t kSliceNs = 1000 * 1000;

// All below is the lock's.
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
Flight *first = nullptr, *last = nullptr;
uint32_t users = 0;
bool running = false, stopping = false; // the thread
pthread_t thread;

void signalAll() { ::pthread_cond_broadcast(&changed); }

/// Until something changed, or `deadline`.
void sleep(uint64_t deadline) {
  if (deadline == UINT64_MAX) {
    ::pthread_cond_wait(&changed, &mutex);
    return;
  }
  timespec t = {static_cast<time_t>(deadline / 1000000000),
                static_cast<long>(deadline % 1000000000)};
  ::pthread_cond_clockwait(&changed, &mutex, CLOCK_MONOTONIC, &t);
}

void releaseSemaphore(ist_semaphore *s) {
  if (--s->references)
    return;
  for (ist_semaphore::Failed &f : s->failed)
    std::free(f.message);
  destroy(s);
}

const ist_semaphore::Failed *failure(const ist_point &p) {
  for (const ist_semaphore::Failed &f : p.semaphore->failed)
    if (f.value == p.value)
      return &f;
  return nullptr;
}

/// Calls `visit` with each flight that stands before the point: those that were
/// given it or less, and if none of them raises the semaphore so far the one
/// with the least beyond. `visit` says whether to go on. False: nobody was
/// given such a value.
template <typename Visit> bool eachBefore(const ist_point &p, Visit visit) {
  const ist_semaphore::Pending *beyond = nullptr;
  uint64_t reaches = p.semaphore->value;
  for (const ist_semaphore::Pending &x : p.semaphore->pending) {
    if (x.value <= p.value) {
      if (x.value > reaches)
        reaches = x.value;
      if (!visit(x.flight))
        return true;
    } else if (!beyond || x.value < beyond->value) {
      beyond = &x;
    }
  }
  if (reaches >= p.value)
    return true;
  if (beyond)
    visit(beyond->flight);
  return beyond;
}

bool isReached(const ist_point &p) {
  bool before = false;
  return eachBefore(p, [&](Flight *) { return !(before = true); }) && !before;
}

/// An issued flight before the point, or null.
Flight *issuedBefore(const ist_point &p) {
  Flight *found = nullptr;
  eachBefore(p, [&](Flight *f) {
    if (f->state == Flight::State::Issued)
      found = f;
    return !found;
  });
  return found;
}

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
      (void)!s.failed.push({p.value, status, ::strdup(message)});
    if (s.value < p.value)
      s.value = p.value;
  }
  for (const ist_point &p : f->waits)
    releaseSemaphore(p.semaphore);
  for (const ist_point &p : f->signals)
    releaseSemaphore(p.semaphore);
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

/// Looks at an issued flight for so long; true when it is done. Leaves the lock
/// meanwhile.
bool look(Flight *f, uint64_t timeoutNs) {
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
    return fail(error, IST_ABORTED, "the call of '%s' was cancelled", name);
  if (f.deadline != UINT64_MAX && nowNs() >= f.deadline)
    return fail(error, IST_DEADLINE_EXCEEDED,
                "the call of '%s' did not begin within %llu ns; set a longer "
                "timeout",
                name, static_cast<unsigned long long>(f.timeoutNs));
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
  // Signals are the application's business, but those of a kernel that crashes
  // come to the thread that runs it.
  sigset_t all, old;
  sigfillset(&all);
  const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
  for (int own : faults)
    sigdelset(&all, own);
  ::pthread_sigmask(SIG_SETMASK, &all, &old);
  int code = ::pthread_create(&thread, nullptr, threadMain, nullptr);
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (code)
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
                  static_cast<unsigned long long>(p.value),
                  static_cast<unsigned long long>(above));
    // Room for what finish() must not fail at.
    ist_semaphore &s = *p.semaphore;
    size_t n = s.failed.size(), m = s.pending.size() + f->signals.size();
    if (!s.failed.resize(n + m) || !s.pending.reserve(m))
      return outOfMemory(error, m * sizeof(ist_semaphore::Failed),
                         "a semaphore");
    while (s.failed.size() > n)
      s.failed.pop();
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
  releaseSemaphore(semaphore);
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
                static_cast<unsigned long long>(semaphore->promised),
                static_cast<unsigned long long>(value));
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
                  static_cast<unsigned long long>(value),
                  static_cast<unsigned long long>(timeoutNs),
                  static_cast<unsigned long long>(semaphore->value));
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
    std::snprintf(detail, sizeof detail, "value %llu = %s",
                  static_cast<unsigned long long>(value), ist_status_name(s));
    traceSpan("wait", "ist_semaphore_wait", begin, nullptr, detail, nullptr);
  }
  return s;
}
}
