//===- commands.cpp - what the interpreter gives the device ---------------===//
#include "call.h"
#include "intops.h"
#include "work.h"

using namespace isthmus;

ist_status Call::launch(const fb::Instr &i) {
  const fb::Launch &l = *f.launches()->Get(i.a());
  const fb::Kernel &k = *program.program->kernels()->Get(l.kernel());
  const char *name = k.name()->c_str();
  uint64_t grid;
  if (ist_status s = size(l.grid(), "a grid", &grid))
    return s;
  if (grid == 0)
    return IST_OK;
  if (ist_status s = interrupted())
    return s;
  uint32_t params = k.params()->size(), buffers = 0, scalars = 0;
  frame.args.clear();
  frame.argSlots.clear();
  frame.ranges.clear();
  frame.rangeSlots.clear();
  auto range = [&](Place p, uint64_t bytes, fb::Access access) {
    return frame.ranges.push(
               {p.address, bytes, static_cast<ist_access>(access), 0}) &&
           frame.rangeSlots.push(p.slot);
  };
  for (const fb::Param *p : *k.params()) {
    Place at = {0, kNoSlot};
    bool ok = true;
    switch (p->kind()) {
    case fb::ParamKind::address: {
      uint32_t reg = l.buffers()->Get(buffers++);
      at = b[reg].at;
      if (!at.address)
        return unset(reg);
      if (at.address & (p->align() - 1))
        return fail(error, IST_INTERNAL,
                    "kernel '%s' needs buffer %u aligned to %u and got 0x%llx; "
                    "report this",
                    name, buffers - 1, p->align(), ull(at.address));
      if (b[reg].bytes)
        ok = range(at, b[reg].bytes, p->access());
      break;
    }
    case fb::ParamKind::scalar:
      at.address = static_cast<uint64_t>(r[l.scalars()->Get(scalars++)]);
      break;
    case fb::ParamKind::error_word:
      at = recording ? Place{kEmptyAddress, 2 * operands()}
                     : Place{frame.words.address, kNoSlot};
      at.address += 64 + 4ull * i.a();
      ok = range(at, 4, fb::Access::readwrite);
      break;
    }
    if (!ok || !frame.args.push(at.address) || !frame.argSlots.push(at.slot))
      return outOfMemory(error, params * 8ull, "arguments");
  }
  ist_launch d = {};
  d.struct_size = sizeof d;
  d.kernel = program.kernels[l.kernel()];
  d.grid = grid;
  d.block = k.workgroup();
  d.args = frame.args.data();
  d.args_bytes = params * 8;
  d.ranges = frame.ranges.data();
  d.range_count = frame.ranges.size();
  const char *nodes = program.launchNodes(frame.function, i.a());
  if (recording)
    return recording->launch(d, i.a(), name, nodes, frame) ? IST_OK : tooLong();
  session.bump(session.counters.launches);
  frame.inFlight.add(session.given);
  frame.inFlight.addLaunch(i.a());
  if (session.profiling)
    return profiled(d, name, i.a());
  ist_status s = device.launch(session.queue, d, name, error, nodes);
  // Packed weights and their originals are not in memory all at once.
  if (!s && session.readsOnce) {
    s = waited(session.wait(frame.deadline, error));
    for (const ist_range &used : frame.ranges)
      if (used.access == IST_ACCESS_READ)
        program.zip.release(used.address, used.bytes);
  }
  return s || !device.checking ? s : checkErrorWords();
}

ist_status Call::profiled(const ist_launch &d, const char *name,
                          uint32_t index) {
  // In the device's time where it tells that, else in the host's.
  auto &stamps = session.stamps;
  ist_status s = IST_OK;
  for (ist_driver_timestamp *&t : stamps)
    if (!s && device.timestamps && !t)
      s = device.timestampCreate(&t, error);
  uint64_t begin = nowNs();
  if (!s && stamps[0])
    s = device.timestampRecord(session.queue, stamps[0], error);
  if (!s)
    s = device.launch(session.queue, d, name, error);
  if (!s && stamps[1])
    s = device.timestampRecord(session.queue, stamps[1], error);
  if (!s)
    s = waited(session.wait(frame.deadline, error));
  uint64_t ns = nowNs() - begin;
  if (!s && stamps[1])
    s = device.elapsed(stamps[0], stamps[1], &ns, error);
  auto &p = session.profile[session.profileBase(frame.function) + index];
  const fb::Launch &l = *f.launches()->Get(index);
  ist_work work =
      workOf(*program.program->kernels()->Get(l.kernel()), l, r.data());
  p.work = p.count ? plus(p.work, work) : work;
  ++p.count;
  p.nanoseconds += ns;
  return s;
}

ist_status Call::copy(const fb::Instr &i) {
  const Buffer &to = b[i.dst()], &from = b[i.a()];
  if (!to.at.address || !from.at.address)
    return unset(to.at.address ? i.a() : i.dst());
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
  return giveCopy(to.at, from.at, bytes);
}

ist_status Call::fill(const fb::Instr &i) {
  const Buffer &to = b[i.dst()];
  if (!to.at.address)
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
  uint8_t value = static_cast<uint8_t>(r[i.a()] & 0xff);
  if (recording)
    return recording->fill(to.at, value, bytes) ? IST_OK : tooLong();
  frame.inFlight.add(session.given);
  return device.fill(session.queue, to.at.address, value, bytes, error);
}

ist_status Call::read(const fb::Instr &i) {
  if (recording)
    return tooLong();
  const Buffer &from = b[i.a()];
  if (!from.at.address)
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
  frame.inFlight.add(session.given);
  if (ist_status s = device.copy(session.queue, frame.words.address,
                                 from.at.address + offset, width, error))
    return s;
  if (ist_status s = waited(session.wait(frame.deadline, error)))
    return s;
  if (ist_status s = checkErrorWords())
    return s;
  char what[96];
  if (decodeInteger(type, frame.words.host, &r[i.dst()], what, sizeof what))
    return IST_OK;
  return fail(error, IST_INVALID_ARGUMENT,
              "function '%s', command %u: the model computed %s for a size",
              f.name()->c_str(), pc, what);
}
