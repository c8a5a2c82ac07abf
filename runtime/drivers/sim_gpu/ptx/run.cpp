//===- run.cpp - executes a workgroup -------------------------------------===//
//
// Warps run one after the other, each until a barrier. Within a warp the lanes
// that stand at the smallest instruction run, together with all that stand
// there: compilers lay code out such that lanes that parted meet again by that.
// What needs lanes that are elsewhere (shfl.sync, barriers, matrices) stops
// until they have come.
//
//===----------------------------------------------------------------------===//
#include "run.h"
#include "sanitize.h"

#include <algorithm>

using namespace isthmus::simgpu;
using namespace isthmus::simgpu::ptx;

void Warp::fault(const Inst &i, uint32_t lane, const std::string &what) {
  if (group->failed)
    return;
  group->failed = true;
  group->fault->group = group->number;
  group->fault->lane = number * kLanes + lane;
  group->fault->what = "line " + std::to_string(i.line) + " (" +
                       (i.name ? i.name : "?") + ") " + what;
}

namespace {

class Runner {
public:
  Runner(Group &group) : group(group), program(*group.program) {}
  /// Until a barrier or the end. False: a fault.
  bool warp(Warp &w);

private:
  void wait(Warp &w, Lanes lanes);
  bool next(Warp &w);
  bool meet(Warp &w, const Inst &i, uint32_t &mask);
  uint32_t needed(const Warp &w, const Inst &i, uint32_t mask) const;
  void branch(Warp &w, const Inst &i, uint32_t taken);
  void branchTable(Warp &w, const Inst &i, uint32_t taken);
  void stuck(Warp &w);

