//===- interpret.cpp - runs a program's function, command by command ------===//
//
// The artifact was verified, so indices are trusted here. What is not: sizes,
// which come from inputs and from the device, and whether a register was set.
//
// Buffers. Transients that the plan placed lie in the session's arena. All
// others, and outputs that the caller brought no memory for, are blocks of the
// pool, held by the registers and outputs that refer to them: a loop may carry
// last iteration's block in one register while it fills another.
//
//===----------------------------------------------------------------------===//
#include "call.h"
#include "intops.h"

using namespace isthmus;

void Call::retain(const Buffer &x) {
  if (x.block != kNoBlock)
    session.pool.retain(x.block);
}

void Call::drop(Buffer &x) {
  if (x.at.address && x.block != kNoBlock)
    session.pool.release(x.block);
  x = {};
}

void Call::assign(Buffer &place, const Buffer &value) {
  Buffer copy = value;
  drop(place);
  place = copy;
}

ist_status Call::unset(uint32_t reg) {
  return fail(error, IST_DATA_LOSS,
              "broken artifact: function '%s', command %u (%s) uses buffer "
              "register %u, which was not set or has ended; report this",
              f.name()->c_str(), pc, fb::EnumNameOp(f.code()->Get(pc)->op()),
              reg);
}

ist_status Call::size(uint32_t reg, const char *what, uint64_t *out) {
  if (r[reg] < 0)
    return fail(error, IST_INVALID_ARGUMENT,
                "function '%s', command %u (%s): %s is %lld; the inputs' sizes "
                "or values do not suit this model",
                f.name()->c_str(), pc, fb::EnumNameOp(f.code()->Get(pc)->op()),
                what, static_cast<long long>(r[reg]));
  *out = static_cast<uint64_t>(r[reg]);
  return IST_OK;
}

ist_status Call::tooLong() {
  unfit = true;
  return outOfMemory(error, 0, "a recording");
}

ist_status Call::giveCopy(Place to, Place from, uint64_t bytes) {
  if (!recording) {
    frame.inFlight.add(session.given);
    return device.copy(session.queue, to.address, from.address, bytes, error);
  }
  return recording->copy(to, from, bytes) ? IST_OK : tooLong();
}

ist_status Call::interpret() {
  // Registers hold 0 until they are written.
  uint32_t symbols = count(f.symbols());
  if (r.size() > symbols)
    std::memset(&r[symbols], 0, (r.size() - symbols) * sizeof r[0]);
  for (Buffer &x : b)
    drop(x);
  b.clear();
  frame.ends.clear();
  if (!b.resize(f.buffer_regs()))
    return outOfMemory(error, f.buffer_regs() * sizeof(Buffer), "registers");
  for (uint32_t t = 0; t < plan->transients.size(); ++t) {
    if (plan->transients[t].offset != kNotPlaced)
      continue;
    Array<uint32_t> &ends = frame.ends;
    if (!ends.push(t))
      return outOfMemory(error, 4, "transients");
    for (size_t j = ends.size() - 1;
         j > 0 && f.transients()->Get(ends[j - 1])->last() >
                      f.transients()->Get(ends[j])->last();
         --j) {
      uint32_t x = ends[j];
      ends[j] = ends[j - 1];
      ends[j - 1] = x;
    }
  }
  for (uint32_t i = 0; i < inputs(); ++i) {
    const Operand &o = frame.operands[i];
    if (o.indirect && o.bytes)
      if (ist_status s = giveCopy(inner(i), outer(i), o.bytes))
        return s;
  }
  uint32_t end = f.code()->size();
  pc = depth = 0;
  while (pc < end) {
    uint32_t next = pc;
    if (ist_status s = step(&next))
      return s;
    if (!frame.ends.empty())
      endTransients();
    pc = next;
  }
  return finishOutputs();
}

/// Lets go of pool transients whose last command was pc. One that a loop
/// carries has its last command at the loop's end or behind it, and is kept
/// while the loop runs.
void Call::endTransients() {
  fb::Op op = f.code()->Get(pc)->op();
  if (op == fb::Op::end_loop || op == fb::Op::loop)
    return;
  for (uint32_t t : frame.ends) {
    uint32_t last = f.transients()->Get(t)->last();
    if (last > pc)
      return;
    if (last == pc)
      for (Buffer &x : b)
        if (x.at.address && x.block != kNoBlock && x.transient == t)
          drop(x);
  }
}

