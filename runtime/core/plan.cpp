//===- plan.cpp - sizes and places for one set of input sizes -------------===//
//
// Runs a function's integer code without its commands. What comes from a read
// is unknown, and so is what is computed from that; behind a branch on an
// unknown value both sides are walked and nothing they write is known after.
//
//===----------------------------------------------------------------------===//
#include "plan.h"
#include "intops.h"
#include "verify.h"

using namespace isthmus;

namespace {

/// Sorts in place, by `before`. qsort_r would need a GNU extension; a heap sort
/// is as short.
template <typename Before> void sort(uint32_t *items, size_t n, Before before) {
  auto sift = [&](size_t root, size_t end) {
    while (2 * root + 1 < end) {
      size_t child = 2 * root + 1;
      if (child + 1 < end && before(items[child], items[child + 1]))
        ++child;
      if (!before(items[root], items[child]))
        return;
      uint32_t t = items[root];
      items[root] = items[child];
      items[child] = t;
      root = child;
    }
  };
  for (size_t i = n / 2; i-- > 0;)
    sift(i, n);
  for (size_t end = n; end > 1;) {
    --end;
    uint32_t t = items[0];
    items[0] = items[end];
    items[end] = t;
    sift(0, end);
  }
}

/// Placed intervals by when they live: in each of the equal stretches of time
/// that one touches, or with the long ones, which are looked at always. So the
/// work is with those that live together, not with all.
class Timetable {
public:
  [[nodiscard]] bool init(size_t n, uint32_t end) {
    stretches = n / 8 + 1;
    width = end / stretches + 1;
    return heads.resize(stretches) && seen.resize(n) && entries.push({0, 0});
  }
  [[nodiscard]] bool add(uint32_t id, const Interval &i) {
    uint64_t from = i.first / width, to = i.last / width;
    if (to - from > kLong)
      return chain(&longs, id);
    for (uint64_t s = from; s <= to; ++s)
      if (!chain(&heads[s], id))
        return false;
    return true;
  }
  /// Those that live at a time when `i` does, which is number `stamp` to ask.
  [[nodiscard]] bool find(const Interval *all, const Interval &i,
                          uint32_t stamp, Array<uint32_t> *out) {
    out->clear();
    auto take = [&](uint32_t entry) {
      for (; entry; entry = entries[entry].next) {
        uint32_t id = entries[entry].id;
        if (seen[id] == stamp || all[id].last < i.first ||
            i.last < all[id].first)
          continue;
        seen[id] = stamp;
        if (!out->push(id))
          return false;
      }
      return true;
    };
    for (uint64_t s = i.first / width; s <= i.last / width; ++s)
      if (!take(heads[s]))
        return false;
    return take(longs);
  }

private:
  static constexpr uint64_t kLong = 32;
  struct Entry {
    uint32_t id, next; // 0: none
  };
  bool chain(uint32_t *head, uint32_t id) {
    if (!entries.push({id, *head}))
      return false;
    *head = static_cast<uint32_t>(entries.size() - 1);
    return true;
  }

  uint64_t stretches = 1, width = 1;
  Array<uint32_t> heads, seen;
  Array<Entry> entries; // the first is none
  uint32_t longs = 0;
};

} // namespace

bool isthmus::place(Interval *intervals, size_t n, uint64_t *total) {
  Array<uint32_t> order, together;
  uint32_t end = 0;
  if (!order.resize(n))
    return false;
  for (size_t i = 0; i < n; ++i) {
    order[i] = static_cast<uint32_t>(i);
    if (intervals[i].last > end)
      end = intervals[i].last;
  }
  Timetable placed;
  if (!placed.init(n, end))
    return false;
  sort(order.data(), n, [&](uint32_t a, uint32_t b) {
    const Interval &x = intervals[a], &y = intervals[b];
    if (x.size != y.size)
      return x.size > y.size;
    return x.first != y.first ? x.first < y.first : a < b;
  });

  uint64_t high = 0;
  uint32_t stamp = 0;
  for (uint32_t id : order) {
    Interval &it = intervals[id];
    it.offset = 0;
    if (it.size == 0)
      continue;
    if (it.size > INT64_MAX - 2 * kAlignment)
      return false;
    if (!placed.find(intervals, it, ++stamp, &together))
      return false;
    sort(together.data(), together.size(), [&](uint32_t a, uint32_t b) {
      return intervals[a].offset < intervals[b].offset;
    });
    uint64_t size = alignUp(it.size, kAlignment), at = 0;
    for (uint32_t o : together) {
      const Interval &other = intervals[o];
      if (other.offset >= at && other.offset - at >= size)
        break;
      uint64_t behind = other.offset + alignUp(other.size, kAlignment);
      if (behind > at)
        at = behind;
    }
    uint64_t top;
    if (__builtin_add_overflow(at, size, &top) || top > INT64_MAX)
      return false;
    it.offset = at;
    if (top > high)
      high = top;
    if (!placed.add(id, it))
      return false;
  }
  *total = high;
  return true;
}

