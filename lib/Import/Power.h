//===- Power.h - powers in a body -------------------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_IMPORT_POWER_H
#define ISTHMUS_IMPORT_POWER_H

#include "lib/Import/Emit.h"

#include <optional>

namespace isthmus {

/// The only element of `k` if it is a whole number that few products reach.
std::optional<int64_t> smallWhole(mlir::DenseElementsAttr k);

/// x^p by squaring, for floats.
mlir::Value wholePower(BodyMath &m, mlir::Value x, int64_t p);

/// x^e of floats, for all of them, as C defines it.
mlir::Value floatPower(BodyMath &m, mlir::Value x, mlir::Value e);

/// x^e of i64; what does not fit is cut off. A negative power is 0 unless x is
/// 1 or -1.
mlir::Value integerPower(BodyMath &m, mlir::Value x, mlir::Value e);

} // namespace isthmus

#endif // ISTHMUS_IMPORT_POWER_H
