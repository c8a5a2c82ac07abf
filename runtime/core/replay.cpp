//===- replay.cpp - calls that make recordings and use them ---------------===//
#include "call.h"

using namespace isthmus;

ist_status Call::prepare(const ist_tensor *in, size_t inputCount, bool record) {
  ist_session::Shape *shape;
  if (ist_status s = bindSizes(in, inputCount, &shape))
    return s;
  if (!record || !facts.recordable || shape->unfit || session.noRecordings)
    return IST_OK;
  // As the calls will most likely bring them: aligned, and outputs where the
  // inputs are.
  uint32_t n = operands();
  if (!frame.operands.resize(n) || !frame.classes.resize((n + 63) / 64))
    return outOfMemory(error, n * sizeof(Operand), "arguments");
  bool host = inputCount == 0;
  for (uint32_t i = 0; i < n; ++i) {
    Operand &o = frame.operands[i];
    o = {};
    o.block = o.staging = o.value.block = kNoBlock;
    o.given = true;
    o.outer = kEmptyAddress;
    if (i < inputs()) {
      tensorBytes(in[i].dtype, in[i].dims, in[i].rank, &o.bytes);
      o.room = o.bytes;
      host |= in[i].memory == IST_MEMORY_HOST;
    }
    o.staged = !device.shares() &&
               (i < inputs() ? in[i].memory == IST_MEMORY_HOST : host);
  }
  for (uint32_t i = 0; i < outputs(); ++i)
    frame.operands[operandOf(i)].written = operandOf(i) < inputs();
  classify();
  ist_session::Recorded *known = session.recorded(*shape, frame.classes);
  if (!known)
    return outOfMemory(error, frame.classes.size() * 8, "a recording");
  if (!known->recording)
    if (ist_status s = this->record(*known))
      return s;
  shape->unfit = unfit;
  if (unfit)
    return IST_OK;
  known->sights = 2;
  // Blocks of the pools, all at once, so that as many are kept.
  bool placed = true;
  for (uint32_t i = 0; i < n; ++i) {
    Operand &o = frame.operands[i];
    uint64_t bytes =
        i < inputs() ? o.room : known->recording->results[i - inputs()].need;
    if (o.staged) {
      if (ist_status s = acquire(session.staging, bytes, &o.staging))
        return s;
      o.outer = session.staging[o.staging].address;
    }
    if (o.indirect) {
      if (ist_status s = acquire(session.pool, bytes, &o.block))
        return s;
      o.inner = session.pool[o.block].address;
    }
    placed &= o.indirect || bytes == 0;
  }
  // The driver's own recording wants addresses; where some are the caller's,
  // the first call makes it.
  if (!placed)
    return IST_OK;
  patchAll(*known->recording);
  return known->recording->recordByDriver(device, session.queue, error);
}

void Call::patchAll(Recording &known) {
  uint32_t n = operands();
  for (uint32_t i = 0; i < n; ++i) {
    const Operand &o = frame.operands[i];
    known.patch(i, o.inner);
    known.patch(n + i, o.outer);
  }
  known.patch(2 * n, frame.words.address);
}

ist_status Call::record(ist_session::Recorded &known) {
  Recording *made = make<Recording>();
  if (!made || !made->results.resize(outputs())) {
    destroy(made);
    return outOfMemory(error, sizeof *made, "a recording");
  }
  recording = made;
  // Of what is wrong with the program or the inputs the error stays; that there
  // is no recording is none.
  ist_error *callers = error, local;
  if (!error)
    error = &local;
  ist_error before = *error;
  ist_status s = interpret();
  if (!s && !unfit) {
    for (Recording::Set &set : made->sets)
      made->cut(set.command, made->results[set.output].bytes);
    unfit = !made->finish(2 * operands() + 1);
  }
  recording = nullptr;
  for (Operand &o : frame.operands)
    o.value = {};
  if (s || unfit) {
    destroy(made);
    if (unfit)
      *error = before;
    error = callers;
    return unfit ? IST_OK : s;
  }
  error = callers;
  known.recording = made;
  session.bump(session.counters.recordings);
  session.bump(session.counters.reRecords, known.ever);
  known.ever = true;
  return IST_OK;
}

ist_status Call::replay(Recording &known) {
  for (uint32_t i = 0; i < outputs(); ++i) {
    const Recording::Result &result = known.results[i];
    if (ist_status s = placeOutput(i, result.need))
      return s;
    if (ist_status s = placeOuter(i, result.need))
      return s;
  }
  patchAll(known);
  frame.inFlight.add(session.given, known.size());
  known.nameLaunches(frame.inFlight);
  if (ist_status s = known.replay(
          device, session.queue, [this] { return interrupted(); }, error))
    return s;
  session.bump(session.counters.launches, known.launches);
  session.bump(session.counters.replays);
  const int64_t *dims = known.dims.data();
  for (uint32_t i = 0; i < outputs(); ++i) {
    const fb::Tensor &t = *f.outputs()->Get(i);
    ist_tensor &out = frame.outputs[i];
    out.dtype = static_cast<ist_dtype>(t.dtype());
    out.rank = static_cast<int32_t>(count(t.dims()));
    for (int32_t d = 0; d < out.rank; ++d)
      out.dims[d] = *dims++;
    out.bytes = known.results[i].bytes;
    Operand &o = frame.operands[operandOf(i)];
    o.value = {{o.inner, kNoSlot}, kNoBlock, kNoBlock, out.bytes};
  }
  return IST_OK;
}
