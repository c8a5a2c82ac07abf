//===- flight.cpp - asynchronous calls on a session -----------------------===//
#include "call.h"

using namespace isthmus;

namespace {

/// So that the caller may read, meanwhile, what he has been told already.
template <typename T> void update(T &place, const T &value) {
  if (place != value)
    place = value;
}

void giveResults(const Flight &f) {
  for (size_t i = 0; i < f.results.size(); ++i) {
    const ist_tensor &from = f.results[i];
    ist_tensor &to = f.outputs[i];
    update(to.data, from.data);
    update(to.capacity, from.capacity);
    update(to.bytes, from.bytes);
    update(to.dtype, from.dtype);
    update(to.rank, from.rank);
    update(to.memory, from.memory);
    for (int32_t d = 0; d < from.rank; ++d)
      update(to.dims[d], from.dims[d]);
  }
}

template <typename T> bool copyInto(Array<T> &to, const T *from, size_t count) {
  if (!to.reserve(count))
    return false;
  for (size_t i = 0; i < count; ++i)
    if (!to.push(from[i]))
      return false;
  return true;
}

} // namespace

ist_status ist_session::fly(Flight &f, const ist_driver_point *points,
                            size_t pointCount, ist_error *error) {
  recycle();
  if (ist_status s = ready(error))
    return s;
  if (late)
    if (ist_status s = settle(f.deadline, error))
      return s;
  releaseOutputs(f.results.data(), f.results.size());
  Frame *frame;
  if (ist_status s = takeFrame(&frame, error))
    return s;
  frame->deadline = f.deadline;
  frame->timeoutNs = f.timeoutNs;
  bump(counters.calls);
  ist_status s = pointCount
                     ? device->submitWaits(queue, points, pointCount, error)
                     : IST_OK;
  Call call(*this, f.function, *frame, error);
  if (!s)
    s = call.begin(f.inputs.data(), f.inputs.size(), f.results.data(),
                   f.results.size());
  if (!s && f.blocking)
    s = call.complete();
  else if (!s)
    s = call.publish();
  if (!s && !f.blocking) {
    s = device->submit(queue, timeline->semaphore, submitted + 1, error, given);
    if (!s) {
      f.value = ++submitted;
      f.timeline = timeline;
      __atomic_fetch_add(&timeline->references, 1, __ATOMIC_RELAXED);
      f.frame = frame;
      f.pure = call.isPure();
    }
  }
  giveResults(f);
  if (s)
    abandon(frame, s);
  else if (f.blocking)
    giveFrame(frame);
  return s;
}

void ist_session::nameInFlight(const Flight &f, ist_status status,
                               ist_error *error) {
  isthmus::nameInFlight(f.frame->inFlight, *program, f.function, status, error);
}

ist_status ist_session::observe(Frame &frame, ist_error *error) {
  return Call(*this, frame.function, frame, error).observe();
}

void ist_session::recycle() {
  if (!flies)
    return;
  for (Flight *f = async::takeDone(flights); f;) {
    Flight *next = f->nextOfSession;
    if (f->frame)
      giveFrame(f->frame);
    isthmus::release(f->timeline);
    destroy(f);
    f = next;
  }
}

ist_status ist_session::refuseCapture(const char *what, ist_error *error) {
  bool capturing = false;
  if (!nativeKind || !queue)
    return IST_OK;
  if (ist_status s = device->capturing(queue, &capturing, error))
    return s;
  return capturing ? fail(error, IST_UNAVAILABLE,
                          "%s, and the session's queue is being captured; end "
                          "the capture before",
                          what)
                   : IST_OK;
}

/// Without points: the caller's queue orders what is on it. Nothing is
/// submitted, waited for or, once prepared, allocated, so that the caller may
/// be capturing.
ist_status ist_session::callOnQueue(uint32_t index, const ist_tensor *inputs,
                                    size_t inputCount, ist_tensor *outputs,
                                    size_t outputCount, ist_error *error) {
  for (size_t i = 0; i < inputCount + outputCount && !device->shares(); ++i) {
    const ist_tensor &t = i < inputCount ? inputs[i] : outputs[i - inputCount];
    if (t.memory == IST_MEMORY_HOST)
      return fail(error, IST_UNAVAILABLE,
                  "an asynchronous call on the caller's own queue takes memory "
                  "on the device only; see ist_device_alloc");
  }
  if (ist_status s = ready(error))
    return s;
  bool capturing = false;
  if (ist_status s = device->capturing(queue, &capturing, error))
    return s;
  if (capturing && (profiling || device->checking))
    return fail(error, IST_UNAVAILABLE,
                "%s waits for every launch, and the session's queue is being "
                "captured; turn it off",
                profiling ? "profiling" : "ISTHMUS_CHECK=1");
  memory.frozen = capturing;
  releaseOutputs(outputs, outputCount);
  Frame *frame;
  if (ist_status s = takeFrame(&frame, error)) {
    memory.frozen = false;
    return s;
  }
  frame->deadline = UINT64_MAX;
  bump(counters.calls);
  Call call(*this, index, *frame, error);
  ist_status s = call.begin(inputs, inputCount, outputs, outputCount);
  if (!s)
    s = call.publish();
  // The queue's order keeps what comes later from the frame's blocks.
  giveFrame(frame);
  memory.frozen = false;
  captured |= capturing;
  loose |= !capturing;
  return s;
}