ist_status Call::step(uint32_t *next) {
  const fb::Instr &i = *f.code()->Get(pc);
  *next = pc + 1;
  // Buffers that are nobody's block.
  auto set = [&](uint32_t reg, Place at, uint64_t bytes) {
    assign(b[reg], {at, kNoBlock, kNoBlock, bytes});
    return IST_OK;
  };
  switch (i.op()) {
  case fb::Op::nop:
  case fb::Op::end_if:
    return IST_OK;
  case fb::Op::check:
    if (r[i.a()] == 0)
      return fail(error, IST_INVALID_ARGUMENT, "%s",
                  text(program.program->strings()->Get(i.b())));
    return IST_OK;
  case fb::Op::if_:
    if (r[i.a()] == 0)
      *next = i.b() + 1;
    return IST_OK;
  case fb::Op::else_:
    *next = i.b() + 1;
    return IST_OK;
  case fb::Op::loop:
    if (r[i.a()] <= 0) {
      *next = i.b() + 1;
      return IST_OK;
    }
    loops[depth++] = {pc, 0, r[i.a()]};
    r[i.dst()] = 0;
    return IST_OK;
  case fb::Op::end_loop: {
    Loop &loop = loops[depth - 1];
    if (++loop.i == loop.n) {
      --depth;
      return IST_OK;
    }
    r[f.code()->Get(loop.begin)->dst()] = loop.i;
    *next = loop.begin + 1;
    return interrupted();
  }
  case fb::Op::break_if:
    if (r[i.a()]) {
      --depth;
      *next = i.b() + 1;
    }
    return IST_OK;
  case fb::Op::input:
    return set(i.dst(), inner(i.a()), frame.operands[i.a()].bytes);
  case fb::Op::weight: {
    const ist_driver_memory &m = program.weights[i.a()];
    return set(i.dst(), {m.bytes ? m.address : kEmptyAddress, kNoSlot},
               program.manifest->weights()->Get(i.a())->bytes());
  }
  case fb::Op::derived: {
    const ist_driver_memory &m = program.derived[i.a()];
    uint64_t none = program.derivedMade[i.a()] ? kEmptyAddress : 0;
    return set(i.dst(), {m.bytes ? m.address : none, kNoSlot},
               program.derivedSizes[i.a()]);
  }
  case fb::Op::alloc:
    return alloc(i);
  case fb::Op::alloc_output:
    return allocOutput(i);
  case fb::Op::alloc_derived:
    return allocDerived(i);
  case fb::Op::view:
    return view(i);
  case fb::Op::bmove: {
    Buffer x = b[i.a()];
    if (!x.at.address)
      return unset(i.a());
    retain(x);
    assign(b[i.dst()], x);
    return IST_OK;
  }
  case fb::Op::set_output:
    return setOutput(i);
  case fb::Op::launch:
    return launch(i);
  case fb::Op::copy:
    return copy(i);
  case fb::Op::fill:
    return fill(i);
  case fb::Op::read:
    return read(i);
  default:
    return integer(i);
  }
}

ist_status Call::integer(const fb::Instr &i) {
  int64_t v;
  if (const char *what = evaluate(f, i, r.data(), &v))
    return fail(error, IST_INVALID_ARGUMENT,
                "%s in function '%s' at command %u (%s): the inputs' sizes or "
                "values are too large for this model",
                what, f.name()->c_str(), pc, fb::EnumNameOp(i.op()));
  r[i.dst()] = v;
  return IST_OK;
}

