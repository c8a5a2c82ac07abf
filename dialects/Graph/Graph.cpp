//===- Graph.cpp - the graph dialect --------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Graph.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace isthmus::graph;

#include "dialects/Graph/GraphOpsDialect.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/Graph/GraphOps.cpp.inc"

void GraphDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Graph/GraphOps.cpp.inc"
      >();
}

/// Bytes of one element in memory; i1 takes one.
static int64_t elementBytes(Type type) {
  return (type.getIntOrFloatBitWidth() + 7) / 8;
}

LogicalResult WeightOp::verify() {
  auto type = cast<RankedTensorType>(getResult().getType());
  if (!type.getElementType().isIntOrFloat())
    return emitOpError("element type must be an integer or a float");
  int64_t want = type.getNumElements() * elementBytes(type.getElementType());
  if (int64_t(getBytes()) != want)
    return emitOpError("holds ")
           << getBytes() << " bytes, its type needs " << want;
  if (int64_t(getOffset()) < 0)
    return emitOpError("offset must not be negative");
  return success();
}

static LogicalResult verifySizeCount(Operation *op, ValueRange sizes,
                                     TypeRange results) {
  int64_t dynamic = 0;
  for (Type type : results)
    dynamic += cast<RankedTensorType>(type).getNumDynamicDims();
  if (int64_t(sizes.size()) != dynamic)
    return op->emitOpError("has ")
           << sizes.size() << " sizes for " << dynamic << " dynamic dims";
  return success();
}

LogicalResult ReshapeOp::verify() {
  auto from = cast<RankedTensorType>(getSource().getType());
  auto to = cast<RankedTensorType>(getResult().getType());
  if (from.getElementType() != to.getElementType())
    return emitOpError("must keep the element type");
  if (from.hasStaticShape() && to.hasStaticShape() &&
      from.getNumElements() != to.getNumElements())
    return emitOpError("has ") << from.getNumElements() << " elements and "
                               << to.getNumElements() << " in its result";
  return verifySizeCount(*this, getSizes(), getResult().getType());
}

OpFoldResult ReshapeOp::fold(FoldAdaptor) {
  auto from = cast<RankedTensorType>(getSource().getType());
  if (from == getResult().getType() && from.hasStaticShape())
    return getSource();
  // A chain keeps its last shape only.
  if (auto inner = getSource().getDefiningOp<ReshapeOp>()) {
    getSourceMutable().assign(inner.getSource());
    return getResult();
  }
  return {};
}

LogicalResult ConvOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto w = cast<RankedTensorType>(getFilter().getType());
  auto y = cast<RankedTensorType>(getResult().getType());
  int64_t rank = x.getRank() - 2;
  if (rank < 1 || w.getRank() != x.getRank() || y.getRank() != x.getRank())
    return emitOpError("input, filter and result must have one rank of 3 or "
                       "more");
  if (int64_t(getStrides().size()) != rank ||
      int64_t(getDilations().size()) != rank ||
      int64_t(getPads().size()) != 2 * rank)
    return emitOpError("needs ")
           << rank << " strides and dilations and " << 2 * rank << " pads";
  for (int64_t i = 0; i < rank; ++i)
    if (getStrides()[i] < 1 || getDilations()[i] < 1)
      return emitOpError("strides and dilations must be at least 1");
  int64_t group = getGroup();
  if (group < 1)
    return emitOpError("group must be at least 1");
  if (!x.isDynamicDim(1) && !w.isDynamicDim(1) &&
      x.getDimSize(1) != w.getDimSize(1) * group)
    return emitOpError("input has ")
           << x.getDimSize(1) << " channels, the filter takes "
           << w.getDimSize(1) * group;
  bool integers = y.getElementType().isInteger();
  if (integers &&
      (!y.getElementType().isInteger(32) || !x.getElementType().isInteger(8) ||
       !w.getElementType().isInteger(8) || getBias()))
    return emitOpError("of integers takes those of 8 bits and no bias, and "
                       "gives those of 32");
  if (!integers && (getInputUnsigned() || getFilterUnsigned() || getPadValue()))
    return emitOpError("of floats has no signs and is padded with zero");
  return verifySizeCount(*this, getSizes(), y);
}

