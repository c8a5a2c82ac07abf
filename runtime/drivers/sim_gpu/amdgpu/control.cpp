//===- control.cpp - branches, barriers and waits -------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "wave.h"

using namespace isthmus::simgpu::amdgpu;

static void nothing(Wave &, const Inst &) {}

static void endProgram(Wave &w, const Inst &) { w.done = true; }

template <unsigned Register, bool Value>
static void branchIf(Wave &w, const Inst &i) {
  bool v;
  if (Register == kVcc || Register == kExec) {
    v = w.mask(Register) != 0;
    if (Register == kVcc && w.poisonOn &&
        poisonedScalar(w, i, kVcc, w.size / 32, "a branch"))
      return;
  } else {
    v = w.s[Register];
    if (w.poisonOn && poisonedScalar(w, i, Register, 1, "a branch"))
      return;
  }
  if (v == Value)
    w.pc = i.target;
}

static void branch(Wave &w, const Inst &i) { w.pc = i.target; }

static bool divergent(Wave &w, const Inst &i) {
  if (!w.group->launch->sanitize || w.exec() == w.fullExec)
    return false;
  unsigned lane = unsigned(__builtin_ctzll(w.fullExec & ~w.exec()));
  w.fail(i, "a barrier that not all lanes of the wave reach", lane);
  return true;
}

static void signal(Wave &w, const Inst &i) {
  if (divergent(w, i))
    return;
  ++w.signals;
  w.barrierAt = w.pc;
  ++w.group->counters->barriers;
}
static void wait(Wave &w, const Inst &) {
  w.atBarrier = true;
  w.barrierAt = w.pc;
}
static void barrier(Wave &w, const Inst &i) {
  signal(w, i);
  w.atBarrier = true;
}

static void waitCounts(Wave &w, const Inst &i) {
  for (unsigned c = 0; c < kCounters; ++c)
    if (i.wait[c] != 255)
      reach(w, Counter(c), i.wait[c]);
}

/// The address of the instruction behind it, in the code as it is loaded.
static void getPc(Wave &w, const Inst &i) {
  uint64_t pc = w.kernel->loadedAt + i.address + 4;
  w.s[i.d[0].index] = uint32_t(pc);
  w.s[i.d[0].index + 1] = uint32_t(pc >> 32);
}

void isthmus::simgpu::amdgpu::addControl(OperationTable &t) {
  auto op = [&](const char *name, Handler run, Class kind = Class::control) {
    Operation o;
    o.run = run;
    o.kind = kind;
    o.flow = Flow::none;
    t[name] = o;
  };
  // Hints, instruction caches, hazards of registers that are not modelled, and
  // caches, which host memory has none of.
  for (const char *name : {"s_nop",
                           "s_delay_alu",
                           "s_clause",
                           "s_set_inst_prefetch_distance",
                           "s_sendmsg",
                           "s_sleep",
                           "s_setprio",
                           "s_waitcnt_depctr",
                           "s_wait_alu",
                           "s_wait_idle",
                           "s_wait_event",
                           "s_icache_inv",
                           "s_dcache_inv",
                           "s_dcache_wb",
                           "s_inst_prefetch",
                           "s_code_end",
                           "buffer_gl0_inv",
                           "buffer_gl1_inv",
                           "buffer_inv",
                           "buffer_wbl2",
                           "buffer_wbinvl1",
                           "buffer_wbinvl1_vol",
                           "global_inv",
                           "global_wb",
                           "global_wbinv",
                           "s_wait_expcnt",
                           "s_wait_samplecnt",
                           "s_wait_bvhcnt",
                           "s_incperflevel",
                           "s_decperflevel",
                           "s_ttracedata",
                           "s_ttracedata_imm",
                           "s_prefetch_inst",
                           "s_prefetch_inst_pc_rel",
                           "v_nop",
                           "s_waitcnt_expcnt"})
    op(name, nothing);
  op("s_endpgm", endProgram);
  op("s_branch", branch);
  op("s_cbranch_scc0", branchIf<kScc, false>);
  op("s_cbranch_scc1", branchIf<kScc, true>);
  op("s_cbranch_vccz", branchIf<kVcc, false>);
  op("s_cbranch_vccnz", branchIf<kVcc, true>);
  t["s_cbranch_vccz"].shape.readsVcc = t["s_cbranch_vccnz"].shape.readsVcc =
      true;
  op("s_cbranch_execz", branchIf<kExec, false>);
  op("s_cbranch_execnz", branchIf<kExec, true>);
  op("s_barrier", barrier, Class::barrier);
  op("s_barrier_signal", signal, Class::barrier);
  op("s_barrier_wait", wait, Class::control);
  for (const char *name :
       {"s_waitcnt", "s_waitcnt_vscnt", "s_waitcnt_vmcnt", "s_waitcnt_lgkmcnt",
        "s_wait_loadcnt", "s_wait_dscnt", "s_wait_kmcnt", "s_wait_storecnt",
        "s_wait_loadcnt_dscnt", "s_wait_storecnt_dscnt"})
    op(name, waitCounts);
  op("s_getpc_b64", getPc, Class::arithmetic);
  t["s_getpc_b64"].shape.results = 1;
  t["s_getpc_b64"].shape.result[0] = Type::b64;
  t["s_getpc_b64"].flow = Flow::any;
}