ist_status Call::alloc(const fb::Instr &i) {
  const fb::Transient &t = *f.transients()->Get(i.a());
  const Plan::Slot &slot = plan->transients[i.a()];
  uint64_t bytes;
  if (ist_status s = size(t.size(), "a transient's size", &bytes))
    return s;
  if (slot.offset != kNotPlaced && bytes <= slot.size) {
    uint64_t at = bytes ? session.arena.address + slot.offset : kEmptyAddress;
    assign(b[i.dst()], {{at, kNoSlot}, kNoBlock, kNoBlock, bytes});
    return poison(b[i.dst()]);
  }
  if (recording)
    return tooLong();
  // First let go: the block that was in this register may be the one to reuse.
  drop(b[i.dst()]);
  uint32_t block;
  if (ist_status s = acquire(session.pool, bytes, &block))
    return s;
  b[i.dst()] = {{session.pool[block].address, kNoSlot}, block, i.a(), bytes};
  return poison(b[i.dst()]);
}

/// With ISTHMUS_CHECK=1, what is about to be written holds NaNs, so that what a
/// kernel leaves out is seen.
ist_status Call::poison(const Buffer &x) {
  if (!device.checking || recording || !x.bytes)
    return IST_OK;
  return device.fill(session.queue, x.at.address, 0xff, x.bytes, error);
}

ist_status Call::allocOutput(const fb::Instr &i) {
  uint64_t bytes;
  if (ist_status s = size(i.b(), "an output's size", &bytes))
    return s;
  if (ist_status s = placeOutput(i.a(), bytes))
    return s;
  uint32_t k = operandOf(i.a());
  Buffer x = {inner(k), recording ? kNoBlock : frame.operands[k].block,
              kNoBlock, bytes};
  retain(x);
  assign(frame.operands[k].value, x);
  retain(x);
  assign(b[i.dst()], x);
  return frame.operands[k].written ? IST_OK : poison(x);
}

ist_status Call::allocDerived(const fb::Instr &i) {
  uint64_t bytes;
  if (ist_status s = size(i.b(), "a derived weight's size", &bytes))
    return s;
  if (ist_status s = program.allocDerived(i.a(), bytes, error))
    return s;
  const ist_driver_memory &m = program.derived[i.a()];
  assign(b[i.dst()], {{bytes ? m.address : kEmptyAddress, kNoSlot},
                      kNoBlock,
                      kNoBlock,
                      bytes});
  return IST_OK;
}

ist_status Call::view(const fb::Instr &i) {
  Buffer x = b[i.a()];
  if (!x.at.address)
    return unset(i.a());
  int64_t begin = r[i.b()], bytes = r[i.c()], end;
  if (begin < 0 || bytes < 0 || __builtin_add_overflow(begin, bytes, &end) ||
      static_cast<uint64_t>(end) > x.bytes)
    return fail(error, IST_INVALID_ARGUMENT,
                "function '%s', command %u: a view of %lld bytes from %lld "
                "leaves its buffer of %llu; the inputs' sizes or values do not "
                "suit this model",
                f.name()->c_str(), pc, static_cast<long long>(bytes),
                static_cast<long long>(begin), ull(x.bytes));
  retain(x);
  x.at.address += static_cast<uint64_t>(begin);
  x.bytes = static_cast<uint64_t>(bytes);
  assign(b[i.dst()], x);
  return IST_OK;
}

ist_status Call::setOutput(const fb::Instr &i) {
  uint32_t k = operandOf(i.dst());
  Operand &o = frame.operands[k];
  Buffer x = b[i.a()];
  if (!x.at.address)
    return unset(i.a());
  // A block of the pool can be handed out as it stands; all else is somebody
  // else's, or will be reused within this call.
  if (!o.given && x.block != kNoBlock) {
    retain(x);
    assign(o.value, x);
    return IST_OK;
  }
  // The output may turn out smaller than the buffer: what is too much is not
  // copied, and finishOutput decides whether the caller's memory does.
  uint64_t bytes = x.bytes;
  if (!recording && o.given && bytes > o.room)
    bytes = o.room;
  if (ist_status s = recording ? IST_OK : placeOutput(i.dst(), bytes))
    return s;
  Buffer to = {inner(k), recording || o.given ? kNoBlock : o.block, kNoBlock,
               x.bytes};
  retain(to);
  assign(o.value, to);
  if (x.at.address == to.at.address && x.at.slot == to.at.slot)
    return IST_OK;
  if (!bytes)
    return IST_OK;
  if (recording && !recording->sets.push({recording->size(), i.dst()}))
    return tooLong();
  return giveCopy(to.at, x.at, bytes);
}
