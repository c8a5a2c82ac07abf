//===- Units.cpp - NVIDIA's matrix units, as rows of facts ----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// mma.sync of sm_80 and later. Where elements lie: PTX ISA, "Matrix Fragments
// for mma.m16n8k8, m16n8k16, m16n8k32". There a lane's group is its number / 4
// and its place in the group the number % 4.
//
//===----------------------------------------------------------------------===//
#include "targets/nvidia/NVIDIA.h"

using namespace isthmus;

namespace {
constexpr UnitType f16 = UnitType::f16, bf16 = UnitType::bf16,
                   tf32 = UnitType::tf32, f32 = UnitType::f32,
                   s8 = UnitType::s8, u8 = UnitType::u8, s32 = UnitType::s32;

// 16 x 8 sums, the same for all: row group (+8), columns 2 * place (+1).
constexpr int64_t cRegisters[] = {1, 8 * 8}, cLanes[] = {2, 4, 8, 16, 32};
// 16 bits. A, 16 x 16: row group (+8), columns 2 * place (+1, +8); B, 16 x 8:
// rows 2 * place (+1, +8), column group.
constexpr int64_t aRegisters16[] = {1, 8 * 16, 8},
                  aLanes16[] = {2, 4, 16, 32, 64}, bRegisters16[] = {8, 8 * 8},
                  bLanes16[] = {2 * 8, 4 * 8, 1, 2, 4};
// 8 bits. A, 16 x 32: row group (+8), columns 4 * place (+1, +2, +16); B, 32 x
// 8: rows 4 * place (+1, +2, +16), column group.
constexpr int64_t aRegisters8[] = {1, 2, 8 * 32, 16},
                  aLanes8[] = {4, 8, 32, 64, 128},
                  bRegisters8[] = {8, 2 * 8, 16 * 8},
                  bLanes8[] = {4 * 8, 8 * 8, 1, 2, 4};
// 32 bits. A, 16 x 8: row group (+8), column place (+4); B, 8 x 8: row place
// (+4), column group.
constexpr int64_t aRegisters32[] = {8 * 8, 4}, aLanes32[] = {1, 2, 8, 16, 32},
                  bRegisters32[] = {4 * 8}, bLanes32[] = {8, 2 * 8, 1, 2, 4};

constexpr Fragment sums = {cRegisters, cLanes}, a16 = {aRegisters16, aLanes16},
                   b16 = {bRegisters16, bLanes16}, a8 = {aRegisters8, aLanes8},
                   b8 = {bRegisters8, bLanes8}, a32 = {aRegisters32, aLanes32},
                   b32 = {bRegisters32, bLanes32};
} // namespace

/// Operands one by one.
static constexpr UnitCall call(const char *name, UnitWord word = UnitWord::i32,
                               const char *convert = nullptr) {
  return {name, word, /*apart=*/true, /*signs=*/false, /*zeros=*/{}, convert};
}

static const MatrixUnit units[] = {
    {"m16n8k16.f32.f16", 16, 8, 16, f16, f16, f32, a16, b16, sums,
     call("llvm.nvvm.mma.m16n8k16.row.col.f32.f32", UnitWord::half2)},
    {"m16n8k16.f32.bf16", 16, 8, 16, bf16, bf16, f32, a16, b16, sums,
     call("llvm.nvvm.mma.m16n8k16.row.col.bf16")},
    {"m16n8k32.s32.s8", 16, 8, 32, s8, s8, s32, a8, b8, sums,
     call("llvm.nvvm.mma.m16n8k32.row.col.s8")},
    {"m16n8k32.s32.u8", 16, 8, 32, u8, u8, s32, a8, b8, sums,
     call("llvm.nvvm.mma.m16n8k32.row.col.u8")},
    {"m16n8k32.s32.u8.s8", 16, 8, 32, u8, s8, s32, a8, b8, sums,
     call("llvm.nvvm.mma.m16n8k32.row.col.u8.s8")},
    {"m16n8k32.s32.s8.u8", 16, 8, 32, s8, u8, s32, a8, b8, sums,
     call("llvm.nvvm.mma.m16n8k32.row.col.s8.u8")},
    {"m16n8k8.f32.tf32", 16, 8, 8, tf32, tf32, f32, a32, b32, sums,
     call("llvm.nvvm.mma.m16n8k8.row.col.tf32", UnitWord::i32,
          "llvm.nvvm.f2tf32.rna")},
};

llvm::ArrayRef<MatrixUnit> nvidia::matrixUnits() { return units; }
