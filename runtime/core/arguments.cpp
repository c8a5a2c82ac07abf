//===- arguments.cpp - a call's tensors and their memory ------------------===//
#include "call.h"

using namespace isthmus;

Call::Call(ist_session &s, uint32_t index, Frame &frame, ist_error *error)
    : session(s), device(*s.device), program(*s.program),
      f(*s.program->function(index)), facts(s.program->facts[index]),
      frame(frame), error(error), r(frame.r), b(frame.b) {
  frame.function = index;
}

ist_status Call::bindSizes(const ist_tensor *in, size_t inputCount,
                           ist_session::Shape **shape) {
  // The symbols are the first registers.
  if (!r.resize(f.int_regs()))
    return outOfMemory(error, f.int_regs() * 8ull, "registers");
  if (ist_status s = bindInputs(f, in, inputCount, r.data(), error))
    return s;
  if (ist_status s = session.shape(frame.function, r.data(), shape, error))
    return s;
  plan = &(*shape)->plan;
  if (ist_status s = session.growArena(plan->arenaBytes, error)) {
    if (error && error->code == s)
      fail(error, s,
           "function '%s' needs %llu bytes for transients with these input "
           "sizes: %s",
           f.name()->c_str(), ull(plan->arenaBytes), error->message);
    return s;
  }
  return IST_OK;
}

ist_status isthmus::checkTensors(const fb::Function &f, const ist_tensor *in,
                                 ist_tensor *out, size_t outputCount,
                                 ist_error *error) {
  uint32_t n = count(f.inputs()), m = count(f.outputs());
  if (outputCount != m || (m && !out))
    return fail(error, IST_INVALID_ARGUMENT,
                "function '%s' gives %u outputs and got room for %zu",
                f.name()->c_str(), m, outputCount);
  for (uint32_t i = 0; i < n; ++i) {
    const ist_tensor &t = in[i];
    uint64_t bytes = 0; // bindInputs has looked at dtype, rank and dims
    tensorBytes(t.dtype, t.dims, t.rank, &bytes);
    if (t.capacity < bytes || (bytes && !t.data))
      return fail(error, IST_INVALID_ARGUMENT,
                  "input '%s' needs %llu bytes and has memory for %zu",
                  f.inputs()->Get(i)->name()->c_str(), ull(bytes),
                  t.data ? t.capacity : 0);
  }
  // An output that is written in an input's place has the input's memory.
  for (uint32_t i = 0; i < m; ++i) {
    const fb::Tensor &t = *f.outputs()->Get(i);
    if (t.inout() < 0)
      continue;
    uint32_t k = static_cast<uint32_t>(t.inout());
    if (out[i].data && out[i].data != in[k].data)
      return fail(error, IST_INVALID_ARGUMENT,
                  "output '%s' is written in the place of input '%s' and got "
                  "other memory; set its data to NULL",
                  t.name()->c_str(), f.inputs()->Get(k)->name()->c_str());
    out[i].data = in[k].data;
    out[i].capacity = in[k].data ? in[k].capacity : 0;
    out[i].memory = in[k].memory;
  }
  return IST_OK;
}

ist_status Call::bindOperands(const ist_tensor *in, ist_tensor *out,
                              size_t outputCount) {
  uint32_t n = inputs(), m = outputs();
  if (ist_status s = checkTensors(f, in, out, outputCount, error))
    return s;
  frame.outputs = out;
  frame.operands.clear();
  if (!frame.operands.resize(n + m) || !frame.classes.resize((n + m + 63) / 64))
    return outOfMemory(error, (n + m) * sizeof(Operand), "arguments");
  for (Operand &o : frame.operands) {
    o.block = o.staging = kNoBlock;
    o.value.block = kNoBlock;
  }
  bool shares = device.shares();
  auto place = [&](Operand &o, const ist_tensor &t, uint64_t room) {
    o.data = t.data;
    o.room = room;
    o.outer = reinterpret_cast<uint64_t>(t.data);
    o.staged = !shares && t.memory == IST_MEMORY_HOST &&
               !(t.data && device.hostAddress(t.data, room, &o.outer));
  };
  for (uint32_t i = 0; i < n; ++i) {
    Operand &o = frame.operands[i];
    tensorBytes(in[i].dtype, in[i].dims, in[i].rank, &o.bytes);
    place(o, in[i], o.bytes);
    o.given = true;
  }
  for (uint32_t i = 0; i < m; ++i) {
    int32_t inout = f.outputs()->Get(i)->inout();
    Operand &o = frame.operands[operandOf(i)];
    if (inout >= 0) {
      o.room = out[i].capacity;
      o.written = true;
      continue;
    }
    o.given = out[i].data;
    place(o, out[i], o.given ? out[i].capacity : 0);
  }
  return IST_OK;
}

