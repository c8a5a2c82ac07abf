//===- queue.cpp - the simulated device's queues --------------------------===//
#include "queue.h"

#include <cstdio>
#include <signal.h>

using namespace isthmus;
using namespace isthmus::sim;

void *ist_driver_queue::main(void *self) {
  auto *q = static_cast<ist_driver_queue *>(self);
  char name[16];
  std::snprintf(name, sizeof name, "ist-sim-%u", q->number % 10000u);
  ::pthread_setname_np(::pthread_self(), name);
  q->work();
  return nullptr;
}

void ist_driver_queue::work() {
  ist_driver_device &d = *device;
  Lock l(d);
  for (;;) {
    while (!(first && (first->submitted || d.options.eager || stopping)) &&
           !stopping)
      ::pthread_cond_wait(&d.changed, &d.lock);
    if (!first)
      return;
    Command *c = first;
    // What was not submitted is dropped at the end.
    bool drop = d.losing || failure.code || (stopping && !c->submitted);
    if (c->kind == Kind::submit) {
      for (const ist_driver_point &p : c->waits) {
        while (p.semaphore->value < p.value && !d.losing)
          ::pthread_cond_wait(&d.changed, &d.lock);
        const ist_error *f = p.semaphore->failureOf(p.value);
        if (f && !failure.code)
          failure = *f;
      }
      if (!d.losing)
        for (const ist_driver_point &p : c->signals)
          p.semaphore->raise(p.value, failure);
      if (!c->signals.empty())
        failure = {};
    } else if (!drop) {
      ist_error error = {};
      ++d.running;
      ::pthread_mutex_unlock(&d.lock);
      ist_status s = c->run(&error);
      ::pthread_mutex_lock(&d.lock);
      --d.running;
      ::pthread_cond_broadcast(&d.changed);
      if (s) {
        failure = error;
        if (s == IST_DEVICE_LOST)
          d.lose();
      }
    }
    finish(c);
  }
}

/// With the lock; `c` is the first.
void ist_driver_queue::finish(Command *c) {
  first = c->next;
  if (!first)
    last = nullptr;
  c->unholdAll(*device);
  for (const ist_driver_point &p : c->waits)
    unhold(p.semaphore);
  for (const ist_driver_point &p : c->signals)
    unhold(p.semaphore);
  if (c->recording)
    unhold(c->recording);
  destroy(c);
  ::pthread_cond_broadcast(&device->changed);
}

ist_status ist_driver_queue::give(Command *c, ist_error *error) {
  if (ist_status s = c->resolve(*device, error)) {
    destroy(c);
    return s;
  }
  if (recording) {
    // Held again at each replay; between them memory may come and go.
    c->unholdAll(*device);
    if (!recorded.push(c)) {
      destroy(c);
      return outOfMemory(error, sizeof c, "a recording");
    }
    return IST_OK;
  }
  (last ? last->next : first) = c;
  last = c;
  ::pthread_cond_broadcast(&device->changed);
  return IST_OK;
}

int sim::noted(ist_driver_queue *q, ist_status status, const ist_error *error) {
  if (status) {
    Lock l(*q->device);
    q->failed = true;
    if (q->recording && !q->recordingFailure.code) {
      q->recordingFailure = *error;
      q->recordingFailure.code = status;
    }
  }
  return status;
}

int sim::queueCreate(ist_driver_device *device, const ist_native *native,
                     ist_driver_queue **out, ist_error *error) {
  if (ist_status s = device->enter("queue_create", error))
    return s;
  if (native)
    return fail(error, IST_UNAVAILABLE,
                "the sim driver has no queue of kind '%.64s' to take over",
                native->kind);
  ist_driver_queue *q = make<ist_driver_queue>();
  if (!q)
    return outOfMemory(error, sizeof *q, "a queue");
  static uint32_t numbers;
  q->device = device;
  q->number = __atomic_fetch_add(&numbers, 1, __ATOMIC_RELAXED);
  q->first = q->last = nullptr;
  q->stopping = q->failed = q->recording = false;
  q->failure = q->recordingFailure = {};
  if (int code = startThread(&q->thread, ist_driver_queue::main, q)) {
    destroy(q);
    return fail(error, IST_RESOURCE_EXHAUSTED,
                "cannot start a queue's thread: %s", std::strerror(code));
  }
  Lock l(*device);
  link(device->queues, q);
  *out = q;
  return IST_OK;
}

void sim::queueDestroy(ist_driver_queue *q) {
  callWithoutResult();
  {
    Lock l(*q->device);
    if (q->first && !q->failed && !q->device->lost && !q->failure.code)
      q->device->breach(nullptr, "a queue is destroyed with a %s to run",
                        kindName(q->first->kind));
    if (q->recording)
      q->device->breach(nullptr, "a queue is destroyed while it records");
    q->stopping = true;
    unlink(q->device->queues, q);
    ::pthread_cond_broadcast(&q->device->changed);
  }
  ::pthread_join(q->thread, nullptr);
  for (Command *c : q->recorded)
    destroy(c);
  destroy(q);
}

int sim::copy(ist_driver_queue *q, uint64_t to, uint64_t from, uint64_t bytes,
              ist_error *error) {
  ist_status s = q->device->enter("copy", error);
  if (s || !bytes)
    return noted(q, s, error);
  Command *c = make<Command>();
  if (!c)
    return noted(q, outOfMemory(error, sizeof *c, "a copy"), error);
  c->kind = Kind::copy;
  c->to = to;
  c->from = from;
  c->bytes = bytes;
  {
    Lock l(*q->device);
    s = q->give(c, error);
  }
  return noted(q, s, error);
}