ist_status ist_session::callAsync(const char *name, const ist_tensor *inputs,
                                  size_t inputCount, ist_tensor *outputs,
                                  size_t outputCount,
                                  const ist_call_points &points,
                                  ist_error *error) {
  uint32_t index;
  if (ist_status s = find(name, &index, error))
    return s;
  const fb::Function &f = *program->function(index);
  if (nativeKind) {
    if (points.wait_count || points.signal_count)
      return fail(error, IST_INVALID_ARGUMENT,
                  "calls on the caller's own queue are ordered by it: an "
                  "asynchronous call there takes no points");
    if (f.host_waits())
      if (ist_status s = refuseCapture(
              "the function reads values of the device on the host", error))
        return s;
    if (f.host_waits())
      return call(name, inputs, inputCount, outputs, outputCount, error);
    return callOnQueue(index, inputs, inputCount, outputs, outputCount, error);
  }
  for (size_t i = 0; i < points.wait_count + points.signal_count; ++i)
    if (!(i < points.wait_count ? points.waits[i]
                                : points.signals[i - points.wait_count])
             .semaphore)
      return fail(error, IST_INVALID_ARGUMENT,
                  "ist_call_async: a point without a semaphore");

  Flight *flight = make<Flight>();
  if (!flight)
    return outOfMemory(error, sizeof *flight, "a call");
  auto prepared = [&]() -> ist_status {
    if (ist_status s =
            withBound(index, flight->inputs, &inputs, inputCount, error))
      return s;
    // What is wrong with the arguments is said now.
    Plan plan;
    Array<int64_t> symbols;
    if (!symbols.resize(count(f.symbols())))
      return outOfMemory(error, count(f.symbols()) * 8ull, "symbols");
    if (ist_status s = bindInputs(f, inputs, inputCount, symbols.data(), error))
      return s;
    if (ist_status s = checkTensors(f, inputs, outputs, outputCount, error))
      return s;
    if (ist_status s =
            makePlan(*program->program, f, symbols.data(), &plan, error))
      return s;
    for (uint32_t i = 0; i < outputCount; ++i) {
      const fb::Tensor &t = *f.outputs()->Get(i);
      bool known = true;
      for (uint32_t d = 0; d < count(t.dims()); ++d)
        known &=
            t.dims()->Get(d)->reg() < 0 || plan.known[t.dims()->Get(d)->reg()];
      if (!known)
        continue;
      if (ist_status s = fillOutput(t, plan.regs.data(), &outputs[i], error))
        return s;
    }
    bool all = copyInto(flight->results, outputs, outputCount) &&
               copyInto(flight->waits, points.waits, points.wait_count) &&
               copyInto(flight->signals, points.signals, points.signal_count);
    if (all && flight->inputs.empty())
      all = copyInto(flight->inputs, inputs, inputCount);
    return all ? IST_OK : outOfMemory(error, sizeof *flight, "a call");
  };
  ist_status s = prepared();
  flight->session = this;
  flight->function = index;
  flight->outputs = outputs;
  flight->timeoutNs = timeoutNs;
  flight->deadline = timeoutNs ? deadlineFrom(nowNs()) : UINT64_MAX;
  flight->blocking = device->synchronous() || f.host_waits() != 0;
  for (const ist_tensor &t : flight->inputs)
    flight->hostInputs |= !device->shares() && t.memory == IST_MEMORY_HOST;
  if (!s && !flies) {
    async::addUser();
    __atomic_store_n(&flies, true, __ATOMIC_RELEASE);
  }
  if (!s)
    s = async::start(flight, error);
  if (s)
    destroy(flight);
  return s;
}
