//===- Units.cpp - AMD's matrix units, as rows of facts -------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Where elements lie, by the ISA documents:
//   MFMA, waves of 64: "CDNA2" (gfx90a), "CDNA3" (gfx942), "CDNA4" (gfx950),
//     chapter 7. Lane l has row (column) l % 16 and, of K, the neighbours from
//     l / 16 * K / 4 on; of the sums rows 4 * (l / 16) + r, column l % 16.
//   WMMA of gfx11, waves of 32: "RDNA3", 7.9. Lane l has row (column) l % 16
//   and
//     all of K, so both halves of a wave hold the same; of the sums rows
//     2 * r + l / 16.
//   WMMA of gfx12: "RDNA4", 7.12. Lane l has half of K, from 8 * (l / 16) on,
//     and rows 8 * (l / 16) + r of the sums.
//
//===----------------------------------------------------------------------===//
#include "targets/amd/AMD.h"

using namespace isthmus;

namespace {
constexpr UnitType f16 = UnitType::f16, bf16 = UnitType::bf16,
                   f32 = UnitType::f32, s8 = UnitType::s8, u8 = UnitType::u8,
                   s32 = UnitType::s32;

// MFMA, 16 x 16 sums.
constexpr int64_t cRegisters[] = {16, 2 * 16}, cLanes[] = {1, 2, 4, 8, 64, 128};
constexpr Fragment sums = {cRegisters, cLanes};

// A, 16 x K, and B, K x 16: 1, 4, 8 and 16 neighbours along K a lane.
constexpr int64_t aLanes4[] = {4, 8, 16, 32, 1, 2},
                  bLanes4[] = {1, 2, 4, 8, 16, 2 * 16};
constexpr Fragment a4 = {{}, aLanes4}, b4 = {{}, bLanes4};

constexpr int64_t aRegisters16[] = {1, 2}, aLanes16[] = {16, 32, 64, 128, 4, 8},
                  bRegisters16[] = {16, 2 * 16},
                  bLanes16[] = {1, 2, 4, 8, 4 * 16, 8 * 16};
constexpr Fragment a16 = {aRegisters16, aLanes16},
                   b16 = {bRegisters16, bLanes16};

constexpr int64_t aRegisters32[] = {1, 2, 4},
                  aLanes32[] = {32, 64, 128, 256, 8, 16},
                  bRegisters32[] = {16, 2 * 16, 4 * 16},
                  bLanes32[] = {1, 2, 4, 8, 8 * 16, 16 * 16};
constexpr Fragment a32 = {aRegisters32, aLanes32},
                   b32 = {bRegisters32, bLanes32};

constexpr int64_t aRegisters64[] = {1, 2, 4, 8},
                  aLanes64[] = {64, 128, 256, 512, 16, 32},
                  bRegisters64[] = {16, 2 * 16, 4 * 16, 8 * 16},
                  bLanes64[] = {1, 2, 4, 8, 16 * 16, 32 * 16};
constexpr Fragment a64 = {aRegisters64, aLanes64},
                   b64 = {bRegisters64, bLanes64};

// WMMA of gfx11: A 16 x 16, B 16 x 16, sums 16 x 16.
constexpr int64_t aRegisters11[] = {1, 2, 4, 8},
                  aLanes11[] = {16, 32, 64, 128, 0},
                  bRegisters11[] = {16, 2 * 16, 4 * 16, 8 * 16},
                  bLanes11[] = {1, 2, 4, 8, 0},
                  cRegisters11[] = {2 * 16, 4 * 16, 8 * 16},
                  cLanes11[] = {1, 2, 4, 8, 16};
constexpr Fragment a11 = {aRegisters11, aLanes11},
                   b11 = {bRegisters11, bLanes11},
                   sums11 = {cRegisters11, cLanes11};

// WMMA of gfx12.
constexpr int64_t aRegisters12[] = {1, 2, 4}, aLanes12[] = {16, 32, 64, 128, 8},
                  bRegisters12[] = {16, 2 * 16, 4 * 16},
                  bLanes12[] = {1, 2, 4, 8, 8 * 16};
constexpr Fragment a12 = {aRegisters12, aLanes12},
                   b12 = {bRegisters12, bLanes12},
                   sums12 = {bRegisters12, bLanes12};

// cbsz, abid and blgp: nothing is broadcast or negated.
constexpr unsigned mfmaModes[] = {32, 32, 32};
// No clamp: i32 sums wrap.
constexpr unsigned iu8Modes[] = {1};

constexpr UnitCall mfma(const char *name, UnitWord word = UnitWord::element) {
  return {name, word, /*apart=*/false, /*signs=*/false, mfmaModes};
}
// LLVM 22.1 does not mark gfx11's instructions as convergent (it does MFMA and
// gfx12's), and sinks them behind branches that lanes take apart.
constexpr UnitCall wmma(const char *name, bool gfx11,
                        UnitWord word = UnitWord::element) {
  return {name,
          word,
          /*apart=*/false,
          /*signs=*/false,
          /*zeros=*/{},
          /*convert=*/nullptr,
          /*pinned=*/gfx11};
}
constexpr UnitCall iu8(bool gfx11) {
  return {"llvm.amdgcn.wmma.i32.16x16x16.iu8",
          UnitWord::i32,
          /*apart=*/false,
          /*signs=*/true,
          iu8Modes,
          /*convert=*/nullptr,
          /*pinned=*/gfx11};
}

constexpr MatrixUnit mfmaF16 = {"m16n16k16.f32.f16",
                                16,
                                16,
                                16,
                                f16,
                                f16,
                                f32,
                                a16,
                                b16,
                                sums,
                                mfma("llvm.amdgcn.mfma.f32.16x16x16f16")};
constexpr MatrixUnit mfmaBF16 = {
    "m16n16k16.f32.bf16",
    16,
    16,
    16,
    bf16,
    bf16,
    f32,
    a16,
    b16,
    sums,
    mfma("llvm.amdgcn.mfma.f32.16x16x16bf16.1k", UnitWord::i16)};
constexpr MatrixUnit mfmaF32 = {"m16n16k4.f32.f32",
                                16,
                                16,
                                4,
                                f32,
                                f32,
                                f32,
                                a4,
                                b4,
                                sums,
                                mfma("llvm.amdgcn.mfma.f32.16x16x4f32")};

/// How the units of a generation lie.
struct Wmma {
  Fragment a, b, c;
  bool gfx11;
};
constexpr Wmma wmma11 = {a11, b11, sums11, true},
               wmma12 = {a12, b12, sums12, false};

constexpr MatrixUnit wmmaF16(Wmma w) {
  return {"m16n16k16.f32.f16",
          16,
          16,
          16,
          f16,
          f16,
          f32,
          w.a,
          w.b,
          w.c,
          wmma("llvm.amdgcn.wmma.f32.16x16x16.f16", w.gfx11)};
}
constexpr MatrixUnit wmmaBF16(Wmma w) {
  return {"m16n16k16.f32.bf16",
          16,
          16,
          16,
          bf16,
          bf16,
          f32,
          w.a,
          w.b,
          w.c,
          wmma("llvm.amdgcn.wmma.f32.16x16x16.bf16", w.gfx11, UnitWord::i16)};
}
constexpr MatrixUnit wmmaI8(const char *name, UnitType a, UnitType b, Wmma w) {
  return {name, 16, 16, 16, a, b, s32, w.a, w.b, w.c, iu8(w.gfx11)};
}
} // namespace

