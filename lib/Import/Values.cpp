//===- Values.cpp - what the importer knows of one value ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Importer.h"

#include "dialects/Graph/Graph.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

std::optional<int64_t> ImportValue::count() const {
  int64_t count = 1;
  for (int64_t i = 0; i < rank(); ++i) {
    auto d = dim(i);
    if (!d || llvm::MulOverflow(count, *d, count))
      return std::nullopt;
  }
  return count;
}

std::string isthmus::tooLarge(DType dtype, ArrayRef<OpFoldResult> sizes) {
  constexpr int64_t kMaxTensorBytes = int64_t(1) << 62;
  int64_t bytes = std::max<int64_t>(byteSize(dtype), 1);
  std::string shape;
  bool bad = false;
  for (OpFoldResult size : sizes) {
    auto d = IndexMath::known(size);
    shape += (shape.empty() ? "" : ", ") + (d ? std::to_string(*d) : "?");
    // A size that has wrapped around is negative.
    bad |= d && (*d < 0 ||
                 llvm::MulOverflow(bytes, std::max<int64_t>(*d, 1), bytes) ||
                 bytes > kMaxTensorBytes);
  }
  if (!bad)
    return "";
  return "has the shape [" + shape + "], which is larger than an address space";
}

ImportValue *Importer::newValue(DType dtype, Sizes sizes, Value tensor) {
  ImportValue &v = arena.emplace_back();
  v.dtype = dtype;
  v.tensor = tensor;
  v.home = b.getInsertionBlock();
  for (OpFoldResult size : sizes)
    v.sizes.push_back(isa<Value>(size) ? idx.fold(cast<Value>(size)) : size);
  return &v;
}

void Importer::markSize(OpFoldResult size) {
  if (auto v = dyn_cast<Value>(size))
    knownSizes.insert(v);
}

bool Importer::madeOfSizes(OpFoldResult v) {
  auto value = dyn_cast<Value>(v);
  if (!value || knownSizes.contains(value))
    return true;
  Operation *op = value.getDefiningOp();
  bool made =
      op && isa<arith::ArithDialect>(op->getDialect()) &&
      llvm::all_of(op->getOperands(), [&](Value x) { return madeOfSizes(x); });
  if (made)
    knownSizes.insert(value);
  return made;
}

/// `e` modulo what `dtype` holds, as a kernel's would be. At 32 bits what is
/// made of sizes alone stays: it is to be recognized as a size.
OpFoldResult Importer::wrapped(OpFoldResult e, DType dtype) {
  unsigned width = elementType(b.getContext(), dtype).getIntOrFloatBitWidth();
  if (auto c = IndexMath::known(e)) {
    APInt bits = APInt(64, uint64_t(*c)).trunc(width);
    return idx.constant(isUnsigned(dtype) ? bits.getZExtValue()
                                          : bits.getSExtValue());
  }
  std::pair<Value, DType> key(cast<Value>(e), dtype);
  if (width == 1 || width == 64 || inRange.contains(key) ||
      (width == 32 && madeOfSizes(e)))
    return e;
  int64_t count = int64_t(1) << width;
  e = idx.mod(e, idx.constant(count));
  if (!isUnsigned(dtype))
    e = idx.select(
        idx.cmp(arith::CmpIPredicate::sge, e, idx.constant(count / 2)),
        idx.sub(e, idx.constant(count)), e);
  markInRange(e, dtype);
  return e;
}

void Importer::markInRange(OpFoldResult e, DType dtype) {
  if (auto v = dyn_cast<Value>(e))
    inRange.insert({v, dtype});
}

ImportValue *Importer::newScalars(DType dtype, Sizes elements, int64_t rank) {
  Sizes sizes;
  if (rank == 1)
    sizes.push_back(idx.constant(elements.size()));
  ImportValue *v = newValue(dtype, sizes);
  for (OpFoldResult &e : elements)
    e = wrapped(e, dtype);
  v->scalars = std::move(elements);
  return v;
}

ImportValue *Importer::newConstant(const onnx::TensorProto &proto,
                                   StringRef name) {
  DType dtype = DType(proto.data_type());
  auto bad = [&](StringRef code, const Twine &reason) {
    modelError(code, "tensor '" + name + "' " + reason);
    return nullptr;
  };
  if (!elementType(b.getContext(), dtype))
    return bad("IST-I0103",
               "has the unsupported element type " + dtypeName(dtype));
  auto dims = Model::dims(proto);
  if (!dims)
    return bad("IST-I0005", toString(dims.takeError()));
  auto where = model.locate(proto);
  if (!where)
    return bad("IST-I0004", toString(where.takeError()));
  Sizes sizes;
  for (int64_t d : *dims)
    sizes.push_back(idx.constant(d));
  ImportValue *v = newValue(dtype, sizes);
  v->name = name.str();
  v->proto = &proto;
  v->home = nullptr; // valid everywhere
  int64_t count = *v->count();
  if (!*where || count <= kMaxScalars) {
    v->constant = decode(proto, tensorType(dtype, sizes));
    if (!v->constant)
      return nullptr;
  }
  if (!isFloat(dtype) && dims->size() <= 1 && count <= kMaxScalars) {
    Sizes scalars;
    for (const APInt &e : v->constant.getValues<APInt>())
      scalars.push_back(idx.constant(isUnsigned(dtype) ? e.getZExtValue()
                                                       : e.getSExtValue()));
    v->scalars = scalars;
  }
  return v;
}

