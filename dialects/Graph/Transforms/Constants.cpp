//===- Constants.cpp - kernels that differ only in numbers ----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Constants.h"
#include "dialects/Graph/Transforms/Fuse.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Matchers.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace isthmus;

/// With fewer, a kernel each costs less than one more operand for all.
static constexpr size_t kFewest = 3;

/// A number in a body that could as well be an input.
static arith::ConstantOp asNumber(Operation *op) {
  auto constant = dyn_cast<arith::ConstantOp>(op);
  return constant && constant.getType().isIntOrFloat() &&
                 !constant.getType().isInteger(1)
             ? constant
             : arith::ConstantOp();
}

static SmallVector<arith::ConstantOp> numbersOf(linalg::GenericOp op) {
  SmallVector<arith::ConstantOp> numbers;
  for (Operation &inner : *op.getBody())
    if (auto number = asNumber(&inner))
      numbers.push_back(number);
  return numbers;
}

/// What `op` is without its numbers: equal texts, equal operations. Empty where
/// a body reads what stands outside of it, unless that is a constant.
static std::string textWithoutNumbers(linalg::GenericOp op) {
  std::string text;
  llvm::raw_string_ostream out(text);
  out << op.getIndexingMaps() << op.getIteratorTypes();
  DenseMap<Value, unsigned> names;
  for (BlockArgument arg : op.getBody()->getArguments()) {
    names.try_emplace(arg, names.size());
    out << arg.getType() << ',';
  }
  for (Type type : op->getOperandTypes())
    out << type << ';';
  for (Operation &inner : *op.getBody()) {
    if (inner.getNumRegions())
      return "";
    out << inner.getName();
    if (!asNumber(&inner))
      out << inner.getAttrDictionary();
    if (Attribute properties = inner.getPropertiesAsAttribute();
        properties && !asNumber(&inner))
      out << properties;
    for (Value v : inner.getOperands()) {
      Attribute constant;
      if (auto it = names.find(v); it != names.end())
        out << '%' << it->second;
      else if (matchPattern(v, m_Constant(&constant)))
        out << constant;
      else
        return "";
    }
    for (Value v : inner.getResults()) {
      names.try_emplace(v, names.size());
      out << ':' << v.getType();
    }
  }
  return text;
}

/// `op` with its numbers of the given places as inputs.
static void liftNumbers(linalg::GenericOp op, ArrayRef<unsigned> places) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  SmallVector<arith::ConstantOp> numbers = numbersOf(op);
  SmallVector<Value> inputs(op.getDpsInputs());
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  Block *body = op.getBody();
  for (unsigned place : places) {
    arith::ConstantOp number = numbers[place];
    Type type = number.getType();
    auto scalar =
        DenseElementsAttr::get(RankedTensorType::get({}, type),
                               ArrayRef<Attribute>(number.getValue()));
    maps.insert(maps.begin() + inputs.size(),
                AffineMap::get(op.getNumLoops(), 0, b.getContext()));
    number.replaceAllUsesWith(
        Value(body->insertArgument(unsigned(inputs.size()), type, loc)));
    number.erase();
    inputs.push_back(arith::ConstantOp::create(b, loc, scalar));
  }
  auto lifted = linalg::GenericOp::create(b, loc, op->getResultTypes(), inputs,
                                          op.getOutputs(), maps,
                                          op.getIteratorTypesArray());
  lifted.getRegion().takeBody(op.getRegion());
  op->replaceAllUsesWith(lifted);
  op.erase();
}

void graph::shareByConstants(ModuleOp module) {
  llvm::StringMap<unsigned> classOf;
  SmallVector<SmallVector<linalg::GenericOp>> alike;
  module.walk([&](linalg::GenericOp op) {
    if (isContraction(op) || !op.getNumLoops() || op.hasIndexSemantics() ||
        numbersOf(op).empty())
      return;
    std::string text = textWithoutNumbers(op);
    if (text.empty())
      return;
    unsigned index = classOf.try_emplace(text, alike.size()).first->second;
    alike.resize(std::max<size_t>(alike.size(), index + 1));
    alike[index].push_back(op);
  });
  for (ArrayRef<linalg::GenericOp> ops : alike) {
    // Which numbers are not always the same, and how many kernels that makes.
    SmallVector<unsigned> places;
    llvm::SetVector<Attribute> kinds;
    SmallVector<Attribute> first;
    for (linalg::GenericOp op : ops) {
      SmallVector<Attribute> values;
      for (arith::ConstantOp number : numbersOf(op))
        values.push_back(number.getValue());
      kinds.insert(ArrayAttr::get(module.getContext(), values));
      if (first.empty())
        first = values;
      for (unsigned i = 0; i < values.size(); ++i)
        if (values[i] != first[i] && !llvm::is_contained(places, i))
          places.push_back(i);
    }
    if (kinds.size() < kFewest)
      continue;
    llvm::sort(places);
    for (linalg::GenericOp op : ops)
      liftNumbers(op, places);
  }
}
