//===- waits.cpp - memory accesses that are not done yet ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "wave.h"

#include <algorithm>

using namespace isthmus::simgpu::amdgpu;

// A load's registers hold its result once the wave has waited for the load's
// counter: "Data dependency resolution" in the documents. Values are there at
// once here, so a missing wait shows only because this file keeps account.

static void mark(Wave &w, const Outstanding &o) {
  for (unsigned r = o.first; r < unsigned(o.first + o.count); ++r)
    if (o.vector)
      w.pendingVector[r / 64] |= 1ull << r % 64;
    else
      w.pendingScalar[r / 64] |= 1ull << r % 64;
}

void isthmus::simgpu::amdgpu::issue(Wave &w, Counter counter,
                                    const Operand *result, bool ordered) {
  if (counter == kScalar && w.kernel->generation != Generation::gfx12)
    counter = kDs; // one counter for both: lgkmcnt
  Outstanding o;
  o.vector = !result || result->kind == Operand::vector;
  o.first = result ? result->index : 0;
  o.count = result ? result->count : 0;
  o.ordered = ordered;
  mark(w, o);
  w.outstanding[counter].push_back(std::move(o));
  ++w.outstandingTotal;
}

void isthmus::simgpu::amdgpu::reach(Wave &w, Counter counter, unsigned count) {
  auto &queue = w.outstanding[counter];
  if (queue.size() <= count)
    return;
  // Scalar loads come in any order: only zero says that one is there.
  if (count && std::any_of(queue.begin(), queue.end(),
                           [](const Outstanding &o) { return !o.ordered; }))
    return;
  size_t done = queue.size() - count;
  queue.erase(queue.begin(), queue.begin() + long(done));
  w.outstandingTotal -= unsigned(done);
  std::fill(w.pendingVector.begin(), w.pendingVector.end(), 0);
  std::fill(std::begin(w.pendingScalar), std::end(w.pendingScalar), 0);
  for (const auto &each : w.outstanding)
    for (const Outstanding &o : each)
      mark(w, o);
}

void isthmus::simgpu::amdgpu::checkPending(Wave &w, const Inst &i) {
  for (const RegisterUse &use : i.uses) {
    // Loads of one counter write in order, so one may follow another.
    if (use.write && i.kind == Class::memory)
      continue;
    for (unsigned r = use.first; r < unsigned(use.first + use.count); ++r) {
      bool pending = use.vector ? w.pendingVector[r / 64] >> r % 64 & 1
                                : w.pendingScalar[r / 64] >> r % 64 & 1;
      if (!pending)
        continue;
      std::string name = (use.vector                   ? "v"
                          : r == kVcc || r == kVcc + 1 ? "vcc, s"
                                                       : "s") +
                         std::to_string(r);
      return w.fail(i, std::string(use.write ? "writes " : "uses ") + name +
                           " before waiting for the load that writes it");
    }
  }
}
