//===- load.cpp - AMD code objects, loaded and run ------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "code_object.h"
#include "decode.h"
#include "lanes.h"

#include <algorithm>
#include <cstring>

using namespace isthmus::simgpu;
using namespace isthmus::simgpu::amdgpu;

namespace {
class CodeKernel final : public Kernel {
public:
  KernelFacts facts;
  Range constants; // the code object's memory

  const std::string &name() const override { return facts.name; }
  bool run(const Launch &launch, uint32_t group, Counters &counters,
           Fault &fault) const override;
};

class CodeModule final : public Module {
public:
  CodeObject object;
  std::vector<std::unique_ptr<CodeKernel>> kernels;

  const Kernel *find(const std::string &name) const override {
    for (const auto &k : kernels)
      if (k->facts.name == name)
        return k.get();
    return nullptr;
  }
};

/// A host thread's registers and LDS, kept from group to group.
struct Storage {
  std::vector<uint32_t> registers, poison;
  std::vector<uint8_t> scratch, scratchPoison;
  Group group;
};

void setHidden(const KernelFacts &k, const Launch &launch,
               std::vector<uint8_t> &blob) {
  for (const KernelFacts::Hidden &h : k.hidden) {
    char axis = h.kind.back();
    bool x = axis == 'x';
    uint64_t v = 0;
    auto is = [&](const char *prefix) {
      return h.kind.compare(0, strlen(prefix), prefix) == 0;
    };
    if (is("hidden_block_count"))
      v = x ? launch.groups : 1;
    else if (is("hidden_group_size"))
      v = x ? launch.threads : 1;
    else if (is("hidden_grid_dims"))
      v = 1;
    else if (is("hidden_dynamic_lds_size"))
      v = launch.dynamicShared;
    else if (is("hidden_private_base"))
      v = kPrivateAperture >> 32;
    else if (is("hidden_shared_base"))
      v = kSharedAperture >> 32;
    memcpy(blob.data() + h.offset, &v, h.size);
  }
}

/// "Initial Kernel Execution State" in the user guide.
void setScalars(const KernelFacts &k, Wave &w, const Launch &launch,
                uint32_t group) {
  Group &g = *w.group;
  unsigned next = 0;
  auto give = [&](uint32_t v) {
    w.s[next] = v;
    w.sPoison[next++] = 0;
  };
  auto pair = [&](uint64_t v) { give(uint32_t(v)), give(uint32_t(v >> 32)); };
  auto wants = [&](unsigned bit) { return k.properties >> bit & 1; };
  unsigned skipped = 0; // what our kernels do not ask for has no value to give
  if (wants(0))
    skipped += 4;
  if (wants(1))
    skipped += 2;
  if (wants(2))
    skipped += 2;
  next += skipped;
  if (wants(3))
    pair(uint64_t(g.kernarg));
  if (wants(4))
    next += 2;
  if (wants(5))
    next += 2;
  if (wants(6))
    give(k.privateBytes);
  for (unsigned n = 0; n < k.preload && next < 16; ++n) {
    uint32_t v;
    memcpy(&v, g.kernarg + 4 * (k.preloadOffset + n), 4);
    give(v);
  }
  next = std::max(next, k.userScalars);
  if (k.generation == Generation::gfx12) { // ids come in trap registers
    w.s[kTtmp + 9] = group;
    w.s[kTtmp + 7] = 0;
    w.sPoison[kTtmp + 9] = w.sPoison[kTtmp + 7] = 0;
  } else {
    if (k.groupIdX)
      give(group);
    if (k.groupIdY)
      give(0);
    if (k.groupIdZ)
      give(0);
  }
  auto fixed = [&](unsigned r, uint64_t v) {
    w.s[r] = uint32_t(v);
    w.s[r + 1] = uint32_t(v >> 32);
    w.sPoison[r] = w.sPoison[r + 1] = 0;
  };
  fixed(kSharedBase, kSharedAperture);
  fixed(kSharedLimit, kSharedAperture | 0xffffffff);
  fixed(kPrivateBase, kPrivateAperture);
  fixed(kPrivateLimit, kPrivateAperture | 0xffffffff);
  w.s[kNull] = 0;
  w.sPoison[kNull] = 0;
}

void setWave(const KernelFacts &k, Storage &st, Wave &w, unsigned index,
             const Launch &launch, uint32_t group) {
  size_t words = size_t(k.vectors) * kLanes;
  w.kernel = &k;
  w.size = k.waveSize;
  w.index = index;
  w.v = st.registers.data() + index * words;
  w.poisonOn = launch.sanitize;
  w.vPoison = launch.sanitize ? st.poison.data() + index * words : nullptr;
  size_t own = size_t(k.privateBytes) * kLanes;
  w.scratch = st.scratch.data() + index * own;
  w.scratchPoison =
      launch.sanitize ? st.scratchPoison.data() + index * own : nullptr;
  w.pc = uint32_t(k.indexAt[(k.entry - k.codeBegin) / 4]);
  w.flushIn = k.flush32;
  std::fill(std::begin(w.s), std::end(w.s), kUnwritten);
  std::fill(std::begin(w.sPoison), std::end(w.sPoison), ~0u);
  std::fill(std::begin(w.pendingScalar), std::end(w.pendingScalar), 0);
  w.pendingVector.assign(k.vectors / 64 + 1, 0);
  setScalars(k, w, launch, group);
  unsigned first = index * k.waveSize,
           lanes = std::min(launch.threads - first, k.waveSize);
  w.fullExec = lanes == 64 ? ~0ull : (1ull << lanes) - 1;
  w.s[kExec] = uint32_t(w.fullExec);
  w.s[kExec + 1] = uint32_t(w.fullExec >> 32);
  w.sPoison[kExec] = w.sPoison[kExec + 1] = 0;
  w.cachedExec = ~w.fullExec;
  // v0 holds x, and y and z above it, which are 0.
  for (unsigned l = 0; l < w.size; ++l)
    w.row(0)[l] = first + l;
  if (launch.sanitize)
    std::fill(w.poisonRow(0), w.poisonRow(0) + kLanes, 0);
}

void count(Counters &c, Class kind) {
  ++c.instructions;
  switch (kind) {
  case Class::arithmetic:
    ++c.arithmetic;
    break;
  case Class::memory:
    ++c.memory;
    break;
  case Class::control:
  case Class::barrier: // counted where it is reached
    ++c.control;
    break;
  case Class::matrix:
    ++c.matrix;
    break;
  }
}

/// Runs `w` until it ends, stands at a barrier or has taken its turn.
void runWave(Wave &w, Counters &counters) {
  const KernelFacts &k = *w.kernel;
  const Inst *code = k.code.data();
  constexpr unsigned kTurn = 1 << 20; // so that waves may wait for each other
  for (unsigned n = 0; n < kTurn; ++n) {
    const Inst &i = code[w.pc++];
    count(counters, i.kind);
    if (w.outstandingTotal && !i.uses.empty()) {
      checkPending(w, i);
      if (w.group->failed)
        return;
    }
    if (i.dpp != Dpp::none)
      prepareDpp(w, i);
    if (w.poisonOn)
      flowPoison(w, i);
    i.run(w, i);
    w.dppLanes = ~0ull;
    if (w.done || w.atBarrier || w.group->failed)
      return;
  }
}

/// Lets the waves that wait go on, if all have come.
void openBarrier(Group &g) {
  uint32_t least = ~0u;
  for (const Wave &w : g.waves)
    if (!w.done)
      least = std::min(least, w.signals);
  for (Wave &w : g.waves)
    if (w.atBarrier && w.waits < least)
      w.atBarrier = false, ++w.waits;
}

/// A barrier is complete: what was before it is ordered before what comes. What
/// a wave wrote to LDS and did not wait for is not.
void nextEpoch(Group &g) {
  if (g.ldsAccess.empty())
    return;
  ++g.epoch;
  for (Wave &w : g.waves)
    for (const Outstanding &o : w.outstanding[kDs])
      for (auto [at, bytes] : o.ldsWrites)
        for (unsigned b = 0; b < bytes; ++b) {
          LdsByte &a = g.ldsAccess[at + b];
          a = LdsByte();
          a.epoch = g.epoch;
          a.writer = uint16_t(w.index + 1);
        }
}

/// Waves that ended while others stand at a barrier, or stand at others.
bool checkBarrier(Group &g) {
  const Wave *at = nullptr;
  for (const Wave &w : g.waves)
    if (w.atBarrier)
      at = &w;
  if (!at)
    return true;
  for (Wave &w : g.waves) {
    const Inst &i = at->kernel->code[at->barrierAt - 1];
    if (w.done)
      w.fail(i, "wave " + std::to_string(w.index) +
                    " ended before a barrier at which wave " +
                    std::to_string(at->index) + " waits");
    else if (g.launch->sanitize && w.atBarrier && w.barrierAt != at->barrierAt)
      w.fail(i, "waves " + std::to_string(w.index) + " and " +
                    std::to_string(at->index) + " wait at different barriers");
    if (g.failed)
      return false;
  }
  return true;
}

bool CodeKernel::run(const Launch &launch, uint32_t id, Counters &counters,
                     Fault &fault) const {
  thread_local Storage st;
  const KernelFacts &k = facts;
  Group &g = st.group;
  unsigned waves = (launch.threads + k.waveSize - 1) / k.waveSize;
  size_t words = size_t(k.vectors) * kLanes * waves,
         own = size_t(k.privateBytes) * kLanes * waves;
  st.registers.assign(words, kUnwritten);
  st.scratch.assign(own, uint8_t(kUnwritten));
  if (launch.sanitize) {
    st.poison.assign(words, ~0u);
    st.scratchPoison.assign(own, 0xff);
  }
  g.launch = &launch;
  g.id = id;
  g.failed = false;
  g.epoch = 1;
  g.lastRange = nullptr;
  g.counters = &counters;
  g.fault = &fault;
  g.constants = &constants;
  size_t lds = size_t(k.ldsBytes) + launch.dynamicShared;
  g.lds.resize(lds);
  for (size_t n = 0; n + 4 <= lds; n += 4)
    memcpy(g.lds.data() + n, &kUnwritten, 4);
  g.ldsPoison.assign(launch.sanitize ? lds : 0, 0xff);
  g.ldsAccess.assign(launch.sanitize ? lds : 0, LdsByte());
  g.kernarg = launch.args;
  if (launch.argsBytes < k.kernargBytes) {
    g.kernargCopy.assign(k.kernargBytes, 0);
    memcpy(g.kernargCopy.data(), launch.args, launch.argsBytes);
    setHidden(k, launch, g.kernargCopy);
    g.kernarg = g.kernargCopy.data();
  }
  g.waves.clear();
  g.waves.resize(waves);
  for (unsigned n = 0; n < waves; ++n) {
    g.waves[n].group = &g;
    setWave(k, st, g.waves[n], n, launch, id);
  }
  uint32_t epochs = 0;
  for (;;) {
    bool all = true;
    for (Wave &w : g.waves) {
      if (w.done || w.atBarrier)
        continue;
      runWave(w, counters);
      if (g.failed)
        return false;
      all = false;
    }
    if (!all) {
      bool waiting =
          std::all_of(g.waves.begin(), g.waves.end(),
                      [](const Wave &w) { return w.done || w.atBarrier; });
      if (!waiting)
        continue;
    }
    if (std::all_of(g.waves.begin(), g.waves.end(),
                    [](const Wave &w) { return w.done; }))
      return true;
    if (!checkBarrier(g))
      return false;
    uint32_t before = epochs;
    openBarrier(g);
    for (const Wave &w : g.waves)
      epochs = std::max(epochs, w.waits);
    if (epochs == before) {
      g.waves[0].fail(k.code[g.waves[0].pc - 1],
                      "waves wait for a barrier that no other wave signals");
      return false;
    }
    nextEpoch(g);
  }
}

/// Whether `chip` runs code for `code`: the same, or its family's.
bool runs(const std::string &chip, const std::string &code) {
  if (chip == code)
    return true;
  return (code == "gfx9-4-generic" && (chip == "gfx942" || chip == "gfx950")) ||
         (code == "gfx11-generic" && chip.compare(0, 5, "gfx11") == 0) ||
         (code == "gfx12-generic" && chip.compare(0, 5, "gfx12") == 0);
}
} // namespace

std::unique_ptr<Module> isthmus::simgpu::loadCodeObject(const std::string &chip,
                                                        const void *code,
                                                        size_t bytes,
                                                        LoadError &kind,
                                                        std::string &error) {
  auto module = std::make_unique<CodeModule>();
  kind = LoadError::malformed;
  if (!readCodeObject(static_cast<const uint8_t *>(code), bytes, module->object,
                      error))
    return nullptr;
  kind = LoadError::unsupported;
  CodeObject &o = module->object;
  if (!runs(chip, o.chip)) {
    error = "its code is for " + o.chip + ", this device is a " + chip;
    return nullptr;
  }
  for (KernelFacts &facts : o.kernels) {
    auto kernel = std::make_unique<CodeKernel>();
    kernel->facts = std::move(facts);
    KernelFacts &k = kernel->facts;
    k.loadedAt = uint64_t(o.image.data());
    if (k.preload)
      k.entry += 256; // behind the loads for firmware that does not preload
    if (!decodeKernel(chip, o.image, o.codeBegin, k.end, k, error))
      return nullptr;
    kernel->constants = {k.loadedAt, o.image.size(), false};
    module->kernels.push_back(std::move(kernel));
  }
  return module;
}
