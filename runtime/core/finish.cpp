//===- finish.cpp - how calls begin and end -------------------------------===//
#include "call.h"

#include <cstdio>

using namespace isthmus;

ist_status Call::late() {
  return fail(error, IST_DEADLINE_EXCEEDED,
              "the call of '%s' did not end within %llu ns; set a longer "
              "timeout",
              f.name()->c_str(), ull(frame.timeoutNs));
}

ist_status Call::interrupted() {
  if (recording)
    return IST_OK;
  if (__atomic_load_n(&session.cancelled, __ATOMIC_RELAXED))
    return fail(error, IST_ABORTED, "the call of '%s' was cancelled",
                f.name()->c_str());
  if (frame.deadline != UINT64_MAX && nowNs() >= frame.deadline)
    return late();
  return IST_OK;
}

ist_status Call::begin(const ist_tensor *in, size_t inputCount, ist_tensor *out,
                       size_t outputCount) {
  ist_session::Shape *shape;
  if (ist_status s = bindSizes(in, inputCount, &shape))
    return s;
  if (ist_status s = bindOperands(in, out, outputCount))
    return s;
  classify();
  if (facts.errorWords)
    std::memset(frame.errorWord(0), 0, 4ull * count(f.launches()));
  ist_session::Recorded *known = nullptr;
  // A capture gets the commands themselves: recordings change with later calls.
  if (facts.recordable && !shape->unfit && !session.noRecordings &&
      !session.profiling && !session.memory.frozen)
    known = session.recorded(*shape, frame.classes);
  if (known && !known->recording && ++known->sights >= 2) {
    if (ist_status s = record(*known))
      return s;
    shape->unfit = unfit;
  }
  if (ist_status s = placeInputs())
    return s;
  if (known && known->recording)
    return replay(*known->recording);
  return interpret();
}

ist_status Call::finishOutputs() {
  for (uint32_t i = 0; i < outputs(); ++i) {
    ist_tensor t;
    ist_tensor *out = recording ? &t : &frame.outputs[i];
    if (ist_status s = finishOutput(i, out))
      return s;
    if (!recording)
      continue;
    for (int32_t d = 0; d < t.rank; ++d)
      if (!recording->dims.push(t.dims[d]))
        return tooLong();
  }
  return IST_OK;
}

/// The output's size is final: checks it, and copies what is not where the
/// caller looks for it.
ist_status Call::finishOutput(uint32_t i, ist_tensor *out) {
  uint32_t k = operandOf(i);
  const fb::Tensor &t = *f.outputs()->Get(i);
  Operand &o = frame.operands[k];
  const char *name = t.name()->c_str();
  if (!o.value.at.address)
    return fail(error, IST_DATA_LOSS,
                "broken artifact: function '%s' ended without output '%s'; "
                "report this",
                f.name()->c_str(), name);
  if (ist_status s = fillOutput(t, r.data(), out, error))
    return s;
  uint64_t bytes = out->bytes;
  if (bytes > o.value.bytes)
    return fail(error, IST_DATA_LOSS,
                "broken artifact: output '%s' has %llu bytes by its dims and "
                "%llu in memory; report this",
                name, ull(bytes), ull(o.value.bytes));
  if (recording) {
    Recording::Result &result = recording->results[i];
    result.bytes = bytes;
    if (result.need < bytes)
      result.need = bytes;
  } else {
    if (o.given && bytes > o.room)
      return tooSmall(i, bytes);
    if (ist_status s = placeOuter(i, bytes))
      return s;
  }
  if (!o.indirect || !bytes)
    return IST_OK;
  return giveCopy(outer(k), o.value.at, bytes);
}

ist_status isthmus::nameInFlight(const InFlight &in, ist_program &program,
                                 uint32_t function, ist_status status,
                                 ist_error *error) {
  if (!error || !in.last)
    return status;
  const fb::Function &f = *program.function(function);
  char kernels[2][180] = {"", ""};
  for (int k = 0; k < 2; ++k) {
    if (in.launches[k] == kNoBlock || (k && in.launches[0] == in.launches[1]))
      continue;
    const fb::Launch &l = *f.launches()->Get(in.launches[k]);
    char nodes[80];
    program.nodesText(l, nodes, sizeof nodes);
    std::snprintf(kernels[k], sizeof kernels[k], "%skernel '%.60s' (%s)",
                  k ? " to " : ", ",
                  program.program->kernels()->Get(l.kernel())->name()->c_str(),
                  *nodes ? nodes : "an unnamed node");
  }
  return fail(error, status,
              "%.480s; in flight: commands %llu to %llu of '%.60s'%s%s",
              error->message, ull(in.first), ull(in.last), f.name()->c_str(),
              kernels[0], kernels[1]);
}

ist_status Call::waited(ist_status s) {
  if (!s)
    frame.inFlight = {};
  else if (s == IST_DEADLINE_EXCEEDED)
    return late();
  return s ? nameInFlight(frame.inFlight, program, frame.function, s, error)
           : s;
}

ist_status Call::complete() {
  if (ist_status s = waited(session.wait(frame.deadline, error)))
    return s;
  if (ist_status s = observe())
    return s;
  return publish();
}

ist_status Call::observe() {
  if (ist_status s = checkErrorWords())
    return s;
  for (uint32_t i = 0; i < outputs(); ++i) {
    const Operand &o = frame.operands[operandOf(i)];
    if (o.staged && o.given && frame.outputs[i].bytes)
      std::memcpy(o.data, o.stage, frame.outputs[i].bytes);
  }
  return IST_OK;
}

bool Call::isPure() const {
  for (uint32_t i = 0; i < outputs(); ++i) {
    const Operand &o = frame.operands[operandOf(i)];
    if (o.staged && o.given)
      return false;
  }
  return true;
}

ist_status Call::publish() {
  for (uint32_t i = 0; i < outputs(); ++i) {
    const Operand &o = frame.operands[operandOf(i)];
    if (o.given)
      continue;
    ist_session::Block kept = {&session.pool, o.value.block};
    if (o.staged)
      kept = {&session.staging, o.staging};
    else if (kept.block == kNoBlock)
      kept.block = o.block;
    if (!session.outputBlocks.push(kept))
      return outOfMemory(error, sizeof kept, "outputs");
    kept.pool->retain(kept.block);
    const ist_driver_memory &m = (*kept.pool)[kept.block];
    ist_tensor &out = frame.outputs[i];
    out.data = o.staged ? m.host : reinterpret_cast<void *>(o.value.at.address);
    out.capacity = o.staged ? m.bytes : o.value.bytes;
  }
  return IST_OK;
}

ist_status Call::checkErrorWords() {
  if (!facts.errorWords)
    return IST_OK;
  for (uint32_t n = 0; n < count(f.launches()); ++n) {
    uint32_t code = *frame.errorWord(n);
    if (code == 0)
      continue;
    const fb::Launch &l = *f.launches()->Get(n);
    const auto *strings = program.program->strings();
    char nodes[256];
    program.nodesText(l, nodes, sizeof nodes);
    if (code <= count(l.errors()))
      return fail(error, IST_INVALID_ARGUMENT, "%s (in %s)",
                  text(strings->Get(l.errors()->Get(code - 1))),
                  *nodes ? nodes : "an unnamed node");
    return fail(error, IST_INTERNAL,
                "kernel '%s' reported error %u, which it does not have (in "
                "%s); report this",
                program.program->kernels()->Get(l.kernel())->name()->c_str(),
                code, *nodes ? nodes : "an unnamed node");
  }
  return IST_OK;
}