  Group &group;
  const Program &program;
};

/// Sorted into those that wait, with those that stand at the same place.
void Runner::wait(Warp &w, Lanes lanes) {
  if (!lanes.mask)
    return;
  auto at = w.waiting.begin();
  while (at != w.waiting.end() && at->pc > lanes.pc)
    ++at;
  if (at != w.waiting.end() && at->pc == lanes.pc)
    at->mask |= lanes.mask;
  else
    w.waiting.insert(at, lanes);
}

/// Lanes that an instruction needs all of, of those that have not ended.
uint32_t Runner::needed(const Warp &w, const Inst &i, uint32_t mask) const {
  if (i.kind != Kind::exchange)
    return w.alive;
  uint32_t members = w.source<uint32_t>(i, i.sources - 1u)[__builtin_ctz(mask)];
  return members & w.alive;
}

/// Something to run, when nothing does. False: the warp has ended, or a fault.
bool Runner::next(Warp &w) {
  if (!w.waiting.empty()) {
    w.now = w.waiting.back();
    w.waiting.pop_back();
    return true;
  }
  for (size_t n = 0; n < w.stopped.size(); ++n) {
    Lanes s = w.stopped[n];
    if (needed(w, program.code[s.pc], s.mask) & ~s.mask)
      continue;
    w.stopped.erase(w.stopped.begin() + static_cast<ptrdiff_t>(n));
    w.now = s; // those that it waited for have ended
    return true;
  }
  if (!w.stopped.empty())
    stuck(w);
  else
    w.ended = true;
  return false;
}

void Runner::stuck(Warp &w) {
  const Lanes &s = w.stopped.front();
  const Inst &i = program.code[s.pc];
  std::string others;
  for (size_t n = 1; n < w.stopped.size(); ++n)
    others += (n > 1 ? ", " : "") +
              std::to_string(program.code[w.stopped[n].pc].line);
  auto lane = static_cast<uint32_t>(__builtin_ctz(s.mask));
  w.fault(i, lane,
          std::string(i.kind == Kind::barrier ? "is a divergent barrier: "
                                              : "waits for ever: ") +
              std::to_string(__builtin_popcount(s.mask)) + " of " +
              std::to_string(__builtin_popcount(w.alive)) +
              " lanes of the warp are there" +
              (others.empty() ? "" : ", others at line " + others));
}

/// Whether all lanes that are needed have come; the mask is then theirs.
/// Otherwise those that are here stop.
bool Runner::meet(Warp &w, const Inst &i, uint32_t &mask) {
  uint32_t here = mask;
  for (const Lanes &s : w.stopped)
    if (s.pc == w.now.pc)
      here |= s.mask;
  w.stopped.erase(
      std::remove_if(w.stopped.begin(), w.stopped.end(),
                     [&](const Lanes &s) { return s.pc == w.now.pc; }),
      w.stopped.end());
  if (needed(w, i, mask) & ~here) {
    w.stopped.push_back({w.now.pc, here});
    w.now = {w.now.pc + 1, w.now.mask & ~here}; // whose guard is false
    return false;
  }
  w.now.mask |= here;
  mask = here;
  return true;
}

void Runner::branch(Warp &w, const Inst &i, uint32_t taken) {
  uint32_t straight = w.now.mask & ~taken;
  if (!taken) {
    ++w.now.pc;
  } else if (!straight) {
    w.now.pc = i.target;
  } else {
    wait(w, {i.target, taken});
    w.now = {w.now.pc + 1, straight};
  }
}

void Runner::branchTable(Warp &w, const Inst &i, uint32_t taken) {
  const std::vector<uint32_t> &targets = program.targets[i.target];
  auto *index = w.source<uint32_t>(i, 0);
  for (uint32_t m = taken; m; m &= m - 1) {
    auto l = static_cast<uint32_t>(__builtin_ctz(m));
    if (index[l] >= targets.size())
      return w.fault(i, l, "jumps behind the end of its list");
    wait(w, {targets[index[l]], 1u << l});
  }
  w.now = {w.now.pc + 1, w.now.mask & ~taken};
}

bool Runner::warp(Warp &w) {
  const Inst *code = program.code.data();
  Counters &counters = *group.counters;
  uint64_t costs[5] = {}, instructions = 0;
  bool stop = false;
  while (!stop && !group.failed) {
    if (!w.now.mask && !next(w))
      break;
    if (!w.waiting.empty() && w.now.pc >= w.waiting.back().pc) {
      Lanes other = w.waiting.back();
      w.waiting.pop_back();
      if (other.pc == w.now.pc) {
        w.now.mask |= other.mask;
      } else {
        wait(w, w.now);
        w.now = other;
      }
      continue;
    }
    const Inst &i = code[w.now.pc];
    uint32_t mask = w.now.mask;
    if (i.guard != kNone)
      mask &= w.predicate(i.guard) ^ (i.guardNegated ? ~0u : 0);
    ++instructions;
    ++costs[static_cast<int>(i.cost)];
    if (group.sanitizer && !group.sanitizer->before(w, i, mask))
      break;
    switch (i.kind) {
    case Kind::plain:
    case Kind::select:
    case Kind::memory:
      if (mask)
        i.run(w, i, mask);
      ++w.now.pc;
      break;
    case Kind::exchange:
    case Kind::matrix:
      if (!mask) {
        ++w.now.pc;
      } else if (i.kind == Kind::matrix && w.whole != ~0u) {
        w.fault(i, 0, "needs a whole warp");
      } else if (meet(w, i, mask)) {
        if (group.sanitizer && !group.sanitizer->together(w, i, mask))
          break;
        i.run(w, i, mask);
        ++w.now.pc;
      } else {
        --instructions; // counted when they have met
        --costs[static_cast<int>(i.cost)];
      }
      break;
    case Kind::branch:
      branch(w, i, mask);
      break;
    case Kind::branchTable:
      branchTable(w, i, mask);
      break;
    case Kind::barrier:
      if (!mask) {
        ++w.now.pc;
      } else if (meet(w, i, mask)) {
        w.atBarrier = stop = true;
        w.barrier = i.target;
        w.barrierCount = static_cast<uint32_t>(i.offset);
        w.barrierInst = &i;
        ++w.now.pc;
      } else {
        --instructions;
        --costs[static_cast<int>(i.cost)];
      }
      break;
    case Kind::exit:
      w.alive &= ~mask;
      w.now = {w.now.pc + 1, w.now.mask & ~mask};
      break;
    case Kind::trap:
      if (mask)
        w.fault(i, static_cast<uint32_t>(__builtin_ctz(mask)), "was reached");
      ++w.now.pc;
      break;
    }
  }
  counters.instructions += instructions;
  counters.arithmetic += costs[static_cast<int>(Cost::arithmetic)];
  counters.memory += costs[static_cast<int>(Cost::memory)];
  counters.control += costs[static_cast<int>(Cost::control)];
  counters.matrix += costs[static_cast<int>(Cost::matrix)];
  counters.barriers += costs[static_cast<int>(Cost::barrier)];
  return !group.failed;
}

/// Lets go of the warps at one barrier that all have reached. False: a fault.
bool release(Group &g) {
  for (Warp &w : g.warps) {
    if (!w.atBarrier)
      continue;
    uint32_t threads = 0, missing = 0;
    const Inst *other = nullptr;
    for (Warp &v : g.warps) {
      if (v.atBarrier && v.barrier == w.barrier) {
        threads += static_cast<uint32_t>(__builtin_popcount(v.whole));
        missing +=
            static_cast<uint32_t>(__builtin_popcount(v.whole & ~v.alive));
        if (v.barrierInst != w.barrierInst)
          other = v.barrierInst;
      } else if (!w.barrierCount) {
        missing += static_cast<uint32_t>(__builtin_popcount(v.whole));
      }
    }
    if (missing) {
      w.fault(*w.barrierInst, 0,
              "is a divergent barrier: " + std::to_string(missing) +
                  " threads of the workgroup never come to it");
      return false;
    }
    if (g.sanitizer && other) {
      w.fault(*w.barrierInst, 0,
              "is a divergent barrier: another warp waits at line " +
                  std::to_string(other->line));
      return false;
    }
    if (w.barrierCount && threads < w.barrierCount)
      continue;
    uint32_t number = w.barrier;
    for (Warp &v : g.warps)
      if (v.atBarrier && v.barrier == number)
        v.atBarrier = false;
    if (g.sanitizer)
      g.sanitizer->barrier();
    return true;
  }
  for (Warp &w : g.warps)
    if (w.atBarrier) {
      w.fault(*w.barrierInst, 0, "waits for threads that never come");
      break;
    }
  return false;
}

void prepare(Group &g, const Program &program, const Launch &launch) {
  uint32_t count = (launch.threads + kLanes - 1) / kLanes;
  size_t bytes = size_t(program.rows) * kRowBytes;
  // What is not written first is the same on every run.
  g.rows.assign(bytes * count + 64, 0xcb);
  uint64_t shared = uint64_t(program.sharedBytes) + launch.dynamicShared;
  g.shared.assign(shared, 0xcb);
  g.local.assign(size_t(count) * kLanes * program.localBytes, 0xcb);
  g.warps.resize(count);
  uint8_t *rows = g.rows.data() +
                  (64 - reinterpret_cast<uintptr_t>(g.rows.data()) % 64) % 64;
  for (uint32_t n = 0; n < count; ++n) {
    Warp &w = g.warps[n];
    w.rows = rows + n * bytes;
    w.immediates = program.immediates.data();
    w.predicates.assign(program.predicates, 0);
    w.group = &g;
    w.number = n;
    uint32_t threads = launch.threads - n * kLanes;
    w.whole = threads >= kLanes ? ~0u : (1u << threads) - 1;
    w.alive = w.whole;
    w.now = {0, w.whole};
    w.waiting.clear();
    w.stopped.clear();
    w.atBarrier = w.ended = false;
    w.copies.clear();
    std::fill(w.copyGroups, w.copyGroups + kLanes, 0);
  }
}

} // namespace

