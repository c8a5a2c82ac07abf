//===- call.cpp - interprets a program's function
//--------------------------===//
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
#include "intops.h"
#include "session.h"
#include "verify.h"

using namespace isthmus;

namespace {

constexpr uint32_t kNoBlock = UINT32_MAX;
/// What empty buffers have for an address: not null, never used.
constexpr uint64_t kEmptyAddress = kAlignment;

struct Buffer {
  uint64_t address; // 0: not set
  uint64_t bytes;
  uint32_t block;     // of the pool, or kNoBlock
  uint32_t transient; // that the block was made for, or kNoBlock
};

struct Output {
  Buffer buffer;
  uint64_t caller; // address of the caller's memory; 0: ours
  uint64_t place;  // where kernels write it, as long as it is the caller's
};

struct Loop {
  uint32_t begin;
  int64_t i, n;
};

unsigned long long ull(uint64_t v) { return v; }

class Call {
public:
  Call(ist_session &s, uint32_t index, ist_tensor *outputs, ist_error *error)
      : session(s), device(*s.device), program(*s.program), index(index),
        f(*s.program->function(index)), outputs(outputs), error(error) {}
  ~Call();

  ist_status run(const ist_tensor *inputs, size_t inputCount,
                 size_t outputCount);

private:
  ist_status prepare(const ist_tensor *inputs, size_t inputCount,
                     size_t outputCount);
  ist_status importTensors(const ist_tensor *inputs);
  ist_status inout(const ist_tensor *inputs, uint32_t output);
  ist_status interpret();
  ist_status step(uint32_t *pc);
  ist_status interrupted();
  ist_status integer(const fb::Instr &i);
  ist_status input(const fb::Instr &i);
  ist_status alloc(const fb::Instr &i);
  ist_status tooSmall(uint32_t output, uint64_t bytes);
  ist_status allocOutput(const fb::Instr &i);
  ist_status allocDerived(const fb::Instr &i);
  ist_status view(const fb::Instr &i);
  ist_status setOutput(const fb::Instr &i);
  ist_status launch(const fb::Instr &i);
  ist_status copy(const fb::Instr &i);
  ist_status fill(const fb::Instr &i);
  ist_status read(const fb::Instr &i);
  ist_status checkErrorWords();
  ist_status finish();

  ist_status fromPool(uint64_t bytes, uint32_t transient, Buffer *out);
  /// Takes over `value`'s reference.
  void assign(Buffer &place, const Buffer &value);
  void drop(Buffer &b);
  void endTransients();
  ist_status unset(uint32_t reg);
  ist_status size(uint32_t reg, const char *what, uint64_t *out);
  uint32_t *errorWord(uint32_t launch) {
    return static_cast<uint32_t *>(session.words.host) + 16 + launch;
  }

  ist_session &session;
  ist_device &device;
  ist_program &program;
  uint32_t index;
  const fb::Function &f;
  ist_tensor *outputs;
  ist_error *error;