static const MatrixUnit gfx90a[] = {
    mfmaF16,
    mfmaBF16,
    mfmaF32,
    {"m16n16k16.s32.s8", 16, 16, 16, s8, s8, s32, a16, b16, sums,
     mfma("llvm.amdgcn.mfma.i32.16x16x16i8", UnitWord::i32)}};

static const MatrixUnit gfx94[] = {
    mfmaF16,
    mfmaBF16,
    mfmaF32,
    {"m16n16k32.s32.s8", 16, 16, 32, s8, s8, s32, a32, b32, sums,
     mfma("llvm.amdgcn.mfma.i32.16x16x32.i8", UnitWord::i64)}};

static const MatrixUnit gfx950[] = {
    {"m16n16k32.f32.f16", 16, 16, 32, f16, f16, f32, a32, b32, sums,
     mfma("llvm.amdgcn.mfma.f32.16x16x32.f16")},
    {"m16n16k32.f32.bf16", 16, 16, 32, bf16, bf16, f32, a32, b32, sums,
     mfma("llvm.amdgcn.mfma.f32.16x16x32.bf16")},
    mfmaF32,
    {"m16n16k64.s32.s8", 16, 16, 64, s8, s8, s32, a64, b64, sums,
     mfma("llvm.amdgcn.mfma.i32.16x16x64.i8", UnitWord::i32)}};

static const MatrixUnit gfx11[] = {
    wmmaF16(wmma11),
    wmmaBF16(wmma11),
    wmmaI8("m16n16k16.s32.s8", s8, s8, wmma11),
    wmmaI8("m16n16k16.s32.u8", u8, u8, wmma11),
    wmmaI8("m16n16k16.s32.u8.s8", u8, s8, wmma11),
    wmmaI8("m16n16k16.s32.s8.u8", s8, u8, wmma11)};

static const MatrixUnit gfx12[] = {
    wmmaF16(wmma12),
    wmmaBF16(wmma12),
    wmmaI8("m16n16k16.s32.s8", s8, s8, wmma12),
    wmmaI8("m16n16k16.s32.u8", u8, u8, wmma12),
    wmmaI8("m16n16k16.s32.u8.s8", u8, s8, wmma12),
    wmmaI8("m16n16k16.s32.s8.u8", s8, u8, wmma12)};

llvm::ArrayRef<MatrixUnit> amd::gfx90aUnits() { return gfx90a; }
llvm::ArrayRef<MatrixUnit> amd::gfx94Units() { return gfx94; }
llvm::ArrayRef<MatrixUnit> amd::gfx950Units() { return gfx950; }
llvm::ArrayRef<MatrixUnit> amd::gfx11Units() { return gfx11; }
llvm::ArrayRef<MatrixUnit> amd::gfx12Units() { return gfx12; }