namespace {

class Walker {
public:
  Walker(const fb::Program &program, const fb::Function &f, Plan &plan,
         ist_error *error)
      : program(program), f(f), plan(plan), error(error) {}

  /// Walks [pc, end). `sure`: it is certain that the call comes here.
  ist_status walk(uint32_t pc, uint32_t end, bool sure);

private:
  bool known(uint32_t reg) const { return plan.known[reg]; }
  void set(uint32_t reg, int64_t v) {
    plan.regs[reg] = v;
    plan.known[reg] = 1;
  }
  void forget(uint32_t pc, uint32_t end);
  ist_status integer(uint32_t pc, bool sure);
  ist_status loop(uint32_t pc, bool sure);
  void allocate(const fb::Instr &i);
  ist_status output(const fb::Instr &i, bool sure);

  const fb::Program &program;
  const fb::Function &f;
  Plan &plan;
  ist_error *error;
  bool broke = false;        // a break_if was taken
  bool unknownBreak = false; // it may have been
  uint64_t budget = 1 << 20; // commands; then loops are not unrolled any more
};

void Walker::forget(uint32_t pc, uint32_t end) {
  for (; pc < end; ++pc) {
    const fb::Instr &i = *f.code()->Get(pc);
    if (rolesOf(i.op()).dst == Role::IntDst)
      plan.known[i.dst()] = 0;
  }
}

ist_status Walker::integer(uint32_t pc, bool sure) {
  const fb::Instr &i = *f.code()->Get(pc);
  const OpRoles &roles = rolesOf(i.op());
  bool all = true;
  // A select whose condition is known needs only the side it takes.
  if (i.op() == fb::Op::select && known(i.a())) {
    all = known(plan.regs[i.a()] ? i.b() : i.c());
  } else {
    all &= roles.a != Role::IntSrc || known(i.a());
    all &= roles.b != Role::IntSrc || known(i.b());
    all &= roles.c != Role::IntSrc || known(i.c());
  }
  int64_t v = 0;
  if (!all) {
    plan.known[i.dst()] = 0;
  } else if (const char *what = evaluate(f, i, plan.regs.data(), &v)) {
    if (sure)
      return fail(error, IST_INVALID_ARGUMENT,
                  "%s in function '%s' at command %u (%s): the inputs' sizes "
                  "are too large for this model",
                  what, f.name()->c_str(), pc, fb::EnumNameOp(i.op()));
    plan.known[i.dst()] = 0;
  } else {
    set(i.dst(), v);
  }
  return IST_OK;
}

ist_status Walker::loop(uint32_t pc, bool sure) {
  const fb::Instr &i = *f.code()->Get(pc);
  uint32_t end = i.b();
  bool unroll = sure && known(i.a());
  for (int64_t n = unroll ? plan.regs[i.a()] : 0, k = 0; k < n; ++k) {
    if (budget == 0) {
      unroll = false;
      break;
    }
    --budget;
    set(i.dst(), k);
    bool outer = unknownBreak;
    unknownBreak = false;
    ist_status s = walk(pc + 1, end, true);
    bool maybe = unknownBreak;
    unknownBreak = outer;
    if (s)
      return s;
    if (broke) {
      broke = false;
      return IST_OK;
    }
    if (maybe) {
      unroll = false;
      break;
    }
  }
  if (unroll)
    return IST_OK;
  // Once for all iterations, with what any of them may change unknown.
  forget(pc, end);
  bool outer = unknownBreak;
  ist_status s = walk(pc + 1, end, false);
  unknownBreak = outer;
  forget(pc, end);
  return s;
}

void Walker::allocate(const fb::Instr &i) {
  const fb::Transient &t = *f.transients()->Get(i.a());
  Plan::Slot &slot = plan.transients[i.a()];
  if (t.pool() || !known(t.size()) || plan.regs[t.size()] < 0) {
    slot.offset = kNotPlaced;
    plan.exact = false;
    return;
  }
  uint64_t size = static_cast<uint64_t>(plan.regs[t.size()]);
  if (size > slot.size)
    slot.size = size;
}

ist_status Walker::output(const fb::Instr &i, bool sure) {
  if (!sure || !known(i.b())) {
    plan.exact = false;
    return IST_OK;
  }
  int64_t bytes = plan.regs[i.b()];
  if (bytes < 0 ||
      __builtin_add_overflow(plan.outputBytes, static_cast<uint64_t>(bytes),
                             &plan.outputBytes))
    return fail(error, IST_INVALID_ARGUMENT,
                "output '%s' would have %lld bytes; use smaller inputs",
                f.outputs()->Get(i.a())->name()->c_str(),
                static_cast<long long>(bytes));
  return IST_OK;
}

ist_status Walker::walk(uint32_t pc, uint32_t end, bool sure) {
  const auto &code = *f.code();
  while (pc < end) {
    const fb::Instr &i = *code.Get(pc);
    if (budget)
      --budget;
    ist_status s = IST_OK;
    uint32_t next = pc + 1;
    switch (i.op()) {
    case fb::Op::check:
      if (sure && known(i.a()) && plan.regs[i.a()] == 0)
        s = fail(error, IST_INVALID_ARGUMENT, "%s",
                 text(program.strings()->Get(i.b())));
      break;
    case fb::Op::if_:
      if (known(i.a())) {
        next = plan.regs[i.a()] ? pc + 1 : i.b() + 1;
        break;
      }
      s = walk(pc + 1, i.b(), false);
      forget(pc + 1, i.b());
      next = i.b() + 1;
      if (!s && code.Get(i.b())->op() == fb::Op::else_) {
        uint32_t endIf = code.Get(i.b())->b();
        s = walk(next, endIf, false);
        forget(next, endIf);
        next = endIf + 1;
      }
      break;
    case fb::Op::else_: // the taken side ends
      next = i.b() + 1;
      break;
    case fb::Op::loop:
      s = loop(pc, sure);
      next = i.b() + 1;
      break;
    case fb::Op::break_if:
      if (!known(i.a()) || (!sure && plan.regs[i.a()]))
        unknownBreak = true;
      else if (plan.regs[i.a()]) {
        broke = true;
        return IST_OK;
      }
      break;
    case fb::Op::alloc:
      allocate(i);
      break;
    case fb::Op::alloc_output:
      s = output(i, sure);
      break;
    case fb::Op::read:
      plan.known[i.dst()] = 0;
      break;
    default:
      if (isInteger(i.op()))
        s = integer(pc, sure);
      break;
    }
    if (s)
      return s;
    pc = next;
  }
  return IST_OK;
}

} // namespace