  uint32_t pc = 0;
  uint32_t wanted = 1; // alignment of every buffer
  uint64_t deadline = UINT64_MAX;
  const Plan *plan = nullptr;
  Array<int64_t> r;
  Array<Buffer> b;
  Array<Output> outs;
  Array<Buffer> ins;       // aligned
  Array<Imported> imports; // the caller's memory
  Array<uint64_t> args;
  Array<ist_range> ranges;
  Array<uint32_t> ends; // pool transients, by last command
  uint32_t nextEnd = 0;
  Loop loops[kMaxNesting];
  uint32_t depth = 0;
};

Call::~Call() {
  for (Buffer &x : b)
    drop(x);
  for (Buffer &x : ins)
    drop(x);
  for (Output &o : outs)
    drop(o.buffer);
  for (Imported &m : imports)
    device.free(&m);
}

void Call::drop(Buffer &x) {
  if (x.address && x.block != kNoBlock)
    session.pool.release(x.block);
  x = {};
}

void Call::assign(Buffer &place, const Buffer &value) {
  Buffer copy = value;
  drop(place);
  place = copy;
}

ist_status Call::fromPool(uint64_t bytes, uint32_t transient, Buffer *out) {
  uint32_t block;
  if (ist_status s = session.pool.acquire(bytes, &block, error)) {
    // The driver said what it has; say also who wants it.
    if (error && error->code == s)
      fail(error, s, "function '%s', command %u: %s", f.name()->c_str(), pc,
           error->message);
    return s;
  }
  *out = {session.pool.address(block), bytes, block, transient};
  return IST_OK;
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

ist_status Call::prepare(const ist_tensor *inputs, size_t inputCount,
                         size_t outputCount) {
  if (!r.resize(f.int_regs()) || !b.resize(f.buffer_regs()) ||
      !outs.resize(count(f.outputs())) || !ins.resize(count(f.inputs())))
    return outOfMemory(error, f.int_regs() * 8ull + f.buffer_regs() * 24ull,
                       "registers");
  if (outputCount != outs.size() || (outputCount && !outputs))
    return fail(error, IST_INVALID_ARGUMENT,
                "function '%s' gives %zu outputs and got room for %zu",
                f.name()->c_str(), outs.size(), outputCount);
  // The symbols are the first registers.
  if (ist_status s = bindInputs(f, inputs, inputCount, true, r.data(), error))
    return s;
  if (ist_status s = session.plan(index, r.data(), &plan, error))
    return s;
  if (ist_status s = session.growArena(plan->arenaBytes, error)) {
    if (error && error->code == s)
      fail(error, s,
           "function '%s' needs %llu bytes for transients with these input "
           "sizes: %s",
           f.name()->c_str(), ull(plan->arenaBytes), error->message);
    return s;
  }
  wanted = program.alignment(f);
  if (session.timeoutNs &&
      __builtin_add_overflow(nowNs(), session.timeoutNs, &deadline))
    deadline = UINT64_MAX;

  for (uint32_t t = 0; t < plan->transients.size(); ++t) {
    if (plan->transients[t].offset != kNotPlaced)
      continue;
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
  std::memset(errorWord(0), 0, 4ull * count(f.launches()));
  return importTensors(inputs);
}

ist_status Call::importTensors(const ist_tensor *inputs) {
  auto add = [&](void *data, uint64_t bytes, uint64_t *address) -> ist_status {
    if (!imports.push({}))
      return outOfMemory(error, sizeof(ist_driver_memory), "imports");
    Imported &m = imports.back();
    if (ist_status s = device.import(data, bytes, &m, error))
      return s;
    *address = m.address;
    return IST_OK;
  };
  for (uint32_t i = 0; i < outs.size(); ++i)
    if (ist_status s = inout(inputs, i))
      return s;
  for (uint32_t i = 0; i < ins.size(); ++i) {
    uint64_t bytes = 0, address = kEmptyAddress;
    tensorBytes(inputs[i].dtype, inputs[i].dims, inputs[i].rank, &bytes);
    // What is written in its place may have more.
    uint64_t room = bytes;
    Output *place = nullptr;
    for (uint32_t o = 0; o < outs.size(); ++o)
      if (f.outputs()->Get(o)->inout() == static_cast<int64_t>(i)) {
        place = &outs[o];
        room = inputs[i].data ? inputs[i].capacity : 0;
      }
    if (room)
      if (ist_status s = add(inputs[i].data, room, &address))
        return s;
    ins[i] = {address, bytes, kNoBlock, kNoBlock};
    if (address % wanted != 0) {
      if (ist_status s = fromPool(room, kNoBlock, &ins[i]))
        return s;
      ins[i].bytes = bytes;
      if (bytes)
        if (ist_status s = device.copy(session.queue, ins[i].address, address,
                                       bytes, error))
          return s;
    }
    if (place) {
      place->caller = address;
      place->place = ins[i].address;
    }
  }
  for (uint32_t i = 0; i < outs.size(); ++i)
    if (outputs[i].data && !outs[i].caller) {
      outs[i].caller = kEmptyAddress;
      if (outputs[i].capacity)
        if (ist_status s =
                add(outputs[i].data, outputs[i].capacity, &outs[i].caller))
          return s;
      if (outs[i].caller % wanted == 0)
        outs[i].place = outs[i].caller;
    }
  return IST_OK;
}

/// An output that is written in an input's place has the input's memory.
ist_status Call::inout(const ist_tensor *inputs, uint32_t output) {
  const fb::Tensor &t = *f.outputs()->Get(output);
  if (t.inout() < 0)
    return IST_OK;
  const ist_tensor &in = inputs[t.inout()];
  ist_tensor &out = outputs[output];
  if (out.data && out.data != in.data)
    return fail(error, IST_INVALID_ARGUMENT,
                "output '%s' is written in the place of input '%s' and got "
                "other memory; set its data to NULL",
                t.name()->c_str(), f.inputs()->Get(t.inout())->name()->c_str());
  out.data = in.data;
  out.capacity = in.data ? in.capacity : 0;
  return IST_OK;
}

ist_status Call::run(const ist_tensor *inputs, size_t inputCount,
                     size_t outputCount) {
  ist_status s = prepare(inputs, inputCount, outputCount);
  if (!s)
    s = interpret();
  if (!s)
    return finish();
  // What was launched before the failure must not outlive this call's memory.
  session.wait(nullptr);
  return s;
}

ist_status Call::interpret() {
  uint32_t end = f.code()->size();
  while (pc < end) {
    uint32_t next = pc;
    if (ist_status s = step(&next))
      return s;
    if (nextEnd < ends.size())
      endTransients();
    pc = next;
  }
  return IST_OK;
}

/// Lets go of pool transients whose last command was pc. One that a loop
/// carries has its last command at the loop's end or behind it, and is kept
/// while the loop runs.
void Call::endTransients() {
  fb::Op op = f.code()->Get(pc)->op();
  if (op == fb::Op::end_loop || op == fb::Op::loop)
    return;
  for (uint32_t t : ends) {
    uint32_t last = f.transients()->Get(t)->last();
    if (last > pc)
      return;
    if (last == pc)
      for (Buffer &x : b)
        if (x.address && x.block != kNoBlock && x.transient == t)
          drop(x);
  }
}

ist_status Call::interrupted() {
  if (__atomic_load_n(&session.cancelled, __ATOMIC_RELAXED))
    return fail(error, IST_ABORTED, "the call of '%s' was cancelled",
                f.name()->c_str());
  if (deadline != UINT64_MAX && nowNs() >= deadline)
    return fail(error, IST_DEADLINE_EXCEEDED,
                "the call of '%s' did not end within %llu ns; set a longer "
                "timeout",
                f.name()->c_str(), ull(session.timeoutNs));
  return IST_OK;
}

ist_status Call::step(uint32_t *next) {
  const fb::Instr &i = *f.code()->Get(pc);
  *next = pc + 1;
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
    return input(i);
  case fb::Op::weight: {
    const ist_driver_memory &m = program.weights[i.a()];
    assign(b[i.dst()], {m.bytes ? m.address : kEmptyAddress,
                        program.manifest->weights()->Get(i.a())->bytes(),
                        kNoBlock, kNoBlock});
    return IST_OK;
  }
  case fb::Op::derived: {
    const ist_driver_memory &m = program.derived[i.a()];
    assign(b[i.dst()], {m.bytes                      ? m.address
                        : program.derivedMade[i.a()] ? kEmptyAddress
                                                     : 0,
                        program.derivedSizes[i.a()], kNoBlock, kNoBlock});
    return IST_OK;
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
    if (!x.address)
      return unset(i.a());
    if (x.block != kNoBlock)
      session.pool.retain(x.block);
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

ist_status Call::input(const fb::Instr &i) {
  Buffer x = ins[i.a()];
  if (x.block != kNoBlock)
    session.pool.retain(x.block);
  assign(b[i.dst()], x);
  return IST_OK;
}

ist_status Call::alloc(const fb::Instr &i) {
  const fb::Transient &t = *f.transients()->Get(i.a());
  const Plan::Slot &slot = plan->transients[i.a()];
  uint64_t bytes;
  if (ist_status s = size(t.size(), "a transient's size", &bytes))
    return s;
  if (slot.offset != kNotPlaced && bytes <= slot.size) {
    assign(b[i.dst()],
           {bytes ? session.arena.address + slot.offset : kEmptyAddress, bytes,
            kNoBlock, kNoBlock});
    return IST_OK;
  }
  // First let go: the block that was in this register may be the one to reuse.
  drop(b[i.dst()]);
  return fromPool(bytes, i.a(), &b[i.dst()]);
}

ist_status Call::tooSmall(uint32_t output, uint64_t bytes) {
  outputs[output].bytes = bytes;
  return fail(error, IST_INVALID_ARGUMENT,
              "output '%s' needs %llu bytes and the caller's memory has %zu; "
              "bring more, or none and let the runtime allocate",
              f.outputs()->Get(output)->name()->c_str(), ull(bytes),
              outputs[output].capacity);
}

ist_status Call::allocOutput(const fb::Instr &i) {
  Output &o = outs[i.a()];
  uint64_t bytes;
  if (ist_status s = size(i.b(), "an output's size", &bytes))
    return s;
  if (o.caller && bytes > outputs[i.a()].capacity)
    return tooSmall(i.a(), bytes);
  if (o.place) {
    assign(o.buffer, {o.place, bytes, kNoBlock, kNoBlock});
  } else {
    drop(o.buffer);
    if (ist_status s = fromPool(bytes, kNoBlock, &o.buffer))
      return s;
    session.pool.retain(o.buffer.block);
  }
  assign(b[i.dst()], o.buffer);
  return IST_OK;
}

ist_status Call::allocDerived(const fb::Instr &i) {
  uint64_t bytes;
  if (ist_status s = size(i.b(), "a derived weight's size", &bytes))
    return s;
  if (ist_status s = program.allocDerived(i.a(), bytes, error))
    return s;
  const ist_driver_memory &m = program.derived[i.a()];
  assign(b[i.dst()],
         {bytes ? m.address : kEmptyAddress, bytes, kNoBlock, kNoBlock});
  return IST_OK;
}

ist_status Call::view(const fb::Instr &i) {
  Buffer x = b[i.a()];
  if (!x.address)
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
  if (x.block != kNoBlock)
    session.pool.retain(x.block);
  x.address += static_cast<uint64_t>(begin);
  x.bytes = static_cast<uint64_t>(bytes);
  assign(b[i.dst()], x);
  return IST_OK;
}

ist_status Call::setOutput(const fb::Instr &i) {
  Output &o = outs[i.dst()];
  Buffer x = b[i.a()];
  if (!x.address)
    return unset(i.a());
  // A block of the pool can be handed out as it stands; all else is somebody
  // else's, or will be reused within this call.
  if (!o.caller && x.block != kNoBlock) {
    session.pool.retain(x.block);
    assign(o.buffer, x);
    return IST_OK;
  }
  Buffer to = {o.place ? o.place : o.caller, x.bytes, kNoBlock, kNoBlock};
  if (x.address == o.place) {
    assign(o.buffer, to);
    return IST_OK;
  }
  if (!o.caller)
    if (ist_status s = fromPool(x.bytes, kNoBlock, &to))
      return s;
  assign(o.buffer, to);
  // The output may turn out smaller than the buffer: finish() decides whether
  // the caller's memory does.
  uint64_t bytes = x.bytes;
  if (o.caller && bytes > outputs[i.dst()].capacity)
    bytes = outputs[i.dst()].capacity;
  if (!bytes)
    return IST_OK;
  return device.copy(session.queue, to.address, x.address, bytes, error);
}

ist_status Call::launch(const fb::Instr &i) {
  const fb::Launch &l = *f.launches()->Get(i.a());
  const fb::Kernel &k = *program.program->kernels()->Get(l.kernel());
  uint64_t grid;
  if (ist_status s = size(l.grid(), "a grid", &grid))
    return s;
  if (grid == 0)
    return IST_OK;
  if (ist_status s = interrupted())
    return s;
  args.clear();
  ranges.clear();
  uint32_t buffers = 0, scalars = 0;
  for (const fb::Param *p : *k.params()) {
    uint64_t value = 0;
    switch (p->kind()) {
    case fb::ParamKind::address: {
      uint32_t reg = l.buffers()->Get(buffers++);
      value = b[reg].address;
      if (!value)
        return unset(reg);
      if (value & (p->align() - 1))
        return fail(error, IST_INTERNAL,
                    "kernel '%s' needs buffer %u aligned to %u and got 0x%llx; "
                    "report this",
                    k.name()->c_str(), buffers - 1, p->align(), ull(value));
      if (b[reg].bytes &&
          !ranges.push(
              {value, b[reg].bytes, static_cast<ist_access>(p->access()), 0}))
        return outOfMemory(error, sizeof(ist_range), "arguments");
      break;
    }
    case fb::ParamKind::scalar:
      value = static_cast<uint64_t>(r[l.scalars()->Get(scalars++)]);
      break;
    case fb::ParamKind::error_word:
      value = session.words.address + 64 + 4ull * i.a();
      if (!ranges.push({value, 4, IST_ACCESS_READWRITE, 0}))
        return outOfMemory(error, sizeof(ist_range), "arguments");
      break;
    }
    if (!args.push(value))
      return outOfMemory(error, k.params()->size() * 8ull, "arguments");
  }
  ist_launch d = {};
  d.struct_size = sizeof d;
  d.kernel = program.kernels[l.kernel()];
  d.grid = grid;
  d.block = k.workgroup();
  d.args = args.data();
  d.args_bytes = static_cast<uint32_t>(args.size() * 8);
  d.ranges = ranges.data();
  d.range_count = ranges.size();
  if (!session.profiling)
    return device.launch(session.queue, d, k.name()->c_str(), error);
  uint64_t begin = nowNs();
  ist_status s = device.launch(session.queue, d, k.name()->c_str(), error);
  if (!s)
    s = session.wait(error);
  auto &p = session.profile[session.profileBase(index) + i.a()];
  ++p.count;
  p.nanoseconds += nowNs() - begin;
  return s;
}

ist_status Call::copy(const fb::Instr &i) {
  const Buffer &to = b[i.dst()], &from = b[i.a()];
  if (!to.address || !from.address)
    return unset(to.address ? i.a() : i.dst());
  uint64_t bytes;
  if (ist_status s = size(i.b(), "a copy's size", &bytes))
    return s;
  if (bytes > to.bytes || bytes > from.bytes)
    return fail(error, IST_INVALID_ARGUMENT,
                "function '%s', command %u: a copy of %llu bytes from a buffer "
                "of %llu to one of %llu; the inputs' sizes or values do not "
                "suit this model",
                f.name()->c_str(), pc, ull(bytes), ull(from.bytes),
                ull(to.bytes));
  if (!bytes)
    return IST_OK;
  if (ist_status s = interrupted())
    return s;
  return device.copy(session.queue, to.address, from.address, bytes, error);
}

ist_status Call::fill(const fb::Instr &i) {
  const Buffer &to = b[i.dst()];
  if (!to.address)
    return unset(i.dst());
  uint64_t bytes;
  if (ist_status s = size(i.b(), "a fill's size", &bytes))
    return s;
  if (bytes > to.bytes)
    return fail(error, IST_INVALID_ARGUMENT,
                "function '%s', command %u: a fill of %llu bytes of a buffer "
                "of %llu; the inputs' sizes or values do not suit this model",
                f.name()->c_str(), pc, ull(bytes), ull(to.bytes));
  if (!bytes)
    return IST_OK;
  if (ist_status s = interrupted())
    return s;
  return device.fill(session.queue, to.address,
                     static_cast<uint8_t>(r[i.a()] & 0xff), bytes, error);
}

ist_status Call::read(const fb::Instr &i) {
  const Buffer &from = b[i.a()];
  if (!from.address)
    return unset(i.a());
  fb::DType type = static_cast<fb::DType>(i.c());
  uint64_t width = ist_dtype_size(static_cast<ist_dtype>(type)), element,
           offset, end;
  if (ist_status s = size(i.b(), "an element's index", &element))
    return s;
  if (__builtin_mul_overflow(element, width, &offset) ||
      __builtin_add_overflow(offset, width, &end) || end > from.bytes)
    return fail(error, IST_INVALID_ARGUMENT,
                "function '%s', command %u: element %llu of a buffer of %llu "
                "bytes is read; the inputs' sizes do not suit this model",
                f.name()->c_str(), pc, ull(element), ull(from.bytes));
  if (ist_status s = interrupted())
    return s;
  if (ist_status s = device.copy(session.queue, session.words.address,
                                 from.address + offset, width, error))
    return s;
  if (ist_status s = session.wait(error))
    return s;
  if (ist_status s = checkErrorWords())
    return s;
  char what[96];
  if (decodeInteger(type, session.words.host, &r[i.dst()], what, sizeof what))
    return IST_OK;
  return fail(error, IST_INVALID_ARGUMENT,
              "function '%s', command %u: the model computed %s for a size",
              f.name()->c_str(), pc, what);
}

ist_status Call::checkErrorWords() {
  for (uint32_t n = 0; n < count(f.launches()); ++n) {
    uint32_t code = *errorWord(n);
    if (code == 0)
      continue;
    const fb::Launch &l = *f.launches()->Get(n);
    const auto *strings = program.program->strings();
    char nodes[256] = "";
    for (uint32_t j = 0; j < count(l.nodes()); ++j) {
      size_t used = std::strlen(nodes);
      const char *name = text(strings->Get(l.nodes()->Get(j)));
      if (used + std::strlen(name) + 3 > sizeof nodes)
        break;
      if (used)
        std::strcat(nodes, ", ");
      std::strcat(nodes, name);
    }
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

ist_status Call::finish() {
  for (uint32_t i = 0; i < outs.size(); ++i) {
    Output &o = outs[i];
    const char *name = f.outputs()->Get(i)->name()->c_str();
    if (!o.buffer.address)
      return fail(error, IST_DATA_LOSS,
                  "broken artifact: function '%s' ended without output '%s'; "
                  "report this",
                  f.name()->c_str(), name);
    if (ist_status s =
            fillOutput(*f.outputs()->Get(i), r.data(), &outputs[i], error))
      return s;
    if (outputs[i].bytes > o.buffer.bytes)
      return fail(error, IST_DATA_LOSS,
                  "broken artifact: output '%s' has %zu bytes by its dims and "
                  "%llu in memory; report this",
                  name, outputs[i].bytes, ull(o.buffer.bytes));
    if (o.caller && outputs[i].bytes > outputs[i].capacity)
      return tooSmall(i, outputs[i].bytes);
    if (o.caller && o.buffer.address != o.caller && outputs[i].bytes)
      if (ist_status s = device.copy(session.queue, o.caller, o.buffer.address,
                                     outputs[i].bytes, error))
        return s;
  }
  if (ist_status s = session.wait(error))
    return s;
  if (ist_status s = checkErrorWords())
    return s;
  for (uint32_t i = 0; i < outs.size(); ++i) {
    Output &o = outs[i];
    if (o.caller)
      continue;
    if (!session.outputBlocks.push(o.buffer.block))
      return outOfMemory(error, 4, "outputs");
    session.pool.retain(o.buffer.block);
    outputs[i].data = reinterpret_cast<void *>(o.buffer.address);
    outputs[i].capacity = o.buffer.bytes;
  }
  return IST_OK;
}

} // namespace

ist_status ist_session::call(const char *name, const ist_tensor *inputs,
                             size_t inputCount, ist_tensor *outputs,
                             size_t outputCount, ist_error *error) {
  int64_t index = program->find(name);
  if (index < 0)
    return fail(error, IST_NOT_FOUND,
                "the program has no function '%.100s'; ist-info lists them",
                name);
  __atomic_store_n(&cancelled, false, __ATOMIC_RELAXED);
  for (uint32_t block : outputBlocks) {
    // A tensor that the last call filled may come again as it is: what it
    // points to is this session's, so the runtime allocates once more.
    for (size_t i = 0; outputs && i < outputCount; ++i)
      if (reinterpret_cast<uint64_t>(outputs[i].data) == pool.address(block))
        outputs[i].data = nullptr;
    pool.release(block);
  }
  outputBlocks.clear();
  return Call(*this, static_cast<uint32_t>(index), outputs, error)
      .run(inputs, inputCount, outputCount);
}
