//===- ProgramBuffers.cpp - tensors of the host ---------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/FunctionWriter.h"

#include "dialects/Graph/Graph.h"
#include "lib/Pipelines/InPlace.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace isthmus;

Value isthmus::rootOf(Value v) {
  while (auto reshape = v.getDefiningOp<graph::ReshapeOp>())
    v = reshape.getSource();
  return v;
}

uint32_t FunctionWriter::buffer(Value v) {
  v = rootOf(v);
  auto it = buffers.find(v);
  if (it != buffers.end())
    return it->second;
  // Weights and constants, on first use.
  uint32_t b = fn->buffer_regs++;
  Operation *op = v.getDefiningOp();
  if (auto derived = dyn_cast<hal::DerivedOp>(op))
    emitFirst(I::derived, b, derived.getIndex());
  else
    emitFirst(I::weight, b, tables.weights.add(op));
  return buffers[v] = b;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

SmallVector<OpFoldResult> FunctionWriter::sizesOf(Value v) {
  auto type = cast<RankedTensorType>(v.getType());
  if (auto insert = v.getDefiningOp<tensor::InsertSliceOp>())
    return sizesOf(insert.getDest());
  if (auto op = v.getDefiningOp<hal::LaunchOp>()) {
    ValueRange dynamic = op.getSizesOf(cast<OpResult>(v).getResultNumber());
    SmallVector<OpFoldResult> sizes;
    Builder b(v.getContext());
    unsigned next = 0;
    for (int64_t d : type.getShape())
      sizes.push_back(ShapedType::isDynamic(d)
                          ? OpFoldResult(dynamic[next++])
                          : OpFoldResult(b.getIndexAttr(d)));
    return sizes;
  }
  if (auto sizes = graph::getSizes(v); succeeded(sizes))
    return *sizes;
  return getAsIndexOpFoldResult(v.getContext(), type.getShape()); // static
}

uint32_t FunctionWriter::size(OpFoldResult v) {
  if (auto attr = dyn_cast<Attribute>(v))
    return constant(cast<IntegerAttr>(attr).getInt());
  return reg(cast<Value>(v));
}

uint32_t FunctionWriter::product(int64_t fixed, ArrayRef<OpFoldResult> sizes) {
  SmallVector<uint32_t> dynamic;
  for (OpFoldResult size : sizes) {
    if (auto attr = dyn_cast<Attribute>(size))
      fixed *= cast<IntegerAttr>(attr).getInt();
    else
      dynamic.push_back(reg(cast<Value>(size)));
  }
  uint32_t r = constant(fixed);
  for (uint32_t d : dynamic)
    r = binary(I::mul, r, d);
  return r;
}

uint32_t FunctionWriter::byteSize(Value v) {
  auto type = cast<RankedTensorType>(v.getType());
  return product(elementBytes(type.getElementType()), sizesOf(v));
}

/// Bytes of one row of dim 0.
uint32_t FunctionWriter::rowBytes(Value v) {
  auto type = cast<RankedTensorType>(v.getType());
  return product(elementBytes(type.getElementType()),
                 ArrayRef(sizesOf(v)).drop_front());
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Memory of this call, in a new buffer register.
uint32_t FunctionWriter::transient(uint32_t size) {
  uint32_t b = fn->buffer_regs++;
  auto t = std::make_unique<fb::TransientT>();
  t->size = size;
  t->pool = afterRead.contains(size);
  emit(I::alloc, b, fn->transients.size());
  fn->transients.push_back(std::move(t));
  return b;
}

LogicalResult FunctionWriter::launch(hal::LaunchOp op) {
  kernel::FuncOp k = tables.kernelOps.lookup(op.getKernel());
  if (!k)
    return op.emitError("launches an unknown kernel");
  auto out = std::make_unique<fb::LaunchT>();
  out->kernel = tables.kernels[op.getKernel()];
  for (Value v : op.getScalars())
    out->scalars.push_back(reg(v));
  for (Value v : op.getInputs())
    out->buffers.push_back(buffer(v));
  out->grid = expr(k.getGrid()->getResult(0), out->scalars);
  for (OpResult v : op->getOpResults()) {
    int64_t start = op.getStart(v.getResultNumber());
    if (start < 0) {
      buffers[v] = result(v);
      out->buffers.push_back(buffers[v]);
      continue;
    }
    OpOperand &from = op.getInputsMutable()[start];
    if (!isOwned(from)) {
      uint32_t b = result(v);
      emit(I::copy, b, out->buffers[start], byteSize(v));
      out->buffers[start] = b;
    }
    buffers[v] = out->buffers[start];
  }
  for (const std::string &node : nodesOf(op.getLoc()))
    out->nodes.push_back(tables.addString(node));
  for (const std::string &error : tables.factsOf(op.getKernel()).errors)
    out->errors.push_back(tables.addString(error));
  emit(I::launch, 0, fn->launches.size());
  fn->launches.push_back(std::move(out));
  return success();
}

void FunctionWriter::read(graph::ReadOp op) {
  uint32_t b = buffer(op.getSource()), at = reg(op.getIndex());
  uint32_t r = fn->int_regs++;
  auto type = cast<RankedTensorType>(op.getSource().getType());
  emit(I::read, r, b, at, uint32_t(dtypeOf(type.getElementType())));
  afterRead.insert(r);
  regs[op.getResult()] = r;
  if (loops)
    fn->host_waits = -1;
  else if (fn->host_waits >= 0)
    ++fn->host_waits;
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

void FunctionWriter::extract(tensor::ExtractSliceOp op) {
  uint32_t from = buffer(op.getSource());
  uint32_t begin =
      binary(I::mul, size(op.getMixedOffsets()[0]), rowBytes(op.getSource()));
  uint32_t bytes = byteSize(op.getResult());
  uint32_t b = fn->buffer_regs++;
  emit(I::view, b, from, begin, bytes);
  buffers[op.getResult()] = b;
}

LogicalResult FunctionWriter::insert(tensor::InsertSliceOp op) {
  uint32_t to = buffer(op.getDest());
  if (!isOwned(op.getDestMutable())) {
    uint32_t bytes = byteSize(op.getDest()), copy = transient(bytes);
    emit(I::copy, copy, to, bytes);
    to = copy;
  }
  uint32_t begin =
      binary(I::mul, size(op.getMixedOffsets()[0]), rowBytes(op.getDest()));
  uint32_t bytes = byteSize(op.getSource());
  uint32_t rows = fn->buffer_regs++;
  emit(I::view, rows, to, begin, bytes);
  emit(I::copy, rows, buffer(op.getSource()), bytes);
  buffers[op.getResult()] = to;
  return success();
}