ist_status isthmus::makePlan(const fb::Program &program, const fb::Function &f,
                             const int64_t *symbols, Plan *plan,
                             ist_error *error) {
  uint32_t transients = count(f.transients());
  Array<Interval> intervals;
  plan->transients.clear();
  plan->regs.clear();
  plan->known.clear();
  if (!plan->transients.resize(transients) || !intervals.resize(transients) ||
      !plan->regs.resize(f.int_regs()) || !plan->known.resize(f.int_regs()))
    return outOfMemory(error, transients * sizeof(Interval), "a memory plan");
  plan->outputBytes = 0;
  plan->exact = true;
  // Registers hold 0 until they are written.
  for (uint32_t i = 0; i < f.int_regs(); ++i) {
    plan->known[i] = 1;
    plan->regs[i] = i < count(f.symbols()) ? symbols[i] : 0;
  }
  if (ist_status s =
          Walker(program, f, *plan, error).walk(0, f.code()->size(), true))
    return s;

  for (uint32_t i = 0; i < transients; ++i) {
    const fb::Transient &t = *f.transients()->Get(i);
    const Plan::Slot &slot = plan->transients[i];
    intervals[i] = {slot.offset == kNotPlaced ? 0 : slot.size, t.first(),
                    t.last(), 0};
  }
  if (!place(intervals.data(), transients, &plan->arenaBytes))
    return fail(error, IST_RESOURCE_EXHAUSTED,
                "the transients of function '%s' do not fit an address space; "
                "use smaller inputs",
                f.name()->c_str());
  for (uint32_t i = 0; i < transients; ++i)
    if (plan->transients[i].offset != kNotPlaced)
      plan->transients[i].offset = intervals[i].offset;
  return IST_OK;
}
