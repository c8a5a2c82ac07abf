//===- Lifetimes.cpp - from where to where memory is needed ---------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/Lifetimes.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

#include <set>

using namespace isthmus;

namespace {

/// A loop, or both sides of an if. The commands (begin, end) are its body; at
/// end + 1 stands its nop.
struct Region {
  uint32_t begin, end;
  int parent;
  bool loop;
  bool has(uint32_t pc) const { return begin < pc && pc < end; }
};

class Analysis {
public:
  explicit Analysis(fb::FunctionT &f) : f(f) {}
  void run();

private:
  void findRegions();
  void findTransients();
  void use(uint32_t transient, uint32_t pc);
  template <typename Fn> void forEachRead(const fb::Instr &i, Fn fn);

  fb::FunctionT &f;
  std::vector<Region> regions;
  std::vector<int> regionAt;               // innermost, by command
  std::vector<uint32_t> madeAt;            // by transient
  std::vector<std::set<uint32_t>> holds;   // transients, by buffer register
  std::vector<std::vector<uint32_t>> sets; // commands, by buffer register
};

} // namespace

void Analysis::findRegions() {
  int top = -1;
  regionAt.resize(f.code.size());
  for (uint32_t pc = 0; pc < f.code.size(); ++pc) {
    fb::Op op = f.code[pc].op();
    if (op == fb::Op::end_if || op == fb::Op::end_loop) {
      regions[top].end = pc;
      top = regions[top].parent;
    }
    regionAt[pc] = top;
    if (op == fb::Op::if_ || op == fb::Op::loop) {
      regions.push_back({pc, 0, top, op == fb::Op::loop});
      top = int(regions.size()) - 1;
    }
  }
}

/// Which memory a register can hold, at any time.
void Analysis::findTransients() {
  holds.resize(f.buffer_regs);
  sets.resize(f.buffer_regs);
  madeAt.resize(f.transients.size());
  for (uint32_t pc = 0; pc < f.code.size(); ++pc) {
    const fb::Instr &i = f.code[pc];
    switch (i.op()) {
    case fb::Op::alloc:
      holds[i.dst()].insert(i.a());
      madeAt[i.a()] = pc;
      [[fallthrough]];
    case fb::Op::input:
    case fb::Op::weight:
    case fb::Op::derived:
    case fb::Op::alloc_output:
    case fb::Op::alloc_derived:
    case fb::Op::view:
    case fb::Op::bmove:
      sets[i.dst()].push_back(pc);
      break;
    default:
      break;
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (const fb::Instr &i : f.code)
      if ((i.op() == fb::Op::bmove || i.op() == fb::Op::view) &&
          i.dst() != i.a()) {
        size_t before = holds[i.dst()].size();
        holds[i.dst()].insert(holds[i.a()].begin(), holds[i.a()].end());
        changed |= holds[i.dst()].size() != before;
      }
  }
}

template <typename Fn> void Analysis::forEachRead(const fb::Instr &i, Fn fn) {
  switch (i.op()) {
  case fb::Op::copy:
    fn(i.dst());
    fn(i.a());
    break;
  case fb::Op::fill:
    fn(i.dst());
    break;
  case fb::Op::view:
  case fb::Op::bmove:
  case fb::Op::set_output:
  case fb::Op::read:
    fn(i.a());
    break;
  case fb::Op::launch:
    for (uint32_t b : f.launches[i.a()]->buffers)
      fn(b);
    break;
  default:
    break;
  }
}

void Analysis::use(uint32_t transient, uint32_t pc) {
  fb::TransientT &t = *f.transients[transient];
  t.last = std::max(t.last, pc);
  for (int r = regionAt[pc]; r >= 0 && !regions[r].has(madeAt[transient]);
       r = regions[r].parent)
    // The arena's places are fixed: a branch that is not taken costs nothing.
    if (regions[r].loop || t.pool)
      t.last = std::max(t.last, regions[r].end + 1);
}

void Analysis::run() {
  findRegions();
  findTransients();
  for (uint32_t i = 0; i < madeAt.size(); ++i)
    f.transients[i]->first = f.transients[i]->last = madeAt[i];
  // What a loop carries lives as long as the loop.
  for (const Region &r : regions) {
    if (!r.loop)
      continue;
    for (uint32_t b = 0; b < f.buffer_regs; ++b) {
      auto inside = [&](uint32_t pc) { return r.has(pc); };
      if (!llvm::any_of(sets[b], inside) || llvm::all_of(sets[b], inside))
        continue;
      for (uint32_t i : holds[b]) {
        fb::TransientT &t = *f.transients[i];
        if (!r.has(madeAt[i]))
          continue;
        t.pool = true;
        t.first = std::min(t.first, r.begin);
        t.last = std::max(t.last, r.end + 1);
      }
    }
  }
  for (uint32_t pc = 0; pc < f.code.size(); ++pc)
    forEachRead(f.code[pc], [&](uint32_t b) {
      for (uint32_t i : holds[b])
        use(i, pc);
    });
}

void isthmus::setLifetimes(fb::FunctionT &function) {
  Analysis(function).run();
}