int sim::fill(ist_driver_queue *q, uint64_t to, uint8_t value, uint64_t bytes,
              ist_error *error) {
  ist_status s = q->device->enter("fill", error);
  if (s || !bytes)
    return noted(q, s, error);
  Command *c = make<Command>();
  if (!c)
    return noted(q, outOfMemory(error, sizeof *c, "a fill"), error);
  c->kind = Kind::fill;
  c->to = to;
  c->value = value;
  c->bytes = bytes;
  {
    Lock l(*q->device);
    s = q->give(c, error);
  }
  return noted(q, s, error);
}

static ist_status makeLaunch(ist_driver_queue *q, const ist_launch &launch,
                             ist_error *error) {
  const ist_driver_kernel &k = *launch.kernel;
  if (launch.grid > q->device->options.max_grid)
    return fail(error, IST_INVALID_ARGUMENT,
                "kernel '%.100s': a grid of %llu, and this device takes %llu",
                k.name, ull(launch.grid), ull(q->device->options.max_grid));
  if (launch.block != k.block || launch.args_bytes != k.argsBytes ||
      launch.dynamic_shared > k.dynamicShared || launch.cluster > 1)
    return q->device->breach(
        error,
        "launch of '%.100s' with a block of %u, %u bytes of arguments, %u of "
        "shared memory and clusters of %u does not fit the kernel's "
        "description",
        k.name, launch.block, launch.args_bytes, launch.dynamic_shared,
        launch.cluster);
  Command *c = make<Command>();
  if (!c || !c->args.resize((k.argsBytes + 7) / 8) ||
      !c->ranges.resize(launch.range_count) ||
      !c->rangeArgs.resize(launch.range_count)) {
    destroy(c);
    return outOfMemory(error, k.argsBytes, "a launch");
  }
  c->kind = Kind::launch;
  c->kernel = &k;
  c->grid = launch.grid;
  c->dynamicShared = launch.dynamic_shared;
  if (k.argsBytes)
    std::memcpy(c->args.data(), launch.args, k.argsBytes);
  size_t arg = 0; // ranges come in the arguments' order
  for (size_t i = 0; i < launch.range_count; ++i) {
    c->ranges[i] = launch.ranges[i];
    c->rangeArgs[i] = -1;
    for (size_t j = arg; j < k.args.size(); ++j) {
      const ist_arg &a = k.args[j];
      if (a.kind == IST_ARG_ADDRESS &&
          std::memcmp(reinterpret_cast<char *>(c->args.data()) + a.offset,
                      &launch.ranges[i].address, 8) == 0) {
        c->rangeArgs[i] = static_cast<int32_t>(a.offset);
        arg = j + 1;
        break;
      }
    }
  }
  Lock l(*q->device);
  return q->give(c, error);
}

int sim::launch(ist_driver_queue *q, const ist_launch *launch,
                ist_error *error) {
  ist_status s = q->device->enter("launch", error);
  if (!s && (!ist_tail_is_zero(launch, sizeof *launch) || hasTiles(*launch)))
    s = unknown("launch", error);
  if (!s && launch->grid)
    s = makeLaunch(q, *launch, error);
  return noted(q, s, error);
}

static ist_status makeSubmit(ist_driver_queue *q,
                             const ist_driver_submit &submit,
                             ist_error *error) {
  ist_driver_device &d = *q->device;
  Command *c = make<Command>();
  if (!c || !c->waits.resize(submit.wait_count) ||
      !c->signals.resize(submit.signal_count)) {
    destroy(c);
    return outOfMemory(error, sizeof *c, "a submit");
  }
  c->kind = Kind::submit;
  c->submitted = true;
  Lock l(d);
  ist_status s = IST_OK;
  if (q->recording)
    s = d.breach(error, "submit between begin and end of a recording");
  for (size_t i = 0; i < submit.wait_count && !s; ++i) {
    c->waits[i] = submit.waits[i];
    if (submit.waits[i].semaphore->device != &d)
      s = d.breach(error, "a submit waits for another device's semaphore");
    else if (submit.waits[i].value > submit.waits[i].semaphore->given)
      s = d.breach(error,
                   "a submit waits for %llu, which no submit was to signal",
                   ull(submit.waits[i].value));
  }
  for (size_t i = 0; i < submit.signal_count && !s; ++i) {
    c->signals[i] = submit.signals[i];
    if (submit.signals[i].semaphore->device != &d)
      s = d.breach(error, "a submit signals another device's semaphore");
    else if (submit.signals[i].value <= submit.signals[i].semaphore->given)
      s = d.breach(error,
                   "a submit signals %llu, and the semaphore was given %llu "
                   "before",
                   ull(submit.signals[i].value),
                   ull(submit.signals[i].semaphore->given));
  }
  if (s) {
    destroy(c);
    return s;
  }
  for (const ist_driver_point &p : c->waits)
    hold(p.semaphore);
  for (const ist_driver_point &p : c->signals) {
    hold(p.semaphore);
    p.semaphore->given = p.value;
  }
  for (Command *before = q->first; before; before = before->next)
    before->submitted = true;
  return q->give(c, error);
}

int sim::submit(ist_driver_queue *q, const ist_driver_submit *submit,
                ist_error *error) {
  ist_status s = q->device->enter("submit", error);
  if (!s && !ist_tail_is_zero(submit, sizeof *submit))
    s = unknown("submit", error);
  if (!s)
    s = makeSubmit(q, *submit, error);
  return noted(q, s, error);
}
