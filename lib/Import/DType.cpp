//===- DType.cpp - ONNX element types ------------------------------ ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/DType.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace isthmus;

namespace {
struct Row {
  DType type;
  const char *name;
  int bits; // 0: no tensors of it
  bool isFloat, isUnsigned;
};
} // namespace

static const Row rows[] = {
    {DType::f32, "f32", 32, true, false},
    {DType::u8, "u8", 8, false, true},
    {DType::i8, "i8", 8, false, false},
    {DType::u16, "u16", 16, false, true},
    {DType::i16, "i16", 16, false, false},
    {DType::i32, "i32", 32, false, false},
    {DType::i64, "i64", 64, false, false},
    {DType::string, "string", 0, false, false},
    {DType::i1, "i1", 1, false, true},
    {DType::f16, "f16", 16, true, false},
    {DType::f64, "f64", 64, true, false},
    {DType::u32, "u32", 32, false, true},
    {DType::u64, "u64", 64, false, true},
    {DType(14), "complex64", 0, false, false},
    {DType(15), "complex128", 0, false, false},
    {DType::bf16, "bf16", 16, true, false},
    {DType(17), "float8e4m3fn", 0, true, false},
    {DType(18), "float8e4m3fnuz", 0, true, false},
    {DType(19), "float8e5m2", 0, true, false},
    {DType(20), "float8e5m2fnuz", 0, true, false},
    {DType(21), "uint4", 0, false, true},
    {DType(22), "int4", 0, false, false},
    {DType(23), "float4e2m1", 0, true, false},
    {DType(24), "float8e8m0", 0, true, false},
    {DType(25), "uint2", 0, false, true},
    {DType(26), "int2", 0, false, false},
};

static const Row *find(DType type) {
  for (const Row &row : rows)
    if (row.type == type)
      return &row;
  return nullptr;
}

StringRef isthmus::dtypeName(DType type) {
  const Row *row = find(type);
  return row ? row->name : "undefined";
}

Type isthmus::elementType(MLIRContext *context, DType type) {
  const Row *row = find(type);
  if (!row || row->bits == 0)
    return {};
  Builder b(context);
  switch (type) {
  case DType::f16:
    return b.getF16Type();
  case DType::bf16:
    return b.getBF16Type();
  case DType::f32:
    return b.getF32Type();
  case DType::f64:
    return b.getF64Type();
  default:
    return b.getIntegerType(row->bits);
  }
}

bool isthmus::isFloat(DType type) {
  const Row *row = find(type);
  return row && row->isFloat && row->bits;
}

bool isthmus::isUnsigned(DType type) {
  const Row *row = find(type);
  return row && row->isUnsigned;
}

bool isthmus::isInteger(DType type) {
  const Row *row = find(type);
  return row && !row->isFloat && row->bits > 1;
}

int64_t isthmus::byteSize(DType type) {
  const Row *row = find(type);
  return row ? (row->bits + 7) / 8 : 0;
}
