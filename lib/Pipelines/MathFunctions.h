//===- MathFunctions.h - functions of f32 and f64 as arithmetic -*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_MATHFUNCTIONS_H
#define ISTHMUS_LIB_PIPELINES_MATHFUNCTIONS_H

#include "mlir/IR/PatternMatch.h"

namespace isthmus {

/// Whether populateMathFunctions rewrites the op `name` in f64 or in f32. Those
/// that it does not in f32 have upstream's polynomials, which are as good there
/// and quicker.
bool hasMathFunction(llvm::StringRef name, bool f64);

/// Rewrites math ops on f32 and f64, and vectors of them, to arithmetic,
/// math.fma, sqrt, absf and copysign. How far off they are: docs/numerics.md.
void populateMathFunctions(mlir::RewritePatternSet &patterns);

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_MATHFUNCTIONS_H
