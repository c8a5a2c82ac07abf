//===- WeightTable.cpp - the weights of an artifact -----------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/FunctionWriter.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace isthmus;

fb::DType isthmus::dtypeOf(Type type) {
  if (type.isF32())
    return fb::DType::f32;
  if (type.isF64())
    return fb::DType::f64;
  if (type.isF16())
    return fb::DType::f16;
  if (type.isBF16())
    return fb::DType::bf16;
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return fb::DType::i1;
  case 8:
    return fb::DType::i8;
  case 16:
    return fb::DType::i16;
  case 32:
    return fb::DType::i32;
  default:
    return fb::DType::i64;
  }
}

fb::DType isthmus::dtypeNamed(StringRef name, Type type) {
  for (fb::DType d : fb::EnumValuesDType())
    if (name == fb::EnumNameDType(d))
      return d;
  return dtypeOf(type);
}

int64_t isthmus::elementBytes(Type type) {
  return (type.getIntOrFloatBitWidth() + 7) / 8;
}

uint32_t WeightTable::add(Operation *op) {
  Entry entry;
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  entry.dtype = dtypeOf(type.getElementType());
  entry.dims.assign(type.getShape().begin(), type.getShape().end());
  std::string key;
  if (auto weight = dyn_cast<graph::WeightOp>(op)) {
    entry.name = weight.getName().str();
    entry.file = weight.getFile().str();
    entry.offset = weight.getOffset();
    entry.bytes = weight.getBytes();
    key = "f" + entry.file + ":" + std::to_string(entry.offset) + ":" +
          std::to_string(entry.bytes);
  } else {
    auto constant =
        cast<DenseElementsAttr>(cast<arith::ConstantOp>(op).getValue());
    int64_t each = elementBytes(type.getElementType());
    entry.name = "constant" + std::to_string(list.size());
    bool isBool = type.getElementType().isInteger(1);
    ArrayRef<char> raw = constant.getRawData();
    if (isBool) {
      for (bool v : constant.getValues<bool>())
        entry.data.push_back(v);
    } else if (constant.isSplat()) {
      for (int64_t i = 0; i < type.getNumElements(); ++i)
        entry.data.insert(entry.data.end(), raw.begin(), raw.begin() + each);
    } else {
      entry.data.assign(raw.begin(), raw.end());
    }
    entry.bytes = entry.data.size();
    key = "d" + std::string(entry.data.begin(), entry.data.end());
  }
  for (int64_t d : entry.dims)
    key += "x" + std::to_string(d);
  key += fb::EnumNameDType(entry.dtype);
  auto [it, fresh] = byKey.try_emplace(key, list.size());
  if (fresh)
    list.push_back(std::move(entry));
  return it->second;
}
