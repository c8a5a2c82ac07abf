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
enum class UnitType { f16, bf16, tf32, f32, s8, u8, s32 };

/// Which elements of an operand each lane of a subgroup holds, as in
/// #kernel.layout: bit i of a register's (a lane's) number moves the element by
/// registers[i] (lanes[i]) in the row-major order of the operand's own shape.
struct Fragment {
  llvm::ArrayRef<int64_t> registers, lanes;
};

/// d[m, n] = sum over k of a[m, k] * b[k, n] + c[m, n] by the lanes of one
/// subgroup together; d lies as c does.
struct MatrixUnit {
  const char *name; // "m16n8k16.f32.f16"
  int64_t m, n, k;
  UnitType a, b, sum;
  Fragment fragmentA, fragmentB, fragmentC;
  /// The LLVM intrinsic: the words of a, of b and of c one by one.
  const char *intrinsic;
  /// A word of a and b is a pair of f16; else an i32 of their bits.
  bool pairs;
  /// Rounds an f32 to an operand's word; null where a's and b's bits are taken
  /// as they are.
  const char *convert = nullptr;
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
