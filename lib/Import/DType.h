//===- DType.h - ONNX element types -------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_DTYPE_H
#define ISTHMUS_LIB_IMPORT_DTYPE_H

#include "mlir/IR/BuiltinTypes.h"

namespace isthmus {

/// The numbers are those of TensorProto.DataType.
enum class DType : int32_t {
  undefined = 0,
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  string = 8,
  i1 = 9,
  f16 = 10,
  f64 = 11,
  u32 = 12,
  u64 = 13,
  bf16 = 16,
};

/// A name of program.fbs's DType ("f32"), or a name for messages ("string").
llvm::StringRef dtypeName(DType type);

/// Signless for integers, i1 for bool; null when we have no such tensors.
mlir::Type elementType(mlir::MLIRContext *context, DType type);

bool isFloat(DType type);
bool isUnsigned(DType type); // u8 u16 u32 u64 and bool
bool isInteger(DType type);  // signed or unsigned, not bool
/// Bytes of one element in memory, 0 for types without tensors.
int64_t byteSize(DType type);

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_DTYPE_H