bool isthmus::simgpu::ptx::runGroup(const Program &program,
                                    const Launch &launch, uint32_t number,
                                    Counters &counters, Fault &fault) {
  fault.group = number;
  fault.lane = 0;
  if (launch.argsBytes < program.paramBytes ||
      (program.threads && program.threads != launch.threads) ||
      launch.threads == 0 || launch.threads > 1024) {
    fault.what = "it takes " + std::to_string(program.paramBytes) +
                 " bytes of arguments and " + std::to_string(program.threads) +
                 " threads, and the launch has " +
                 std::to_string(launch.argsBytes) + " and " +
                 std::to_string(launch.threads);
    return false;
  }
  // Kept from group to group: memory of that size is slow to come by.
  static thread_local Group scratch;
  Group &g = scratch;
  g.program = &program;
  g.launch = &launch;
  g.number = number;
  g.counters = &counters;
  g.fault = &fault;
  g.failed = false;
  g.lastRange = nullptr;
  g.sanitizer = nullptr;
  g.staticRanges.clear();
  for (const Static &v : program.statics)
    g.staticRanges.push_back({v.address, v.bytes, v.writable});
  prepare(g, program, launch);
  std::unique_ptr<Sanitizer> sanitizer;
  if (launch.sanitize)
    sanitizer = std::make_unique<Sanitizer>(g);
  g.sanitizer = sanitizer.get();

  Runner runner(g);
  for (;;) {
    bool any = false;
    for (Warp &w : g.warps)
      if (!w.ended && !w.atBarrier && !runner.warp(w))
        return false;
    for (const Warp &w : g.warps)
      any |= !w.ended;
    if (!any)
      return true;
    if (!release(g))
      return false;
  }
}