ValueRange ParallelOp::getSizesOf(unsigned i) {
  unsigned begin = 0;
  for (unsigned j = 0; j < i; ++j)
    begin += cast<RankedTensorType>(getResult(j).getType()).getNumDynamicDims();
  return getSizes().slice(
      begin,
      cast<RankedTensorType>(getResult(i).getType()).getNumDynamicDims());
}

LogicalResult ParallelOp::verify() {
  if (failed(verifySizeCount(*this, getSizes(), getResultTypes())))
    return failure();
  SmallVector<Type> want(getSpace().size(), IndexType::get(getContext()));
  auto memrefOf = [](Type type) {
    auto tensor = cast<RankedTensorType>(type);
    return MemRefType::get(tensor.getShape(), tensor.getElementType());
  };
  for (Value v : getInputs())
    want.push_back(memrefOf(v.getType()));
  want.append(getScalars().size(), IndexType::get(getContext()));
  for (Type type : getResultTypes())
    want.push_back(memrefOf(type));
  if (getInPlace()) {
    if (getInPlace()->size() != getNumResults())
      return emitOpError("in_place has ")
             << getInPlace()->size() << " entries for " << getNumResults()
             << " results";
    for (unsigned i = 0; i < getNumResults(); ++i) {
      int64_t start = getStart(i);
      if (start == -1)
        continue;
      if (start < 0 || start >= int64_t(getInputs().size()) ||
          getInputs()[start].getType() != getResult(i).getType() ||
          llvm::count(*getInPlace(), start) > 1)
        return emitOpError("result ")
               << i << " cannot start with input " << start;
      if (llvm::count(getInputs(), getInputs()[start]) > 1)
        return emitOpError("input ")
               << start << " is written in place and read as another input";
    }
  }
  Block &block = getBody().front();
  if (block.getNumArguments() != want.size())
    return emitOpError("body takes ")
           << block.getNumArguments() << " arguments, needs " << want.size();
  for (auto [i, pair] :
       llvm::enumerate(llvm::zip_equal(block.getArgumentTypes(), want)))
    if (std::get<0>(pair) != std::get<1>(pair))
      return emitOpError("body argument ") << i << " is " << std::get<0>(pair)
                                           << ", needs " << std::get<1>(pair);
  return success();
}

