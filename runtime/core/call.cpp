//===- call.cpp - calls on a session --------------------------------------===//
#include "call.h"
#include "trace.h"

using namespace isthmus;

ist_status ist_session::find(const char *name, uint32_t *index,
                             ist_error *error) const {
  int64_t i = program->find(name);
  if (i < 0)
    return fail(error, IST_NOT_FOUND,
                "the program has no function '%.100s'; ist-info lists them",
                name);
  *index = static_cast<uint32_t>(i);
  return IST_OK;
}

ist_status ist_session::withBound(uint32_t function, Array<ist_tensor> &copies,
                                  const ist_tensor **inputs, size_t inputCount,
                                  ist_error *error) {
  const fb::Function &f = *program->function(function);
  if (bindings.empty() || inputCount != count(f.inputs()))
    return IST_OK;
  if (!copies.resize(inputCount))
    return outOfMemory(error, inputCount * sizeof(ist_tensor), "inputs");
  for (size_t i = 0; i < inputCount; ++i) {
    copies[i] = (*inputs)[i];
    if ((*inputs)[i].data)
      continue;
    const char *name =
        f.inputs()->Get(static_cast<uint32_t>(i))->name()->c_str();
    for (const Binding &b : bindings)
      if (std::strcmp(b.name, name) == 0)
        copies[i] = b.tensor;
  }
  *inputs = copies.data();
  return IST_OK;
}

void ist_session::releaseOutputs(ist_tensor *outputs, size_t outputCount) {
  for (const Block &b : outputBlocks) {
    // A tensor that the last call filled may come again as it is: what it
    // points to is this session's, so the runtime allocates once more.
    const ist_driver_memory &m = (*b.pool)[b.block];
    for (size_t i = 0; outputs && i < outputCount; ++i)
      if (outputs[i].data == m.host ||
          reinterpret_cast<uint64_t>(outputs[i].data) == m.address)
        outputs[i].data = nullptr;
    b.pool->release(b.block);
  }
  outputBlocks.clear();
}

void ist_session::abandon(Frame *frame, ist_status status) {
  // What was given to the device still runs, and uses the frame.
  if (status == IST_DEADLINE_EXCEEDED && !device->synchronous() &&
      device->submit(queue, timeline->semaphore, submitted + 1, nullptr) ==
          IST_OK) {
    ++submitted;
    frame->next = late;
    late = frame;
    return;
  }
  recover();
  giveFrame(frame);
}

uint64_t ist_session::deadlineFrom(uint64_t now) const {
  uint64_t deadline;
  return timeoutNs && !__builtin_add_overflow(now, timeoutNs, &deadline)
             ? deadline
             : UINT64_MAX;
}

ist_status ist_session::own(ist_error *error) {
  if (!flies)
    return IST_OK;
  uint64_t deadline = timeoutNs ? deadlineFrom(nowNs()) : UINT64_MAX;
  if (!async::drain(flights, false, deadline))
    return fail(error, IST_DEADLINE_EXCEEDED,
                "the session's calls before this one did not begin within "
                "%llu ns",
                ull(timeoutNs));
  recycle();
  return IST_OK;
}

ist_status ist_session::call(const char *name, const ist_tensor *inputs,
                             size_t inputCount, ist_tensor *outputs,
                             size_t outputCount, ist_error *error) {
  uint32_t index;
  if (ist_status s = find(name, &index, error))
    return s;
  if (ist_status s = own(error))
    return s;
  __atomic_store_n(&cancelled, false, __ATOMIC_RELAXED);
  if (ist_status s = ready(error))
    return s;
  if (ist_status s = refuseCapture(
          "ist_call waits for its results (ist_call_async does not)", error))
    return s;
  uint64_t deadline = timeoutNs ? deadlineFrom(nowNs()) : UINT64_MAX;
  if (late)
    if (ist_status s = settle(deadline, error))
      return s;
  releaseOutputs(outputs, outputCount);
  Frame *frame;
  if (ist_status s = takeFrame(&frame, error))
    return s;
  frame->deadline = deadline;
  frame->timeoutNs = timeoutNs;
  bump(counters.calls);
  ist_status s = withBound(index, frame->inputs, &inputs, inputCount, error);
  if (!s) {
    Call call(*this, index, *frame, error);
    s = call.begin(inputs, inputCount, outputs, outputCount);
    if (!s)
      s = call.complete();
  }
  if (s)
    abandon(frame, s);
  else
    giveFrame(frame);
  return s;
}