DenseElementsAttr Importer::decode(const onnx::TensorProto &proto,
                                   RankedTensorType type) {
  auto bytes = model.bytes(proto);
  if (!bytes) {
    modelError("IST-I0005",
               "tensor '" + proto.name() + "' " + toString(bytes.takeError()));
    return {};
  }
  if (type.getElementType().isInteger(1)) {
    SmallVector<bool> bools;
    for (char c : *bytes)
      bools.push_back(c != 0);
    return DenseElementsAttr::get(type, bools);
  }
  if (bytes->empty())
    return DenseElementsAttr::get(type, ArrayRef<Attribute>());
  return DenseElementsAttr::getFromRawBuffer(type, *bytes);
}

RankedTensorType Importer::tensorType(DType dtype,
                                      ArrayRef<OpFoldResult> sizes) {
  SmallVector<int64_t> shape;
  for (OpFoldResult size : sizes)
    shape.push_back(IndexMath::known(size).value_or(ShapedType::kDynamic));
  return RankedTensorType::get(shape, elementType(b.getContext(), dtype));
}

DenseElementsAttr Importer::constant(ImportValue &v) {
  if (v.constant)
    return v.constant;
  RankedTensorType type = tensorType(v.dtype, v.sizes);
  if (v.proto)
    return v.constant = decode(*v.proto, type);
  if (!v.scalars)
    return {};
  SmallVector<APInt> elements;
  unsigned width = type.getElementTypeBitWidth();
  for (OpFoldResult s : *v.scalars) {
    auto c = IndexMath::known(s);
    if (!c)
      return {};
    elements.push_back(APInt(64, uint64_t(*c)).trunc(width));
  }
  return v.constant = DenseElementsAttr::get(type, elements);
}

/// A tensor of integers that the host knows but that are not constant.
static Value fromScalars(OpBuilder &b, Location loc, RankedTensorType type,
                         ArrayRef<Value> scalars) {
  auto op = graph::ParallelOp::create(
      b, loc, TypeRange{type}, b.getStringAttr("FromScalars"), ValueRange{},
      ValueRange{}, scalars, ValueRange{}, DenseI64ArrayAttr());
  Block *body = b.createBlock(&op.getBody());
  for (size_t i = 0; i < scalars.size(); ++i)
    body->addArgument(b.getIndexType(), loc);
  Type element = type.getElementType();
  Value out = body->addArgument(MemRefType::get(type.getShape(), element), loc);
  for (size_t i = 0; i < scalars.size(); ++i) {
    Value v = body->getArgument(i);
    if (element.isInteger(1)) {
      Value zero = arith::ConstantIndexOp::create(b, loc, 0);
      v = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, v, zero);
    } else {
      v = arith::IndexCastOp::create(b, loc, element, v);
    }
    SmallVector<Value> at;
    if (type.getRank() == 1)
      at.push_back(arith::ConstantIndexOp::create(b, loc, i));
    memref::StoreOp::create(b, loc, v, out, at);
  }
  graph::YieldOp::create(b, loc);
  b.setInsertionPointAfter(op);
  return op.getResult(0);
}

Value Importer::tensor(ImportValue &v) {
  if (v.tensor)
    return v.tensor;
  RankedTensorType type = tensorType(v.dtype, v.sizes);
  Location where =
      v.name.empty() ? loc : Location(NameLoc::get(b.getStringAttr(v.name)));
  auto range = std::optional<FileRange>();
  if (v.proto && *v.count() > kMaxInlineConstant) {
    auto found = model.locate(*v.proto);
    if (found)
      range = *found;
    else
      consumeError(found.takeError()); // newConstant has checked it
  }
  DenseElementsAttr data = range ? DenseElementsAttr() : constant(v);
  if (range || data) {
    OpBuilder::InsertionGuard guard(b);
    if (mainFunc)
      b.setInsertionPointToStart(&mainFunc->getRegion(0).front());
    if (range)
      v.tensor = graph::WeightOp::create(
          b, where, type, b.getStringAttr(v.name), b.getStringAttr(range->file),
          b.getI64IntegerAttr(range->offset),
          b.getI64IntegerAttr(range->bytes));
    else
      v.tensor = arith::ConstantOp::create(b, where, data);
    return v.tensor;
  }
  if (v.scalars) {
    Value t = fromScalars(b, loc, type, idx.values(*v.scalars));
    if (v.home == b.getInsertionBlock())
      v.tensor = t;
    return t;
  }
  // Nothing is known of it: only after a diagnostic.
  return tensor::EmptyOp::create(b, loc, v.sizes, type.getElementType());
}