LogicalResult ReadOp::verify() {
  if (!cast<RankedTensorType>(getSource().getType())
           .getElementType()
           .isInteger())
    return emitOpError("reads integers only");
  return success();
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

static SmallVector<OpFoldResult> mixSizes(RankedTensorType type,
                                          ValueRange dynamic) {
  SmallVector<OpFoldResult> sizes;
  Builder b(type.getContext());
  unsigned next = 0;
  for (int64_t dim : type.getShape())
    if (ShapedType::isDynamic(dim))
      sizes.push_back(dynamic[next++]);
    else
      sizes.push_back(b.getIndexAttr(dim));
  return sizes;
}

FailureOr<SmallVector<OpFoldResult>> isthmus::graph::getSizes(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (type.hasStaticShape())
    return mixSizes(type, {});
  if (auto arg = dyn_cast<BlockArgument>(tensor)) {
    auto func = dyn_cast<func::FuncOp>(arg.getOwner()->getParentOp());
    if (!func)
      return failure();
    auto dims = func.getArgAttrOfType<ArrayAttr>(arg.getArgNumber(), kDimsAttr);
    if (!dims || int64_t(dims.size()) != type.getRank())
      return failure();
    SmallVector<OpFoldResult> sizes;
    Builder b(func.getContext());
    for (auto [i, dim] : llvm::enumerate(dims)) {
      auto symbol = dyn_cast<StringAttr>(dim);
      if (!symbol) {
        sizes.push_back(b.getIndexAttr(type.getDimSize(i)));
        continue;
      }
      Value found;
      for (BlockArgument a : func.getArguments())
        if (func.getArgAttrOfType<StringAttr>(a.getArgNumber(), kSymbolAttr) ==
            symbol)
          found = a;
      if (!found)
        return failure();
      sizes.push_back(found);
    }
    return sizes;
  }
  Operation *op = tensor.getDefiningOp();
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return mixSizes(type, empty.getDynamicSizes());
  if (auto generic = dyn_cast<linalg::LinalgOp>(op))
    return getSizes(
        generic.getDpsInits()[cast<OpResult>(tensor).getResultNumber()]);
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
    return getSizes(insert.getDest());
  if (auto extract = dyn_cast<tensor::ExtractSliceOp>(op))
    return extract.getMixedSizes();
  if (auto reshape = dyn_cast<ReshapeOp>(op))
    return mixSizes(type, reshape.getSizes());
  if (auto conv = dyn_cast<ConvOp>(op))
    return mixSizes(type, conv.getSizes());
  if (auto parallel = dyn_cast<ParallelOp>(op))
    return mixSizes(
        type, parallel.getSizesOf(cast<OpResult>(tensor).getResultNumber()));
  return failure();
}

SmallVector<Block *> isthmus::graph::hostBlocks(func::FuncOp func) {
  SmallVector<Block *> blocks = {&func.getBody().front()};
  for (size_t i = 0; i < blocks.size(); ++i)
    for (Operation &op : *blocks[i])
      if (isa<scf::SCFDialect>(op.getDialect()))
        for (Region &region : op.getRegions())
          for (Block &block : region)
            blocks.push_back(&block);
  return blocks;
}

/// All of every dim but the first, without strides: one piece of memory.
static bool isRows(OffsetSizeAndStrideOpInterface slice, Value whole) {
  auto sizes = getSizes(whole);
  if (failed(sizes) || sizes->empty())
    return false;
  for (size_t i = 0; i < sizes->size(); ++i) {
    if (getConstantIntValue(slice.getMixedStrides()[i]) != 1)
      return false;
    if (i &&
        (getConstantIntValue(slice.getMixedOffsets()[i]) != 0 ||
         !isEqualConstantIntOrValue(slice.getMixedSizes()[i], (*sizes)[i])))
      return false;
  }
  return true;
}

static LogicalResult verifyHostOp(Operation *op) {
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
    if (insert.getSourceType().getRank() != insert.getType().getRank() ||
        !isRows(insert, insert.getDest()))
      return op->emitOpError("inserts something else than rows of dim 0");
  if (auto extract = dyn_cast<tensor::ExtractSliceOp>(op))
    if (extract.getSourceType().getRank() != extract.getType().getRank() ||
        !isRows(extract, extract.getSource()))
      return op->emitOpError("extracts something else than rows of dim 0");
  // Tensors on their way into and out of regions are only passed on.
  if (isa<ReshapeOp>(op) || isa<scf::SCFDialect>(op->getDialect()))
    return success();
  WalkResult result = op->walk([&](Operation *inner) {
    for (Value v : inner->getOperands())
      if (isa<RankedTensorType>(v.getType()) &&
          !op->isAncestor(v.getParentRegion()->getParentOp()) &&
          failed(getSizes(v))) {
        inner->emitOpError("uses a tensor of unknown sizes; graph.reshape "
                           "names them");
        return WalkResult::interrupt();
      }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

LogicalResult isthmus::graph::verifySizes(ModuleOp module) {
  for (auto func : module.getOps<func::FuncOp>()) {
    WalkResult dims = func.walk([](tensor::DimOp dim) {
      dim.emitOpError("asks a tensor for its size; sizes are values here");
      return WalkResult::interrupt();
    });
    if (dims.wasInterrupted())
      return failure();
    for (Block *block : hostBlocks(func))
      for (Operation &op : *block)
        if (failed(verifyHostOp(&op)))
          return failure();
  }
  return success();
}
