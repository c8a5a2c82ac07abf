//===- ExpandMath.h - math without a math library --------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_EXPANDMATH_H
#define ISTHMUS_LIB_PIPELINES_EXPANDMATH_H

#include "mlir/Pass/Pass.h"

#include <memory>

namespace isthmus {

/// Rewrites the math ops (and arith.remf) that hardware lacks to arithmetic:
/// polynomials in f32, the narrower floats through f32. Leaves fma, floor,
/// ceil, trunc, roundeven, sqrt, fabs and copysign, which every target has.
/// What may be a fused multiply-add becomes one where the target has it.
///
/// `fma`: the target multiplies and adds in one step; else math.fma and
/// vector.fma round twice. `half`: it converts between f16 and f32; else that
/// is integer arithmetic.
struct ExpandMathOptions {
  bool fma = true;
  bool half = true;
};
std::unique_ptr<mlir::Pass>
createExpandMathPass(ExpandMathOptions options = {});

/// Converts to and from bf16 only by way of f32, which arith-expand then turns
/// into integer arithmetic. After canonicalization, which makes one step of
/// two.
std::unique_ptr<mlir::Pass> createSplitBF16Pass();

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_EXPANDMATH_H
