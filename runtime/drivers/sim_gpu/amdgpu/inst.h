//===- inst.h - a decoded AMDGPU instruction --------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Code is decoded once, at load: LLVM's disassembler says what an instruction
// is, in the syntax of "User Guide for AMDGPU Backend"; parse.cpp reads that
// into the records below, and tables of operations say what each one does.
// Semantics are those of AMD's "Instinct MI300 (CDNA3) Instruction Set
// Architecture", "RDNA3 ISA" and "RDNA4 ISA".
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_AMDGPU_INST_H
#define ISTHMUS_SIM_GPU_AMDGPU_INST_H

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace isthmus::simgpu::amdgpu {

struct Wave;
struct Inst;

enum class Generation : uint8_t { gfx9, gfx11, gfx12 };

/// What an operation takes an operand for. It says how many registers there
/// are and what a constant stands for.
enum class Type : uint8_t {
  none,
  b16,
  f16,
  b32,
  f32,
  b64,
  i64, // 32-bit literals are sign-extended
  f64,
  pk16,  // two 16-bit integers
  pkf16, // two halves
  pkf32, // two f32 in two registers
  mask,  // a bit per lane: one scalar register or two
  b96,
  b128,
  b256,
  b512,
  any, // as many registers as the text names
};

/// Scalar registers, special ones too, in one file of our own numbering.
enum Scalar : uint16_t {
  kVcc = 106,
  kTtmp = 108,
  kM0 = 124,
  kNull = 125,
  kExec = 126,
  kScc = 128,
  kSharedBase = 130,
  kSharedLimit = 132,
  kPrivateBase = 134,
  kPrivateLimit = 136,
  kVccz = 138,
  kExecz = 139,
  kFlatScratch = 140,
  kXnackMask = 142,
  kScalars = 144,
};

struct Operand {
  enum Kind : uint8_t { none, vector, scalar, constant, off } kind = none;
  uint8_t count = 0;  // registers
  uint16_t index = 0; // of the first one
  bool neg = false, abs = false, sext = false;
  bool negHigh = false; // neg_hi
  bool half = false;    // op_sel, or .h: takes or writes the high half
  bool halfHigh = true; // op_sel_hi
  bool accumulator = false, isFloat = false, isHex = false;
  uint8_t select = 6; // SDWA: byte 0-3, word 4-5, all 6
  uint64_t bits = 0;  // of a constant, for its operation's type
  double number = 0;
};

enum class Dpp : uint8_t {
  none,
  quadPerm,
  rowShl,
  rowShr,
  rowRor,
  rowMirror,
  rowHalfMirror,
  rowShare,
  rowXmask,
  rowBcast,
  rowNewBcast,
  waveShl,
  waveShr,
  waveRol,
  waveRor,
  dpp8
};

enum class Class : uint8_t { arithmetic, memory, control, matrix, barrier };

/// How poison goes through an operation; see poison.cpp.
enum class Flow : uint8_t {
  any, // one poisoned operand spoils the result
  copy,
  bitAnd,
  bitAndNot,
  bitOr,
  bitXor,
  andOr,
  upward,      // sums and low products: from the lowest poisoned bit on
  field,       // v_bfe
  signedField, // v_bfe_i32
  byte0,       // v_cvt_f32_ubyte0, and so on
  byte1,
  byte2,
  byte3,
  bitTest,     // s_bitcmp
  scalarField, // s_bfe_u32: offset and width in one operand
  permute,
  funnel, // v_alignbit
  shiftOr,
  bitSelect, // v_bfi
  shiftLeft,
  shiftLeftRev,
  shiftRight,
  shiftRightRev,
  arithmeticRight,
  arithmeticRightRev,
  choose,    // v_cndmask, s_cselect
  compare,   // a bit per lane
  firstLane, // v_readfirstlane, v_readlane
  writeLane,
  none, // keeps its own account, or has none
};

using Handler = void (*)(Wave &, const Inst &);

struct Shape {
  uint8_t results = 0, sources = 0;
  Type result[2] = {};
  Type source[5] = {};
  bool tied = false; // the first result is also the last source
  bool readsVcc = false, writesVcc = false, readsScc = false, writesScc = false;
};

struct Operation {
  Shape shape;
  Handler run = nullptr;
  Class kind = Class::arithmetic;
  Flow flow = Flow::any;
};

struct RegisterUse {
  bool vector, write;
  uint16_t first, count;
};

struct Inst {
  Handler run = nullptr;
  Operand d[2], s[5];
  uint8_t results = 0, sources = 0;
  Type resultType[2] = {}, sourceType[5] = {};
  Class kind = Class::arithmetic;
  Flow flow = Flow::any;
  bool valu = false;
  bool special = false; // sources need more than their registers' bits
  bool clamp = false, keepHigh = false;
  bool glc = false; // an atomic returns what was there
  bool offen = false, idxen = false, lds = false, gds = false;
  bool readsScc = false, writesScc = false;
  uint8_t omod = 0; // 1: times 2, 2: times 4, 3: half
  Dpp dpp = Dpp::none;
  uint8_t dppLanes[8] = {};
  uint8_t dppValue = 0, rowMask = 15, bankMask = 15;
  bool boundCtrl = false, fetchInactive = false;
  bool sdwa = false, dstPreserve = false, dstSext = false;
  uint8_t dstSelect = 6;
  int32_t offset = 0, offset1 = 0;
  // A lane's access to memory.
  uint8_t bytes = 0, atomic = 0;
  bool signExtend = false, d16 = false, high = false;
  uint32_t target = 0; // of a branch: index of an instruction
  // Counts to wait for, in the order of Counter; 255: any.
  uint8_t wait[4] = {255, 255, 255, 255};
  Inst *second = nullptr; // VOPD's other half, run with the same sources
  bool secondReadsFirst = false;
  std::vector<RegisterUse> uses;
  uint64_t address = 0; // in the code object
  std::string text;
};

using OperationTable = std::map<std::string, Operation, std::less<>>;

// One per file of operations.
void addScalar(OperationTable &);
void addControl(OperationTable &);
void addVector32(OperationTable &);
void addVector64(OperationTable &);
void addVector16(OperationTable &);
void addVectorConvert(OperationTable &);
void addVectorCompare(OperationTable &);
void addVectorLanes(OperationTable &);
void addPacked(OperationTable &);
void addMatrix(OperationTable &);

/// Loads, stores and atomics are named by parts; null: not one that we know.
bool findMemory(std::string_view name, Inst &inst, Operation &operation);
bool findLds(std::string_view name, Inst &inst, Operation &operation);
bool findScalarMemory(std::string_view name, Inst &inst, Operation &operation);

} // namespace isthmus::simgpu::amdgpu

#endif // ISTHMUS_SIM_GPU_AMDGPU_INST_H