ist_status ist_session::prepare(const char *name, const ist_tensor *inputs,
                                size_t inputCount, size_t sets,
                                ist_error *error) {
  uint32_t index;
  if (ist_status s = find(name, &index, error))
    return s;
  if (ist_status s = own(error))
    return s;
  if (ist_status s = ready(error))
    return s;
  if (ist_status s =
          refuseCapture("ist_session_prepare allocates and waits", error))
    return s;
  if (ist_status s = settle(UINT64_MAX, error))
    return s;
  // Room for these beside what there is. The arena grows first, to what the
  // largest needs: recordings end when it moves.
  if (shapes.size() + sets > mostShapes)
    mostShapes = shapes.size() + sets;
  Frame *frame;
  if (ist_status s = takeFrame(&frame, error))
    return s;
  ist_status s = IST_OK;
  for (bool record : {false, true})
    for (size_t i = 0; i < sets && !s; ++i) {
      const ist_tensor *set = inputs ? inputs + i * inputCount : nullptr;
      s = withBound(index, frame->inputs, &set, inputCount, error);
      if (!s)
        s = Call(*this, index, *frame, error).prepare(set, inputCount, record);
      // Only the blocks' bytes are kept.
      giveFrame(frame);
      takeFrame(&frame, error); // this one
    }
  giveFrame(frame);
  return s;
}

extern "C" {

namespace {

/// One thread at a time is in a session.
class Busy {
public:
  explicit Busy(ist_session *session) : session(session) {
    mine = !__atomic_exchange_n(&session->busy, true, __ATOMIC_ACQUIRE);
  }
  ~Busy() {
    if (mine)
      __atomic_store_n(&session->busy, false, __ATOMIC_RELEASE);
  }
  ist_status check(ist_error *error) const {
    return mine ? IST_OK
                : fail(error, IST_INVALID_ARGUMENT,
                       "another call is running on this session; give each "
                       "thread a session of its own");
  }

private:
  ist_session *session;
  bool mine;
};

ist_status checkName(ist_session *session, const char *function,
                     const char *what, ist_error *error) {
  if (!session || !function)
    return fail(error, IST_INVALID_ARGUMENT, "%s: session or function is NULL",
                what);
  if (std::strcmp(function, "init") == 0)
    return fail(error, IST_INVALID_ARGUMENT,
                "'init' runs once, when the program is loaded");
  return IST_OK;
}

} // namespace

ist_status ist_call(ist_session *session, const char *function,
                    const ist_tensor *inputs, size_t inputCount,
                    ist_tensor *outputs, size_t outputCount, ist_error *error) {
  if (ist_status s = checkName(session, function, "ist_call", error))
    return s;
  Busy busy(session);
  if (ist_status s = busy.check(error))
    return s;
  uint64_t begin = tracing() ? nowNs() : 0;
  ist_status s =
      session->call(function, inputs, inputCount, outputs, outputCount, error);
  if (begin)
    traceSpan("call", function, begin, nullptr, ist_status_name(s), nullptr);
  return s;
}

ist_status ist_call_async(ist_session *session, const char *function,
                          const ist_tensor *inputs, size_t inputCount,
                          ist_tensor *outputs, size_t outputCount,
                          const ist_call_points *points, ist_error *error) {
  if (ist_status s = checkName(session, function, "ist_call_async", error))
    return s;
  ist_call_points known = IST_CALL_POINTS_INIT;
  if (ist_status s = readOptions(points, &known, "ist_call_points", error))
    return s;
  Busy busy(session);
  if (ist_status s = busy.check(error))
    return s;
  uint64_t begin = tracing() ? nowNs() : 0;
  ist_status s = session->callAsync(function, inputs, inputCount, outputs,
                                    outputCount, known, error);
  if (begin)
    traceSpan("call", function, begin, nullptr,
              s ? ist_status_name(s) : "begun", nullptr);
  return s;
}

ist_status ist_session_prepare(ist_session *session, const char *function,
                               const ist_tensor *inputs, size_t inputCount,
                               size_t sets, ist_error *error) {
  if (ist_status s = checkName(session, function, "ist_session_prepare", error))
    return s;
  Busy busy(session);
  if (ist_status s = busy.check(error))
    return s;
  uint64_t begin = tracing() ? nowNs() : 0;
  ist_status s = session->prepare(function, inputs, inputCount, sets, error);
  if (begin)
    traceSpan("prepare", function, begin, nullptr, ist_status_name(s), nullptr);
  return s;
}

ist_status ist_session_bind(ist_session *session, const char *name,
                            ist_tensor *tensor, ist_error *error) {
  if (!session || !name)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_session_bind: session or name is NULL");
  Busy busy(session);
  if (ist_status s = busy.check(error))
    return s;
  return session->bind(name, tensor, error);
}
}
