//===- ProgramOutputs.cpp - what leaves a host function -------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/FunctionWriter.h"

using namespace mlir;
using namespace isthmus;

/// The input in whose memory the output lives, or null.
BlockArgument FunctionWriter::placeOf(unsigned output) {
  auto name = func.getResultAttrOfType<StringAttr>(output, graph::kInoutAttr);
  if (name)
    for (BlockArgument arg : func.getArguments())
      if (func.getArgAttr(arg.getArgNumber(), graph::kNameAttr) == name)
        return arg;
  return {};
}

/// Whether nothing that comes with `op` or after it reads what an output's
/// memory holds before.
bool FunctionWriter::canBeMadeNow(unsigned output, Operation *op) {
  BlockArgument place = placeOf(output);
  if (!place)
    return true;
  for (Operation *user : place.getUsers()) {
    auto launch = dyn_cast<hal::LaunchOp>(user);
    if (!isa<graph::ReadOp>(user) && !(launch && !launch.getInPlace()))
      return false; // its result may be the same memory
    Operation *before = op->getBlock()->findAncestorOpInBlock(*user);
    if (!before || before == op || !before->isBeforeInBlock(op))
      return false;
  }
  return true;
}

/// Memory for a launch's result. One that leaves the function is made where the
/// caller wants it.
uint32_t FunctionWriter::result(OpResult v) {
  uint32_t size = byteSize(v);
  for (auto [i, returned] : llvm::enumerate(ret.getOperands())) {
    if (rootOf(returned) != v || outputDone[i] ||
        !canBeMadeNow(i, v.getOwner()))
      continue;
    outputDone[i] = true;
    uint32_t b = fn->buffer_regs++;
    emit(isInit ? I::alloc_derived : I::alloc_output, b, i, size);
    return b;
  }
  return transient(size);
}

//===----------------------------------------------------------------------===//
// At the end
//===----------------------------------------------------------------------===//

/// Registers whose buffers may begin inside of another one.
llvm::DenseSet<uint32_t> FunctionWriter::partsOfBuffers() {
  llvm::DenseSet<uint32_t> parts;
  for (bool changed = true; changed;) {
    changed = false;
    for (const fb::Instr &i : fn->code)
      if (i.op() == I::view || (i.op() == I::bmove && parts.contains(i.a())))
        changed |= parts.insert(i.dst()).second;
  }
  return parts;
}

/// The inputs, by register, whose memory it may hold and an output overwrites.
DenseMap<uint32_t, std::set<uint32_t>> FunctionWriter::placesInBuffers() {
  DenseMap<uint32_t, std::set<uint32_t>> places;
  for (unsigned i = 0; i < ret.getNumOperands(); ++i)
    if (BlockArgument place = placeOf(i))
      places[buffers[place]] = {buffers[place]};
  if (places.empty())
    return places;
  for (bool changed = true; changed;) {
    changed = false;
    for (const fb::Instr &i : fn->code) {
      if (i.op() != I::view && i.op() != I::bmove)
        continue;
      std::set<uint32_t> from = places.lookup(i.a());
      std::set<uint32_t> &to = places[i.dst()];
      size_t before = to.size();
      to.insert(from.begin(), from.end());
      changed |= to.size() != before;
    }
  }
  return places;
}

/// Sets the outputs that were not made where they belong. Those that live in
/// inputs come last: nothing may read the inputs any more.
void FunctionWriter::deliver() {
  llvm::DenseSet<uint32_t> parts = partsOfBuffers();
  auto places = placesInBuffers();
  SmallVector<std::pair<unsigned, uint32_t>> last;
  for (auto [i, v] : llvm::enumerate(ret.getOperands())) {
    if (outputDone[i])
      continue;
    uint32_t b = buffer(v);
    bool part = parts.contains(b);
    std::set<uint32_t> held = places.lookup(b);
    if (BlockArgument place = placeOf(i)) {
      held.erase(buffers[place]);
      if (part || !held.empty()) {
        uint32_t bytes = byteSize(v), copy = transient(bytes);
        emit(I::copy, copy, b, bytes);
        b = copy;
      }
      last.push_back({i, b});
    } else if (part || !held.empty()) {
      // The caller gets whole blocks of memory, of its own.
      uint32_t bytes = byteSize(v), whole = fn->buffer_regs++;
      emit(I::alloc_output, whole, i, bytes);
      emit(I::copy, whole, b, bytes);
    } else {
      emit(I::set_output, i, b);
    }
  }
  for (auto [i, b] : last)
    emit(I::set_output, i, b);
}

void FunctionWriter::resultTensors() {
  for (auto [i, v] : llvm::enumerate(ret.getOperands())) {
    auto tensor = std::make_unique<fb::TensorT>();
    auto type = cast<RankedTensorType>(v.getType());
    auto name = func.getResultAttrOfType<StringAttr>(i, graph::kNameAttr);
    auto dtype = func.getResultAttrOfType<StringAttr>(i, graph::kDTypeAttr);
    tensor->name = name ? name.str() : "output" + std::to_string(i);
    tensor->dtype =
        dtypeNamed(dtype ? dtype.getValue() : "", type.getElementType());
    for (OpFoldResult size : sizesOf(v)) {
      auto dim = std::make_unique<fb::DimT>();
      if (auto attr = dyn_cast<Attribute>(size))
        dim->size = cast<IntegerAttr>(attr).getInt();
      else
        dim->reg = reg(cast<Value>(size));
      tensor->dims.push_back(std::move(dim));
    }
    if (BlockArgument place = placeOf(i)) {
      tensor->inout = 0;
      for (BlockArgument arg :
           func.getArguments().take_front(place.getArgNumber()))
        tensor->inout += isa<TensorType>(arg.getType());
    }
    fn->outputs.push_back(std::move(tensor));
  }
}

void FunctionWriter::results() {
  if (!isInit) {
    resultTensors();
    deliver();
    return;
  }
  for (auto [i, v] : llvm::enumerate(ret.getOperands()))
    if (!outputDone[i]) { // a weight passed through, or a result made in place
      uint32_t from = buffer(v), bytes = byteSize(v), b = fn->buffer_regs++;
      emit(I::alloc_derived, b, i, bytes);
      emit(I::copy, b, from, bytes);
    }
  tables.program.derived = ret.getNumOperands();
}
