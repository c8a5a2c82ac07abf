//===- MatrixUnit.h - matrix units as rows of facts ------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TARGETS_MATRIXUNIT_H
#define ISTHMUS_TARGETS_MATRIXUNIT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace isthmus {

/// What an operand of a matrix unit is made of. tf32 lies in memory as f32.
enum class UnitType { f16, bf16, tf32, f32, s8, u8, s16, s32 };

/// Which elements of an operand each lane of a subgroup holds, as in
/// #kernel.layout: bit i of a register's (a lane's) number moves the element by
/// registers[i] (lanes[i]) in the row-major order of the operand's own shape;
/// by 0, where the lanes hold the same.
struct Fragment {
  llvm::ArrayRef<int64_t> registers, lanes;
};

/// What an intrinsic takes of a and of b: bits as they lie, in words.
enum class UnitWord {
  element, // the operand's own type
  half2,   // pairs of f16
  i16,
  i32,
  i64,
};

/// Where an intrinsic takes c.
enum class UnitSum {
  last,  // a, b, c
  first, // c, a, b
  apart, // not at all: what it gives is added
};

/// How a unit is called, as an LLVM intrinsic of a, b and c.
struct UnitCall {
  const char *intrinsic; // null: plain arithmetic
  UnitWord word;
  /// Words of a and b and elements of c are operands one by one, and d is a
  /// struct; else each is one vector, or a scalar where it has one word.
  bool apart = false;
  /// An i1 before a and before b says whether it is signed.
  bool signs = false;
  /// Integers of so many bits follow c, all 0: modes that we leave alone.
  llvm::ArrayRef<unsigned> zeros = {};
  /// Rounds an f32 to a word; null where bits are taken as they are.
  const char *convert = nullptr;
  /// LLVM takes the instruction for one that lanes may run apart, and would
  /// move it to where some of them are off.
  bool pinned = false;
  UnitSum sum = UnitSum::last;
};

/// d[m, n] = sum over k of a[m, k] * b[k, n] + c[m, n] by the lanes of one
/// subgroup together; d lies as c does.
struct MatrixUnit {
  const char *name; // "m16n8k16.f32.f16"
  int64_t m, n, k;
  UnitType a, b, sum;
  Fragment fragmentA, fragmentB, fragmentC;
  UnitCall call;
};

/// The row of that name, or null.
inline const MatrixUnit *findUnit(llvm::ArrayRef<MatrixUnit> units,
                                  llvm::StringRef name) {
  for (const MatrixUnit &unit : units)
    if (name == unit.name)
      return &unit;
  return nullptr;
}

} // namespace isthmus

#endif // ISTHMUS_TARGETS_MATRIXUNIT_H