/// Which operands cannot be used where they are.
void Call::classify() {
  const uint32_t *alignments = program.alignments.data() + facts.operands;
  uint32_t n = operands();
  for (uint64_t &word : frame.classes)
    word = 0;
  for (uint32_t i = 0; i < n; ++i) {
    Operand &o = frame.operands[i];
    bool input = i < inputs();
    if (input && o.room == 0) {
      o.staged = false;
      o.outer = kEmptyAddress;
    }
    o.indirect = o.staged || (o.outer & (alignments[i] - 1)) != 0;
    if (o.indirect)
      frame.classes[i / 64] |= 1ull << i % 64;
    else
      o.inner = o.outer;
  }
}

ist_status Call::acquire(Pool &pool, uint64_t bytes, uint32_t *block) {
  ist_error first;
  ist_status s = pool.acquire(bytes, block, error ? error : &first);
  if (s == IST_RESOURCE_EXHAUSTED) {
    // What lies idle may do, once nothing is under way.
    if (ist_status w = session.wait(frame.deadline, error))
      return w;
    session.trim();
    s = pool.acquire(bytes, block, error ? error : &first);
  }
  // The driver said what it has; say also who wants it.
  if (s && error && error->code == s)
    fail(error, s, "function '%s', command %u: %s", f.name()->c_str(), pc,
         error->message);
  return s;
}

ist_status Call::placeInputs() {
  for (uint32_t i = 0; i < inputs(); ++i) {
    Operand &o = frame.operands[i];
    if (!o.indirect)
      continue;
    if (o.staged) {
      if (ist_status s = acquire(session.staging, o.room, &o.staging))
        return s;
      const ist_driver_memory &m = session.staging[o.staging];
      o.outer = m.address;
      o.stage = m.host;
      if (o.bytes)
        std::memcpy(m.host, o.data, o.bytes);
    }
    if (ist_status s = acquire(session.pool, o.room, &o.block))
      return s;
    o.inner = session.pool[o.block].address;
  }
  return IST_OK;
}

ist_status Call::tooSmall(uint32_t output, uint64_t bytes) {
  ist_tensor *out = frame.outputs;
  out[output].bytes = bytes;
  return fail(error, IST_INVALID_ARGUMENT,
              "output '%s' needs %llu bytes and the caller's memory has %zu; "
              "bring more, or none and let the runtime allocate",
              f.outputs()->Get(output)->name()->c_str(), ull(bytes),
              out[output].capacity);
}

ist_status Call::placeOutput(uint32_t output, uint64_t bytes) {
  uint32_t k = operandOf(output);
  Operand &o = frame.operands[k];
  if (recording) {
    Recording::Result &result = recording->results[output];
    if (bytes > result.need)
      result.need = bytes;
    return IST_OK;
  }
  if (o.given && bytes > o.room)
    return tooSmall(output, bytes);
  if (o.written || (o.given && !o.indirect))
    return IST_OK;
  if (o.block != kNoBlock && session.pool[o.block].bytes >= bytes)
    return IST_OK;
  if (o.block != kNoBlock)
    session.pool.release(o.block);
  o.block = kNoBlock;
  if (ist_status s = acquire(session.pool, bytes, &o.block))
    return s;
  o.inner = session.pool[o.block].address;
  return IST_OK;
}

ist_status Call::placeOuter(uint32_t output, uint64_t bytes) {
  Operand &o = frame.operands[operandOf(output)];
  if (!o.staged || o.written || o.staging != kNoBlock)
    return IST_OK;
  if (ist_status s = acquire(session.staging, bytes, &o.staging))
    return s;
  o.outer = session.staging[o.staging].address;
  o.stage = session.staging[o.staging].host;
  return IST_OK;
}
