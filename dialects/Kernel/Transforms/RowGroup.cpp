//===- RowGroup.cpp - operations that share rows --------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/RowGroup.h"
#include "dialects/Kernel/Transforms/RowBody.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

static constexpr unsigned kUnknown = kUnitDim - 1;

std::optional<unsigned> RowPart::loopOf(unsigned dim) const {
  auto it = llvm::find(dims, dim);
  if (it == dims.end())
    return std::nullopt;
  return it - dims.begin();
}

Value RowPart::result() const { return linalg::GenericOp(op)->getResult(0); }

static AffineMap onSpace(AffineMap map, ArrayRef<unsigned> dims,
                         unsigned spaceDims) {
  SmallVector<AffineExpr> exprs;
  for (unsigned d : dims)
    exprs.push_back(d == kUnitDim ? getAffineConstantExpr(0, map.getContext())
                                  : getAffineDimExpr(d, map.getContext()));
  return map.replaceDimsAndSymbols(exprs, {}, spaceDims, 0);
}

AffineMap RowPart::mapOf(OpOperand &operand, unsigned spaceDims) const {
  return onSpace(linalg::GenericOp(op).getMatchingIndexingMap(&operand), dims,
                 spaceDims);
}

AffineMap RowPart::resultMap(unsigned spaceDims) const {
  return onSpace(linalg::GenericOp(op).getIndexingMapsArray().back(), dims,
                 spaceDims);
}

const RowPart *RowGroup::partOf(Value v) const {
  for (const RowPart &part : parts)
    if (part.result() == v)
      return &part;
  return nullptr;
}

/// All that is known of the size of each loop.
static SmallVector<SmallVector<OpFoldResult>> loopExtents(linalg::GenericOp op,
                                                          SizesOf sizesOf) {
  SmallVector<SmallVector<OpFoldResult>> sizes(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<RankedTensorType>(operand.get().getType()))
      continue;
    SmallVector<OpFoldResult> dims = sizesOf(operand.get());
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (auto [e, size] : llvm::zip_equal(map.getResults(), dims))
      if (auto d = dyn_cast<AffineDimExpr>(e))
        if (!llvm::is_contained(sizes[d.getPosition()], size))
          sizes[d.getPosition()].push_back(size);
  }
  return sizes;
}

static bool isOne(ArrayRef<OpFoldResult> sizes) {
  return llvm::any_of(sizes, [](OpFoldResult s) { return isOneInteger(s); });
}

static bool sameSize(ArrayRef<OpFoldResult> a, ArrayRef<OpFoldResult> b) {
  return llvm::any_of(a, [&](OpFoldResult x) {
    return llvm::any_of(
        b, [&](OpFoldResult y) { return isEqualConstantIntOrValue(x, y); });
  });
}

/// What is known of where the dims of a value lie in the space.
using Places = DenseMap<Value, SmallVector<AffineExpr>>;

/// Gives the loops of `part` their dims: those of the values that it shares
/// with placed parts, then by size. Sets `connected` if it shares any.
static std::string place(RowPart &part, const RowGroup &group,
                         const Places &places,
                         ArrayRef<SmallVector<OpFoldResult>> sizes,
                         bool &connected) {
  linalg::GenericOp op = part.op;
  part.dims.assign(op.getNumLoops(), kUnknown);
  unsigned loops = 0;
  for (auto [dim, size] : llvm::zip_equal(part.dims, sizes))
    if (isOne(size))
      dim = kUnitDim;
    else
      ++loops;
  auto read = [&](Value v, AffineMap map) -> std::string {
    auto it = places.find(v);
    if (it == places.end())
      return "";
    connected = true;
    for (auto [e, at] : llvm::zip_equal(map.getResults(), it->second)) {
      auto loop = dyn_cast<AffineDimExpr>(e);
      auto dim = dyn_cast<AffineDimExpr>(at);
      if (!loop || !dim || part.dims[loop.getPosition()] == kUnitDim)
        continue;
      unsigned &known = part.dims[loop.getPosition()];
      if (known != kUnknown && known != dim.getPosition())
        return "an operation reads values of other rows";
      known = dim.getPosition();
    }
    return "";
  };
  for (OpOperand *operand : op.getDpsInputOperands())
    if (std::string why =
            read(operand->get(), op.getMatchingIndexingMap(operand));
        !why.empty())
      return why;
  if (std::string why = read(part.result(), op.getIndexingMapsArray().back());
      !why.empty())
    return why;
  if (!connected)
    return "";

  // The other loops, in order: all that is left of the space, or of its rows.
  part.full = loops == group.rank();
  if (part.reduces && !part.full)
    return "two reductions are over different dims";
  SmallVector<unsigned> left;
  for (unsigned d = 0; d < group.rank(); ++d)
    if (!llvm::is_contained(part.dims, d) && (part.full || !group.isColumn(d)))
      left.push_back(d);
  ArrayRef<unsigned> next = left;
  for (auto [dim, size] : llvm::zip_equal(part.dims, sizes)) {
    if (dim != kUnknown)
      continue;
    if (next.empty())
      return "an operation has other dims";
    if (!sameSize(size, group.sizes[next[0]]))
      return "an operation has dims of other sizes";
    dim = next[0];
    next = next.drop_front();
  }
  if (!next.empty())
    return "an operation covers only some of the dims";
  SmallVector<bool> taken(group.rank(), false);
  for (unsigned dim : part.dims)
    if (dim != kUnitDim) {
      if (taken[dim])
        return "an operation goes over one dim twice";
      taken[dim] = true;
    }
  auto kinds = op.getIteratorTypesArray();
  for (auto [dim, kind] : llvm::zip_equal(part.dims, kinds)) {
    bool reduced = kind == utils::IteratorType::reduction;
    if (dim != kUnitDim && group.isColumn(dim) != reduced &&
        (part.reduces || !part.full))
      return "two reductions are over different dims";
  }
  return "";
}

Operation *kernel::combinerOf(linalg::GenericOp op) {
  Block *body = op.getBody();
  BlockArgument acc = body->getArguments().back();
  Operation *combiner = body->getTerminator()->getOperand(0).getDefiningOp();
  if (!acc.hasOneUse() || !combiner || combiner->getNumOperands() != 2 ||
      *acc.user_begin() != combiner)
    return nullptr;
  return combiner;
}

std::string kernel::findRows(ArrayRef<linalg::GenericOp> ops, SizesOf sizesOf,
                             RowGroup &group) {
  group = {};
  SmallVector<SmallVector<SmallVector<OpFoldResult>>> sizes;
  const RowPart *seed = nullptr;
  group.parts.resize(ops.size());
  for (auto [i, part] : llvm::enumerate(group.parts)) {
    linalg::GenericOp op = part.op = ops[i];
    part.reduces = op.getNumReductionLoops() != 0;
    if (op->getNumResults() != 1)
      return "an operation has several results";
    if (!part.reduces &&
        !op.getMatchingBlockArgument(op.getDpsInitOperand(0)).use_empty())
      return "an operation reads what it writes";
    if (part.reduces && !op.getDpsInits()[0].getDefiningOp<linalg::FillOp>())
      return "a reduction does not start from a constant";
    sizes.push_back(loopExtents(op, sizesOf));
    if (part.reduces && !seed) {
      seed = &part;
      for (auto [kind, size] :
           llvm::zip_equal(op.getIteratorTypesArray(), sizes.back()))
        if (!isOne(size)) {
          group.kinds.push_back(kind);
          group.sizes.push_back(size);
        }
    }
  }
  if (!seed)
    return "no reduction";
  if (!llvm::is_contained(group.kinds, utils::IteratorType::reduction))
    return "rows of one element";

  Places places;
  MLIRContext *ctx = ops[0]->getContext();
  // The seed's loops are the space's dims.
  {
    SmallVector<AffineExpr> exprs;
    unsigned next = 0;
    for (auto &size : sizes[seed - group.parts.begin()])
      exprs.push_back(isOne(size) ? getAffineConstantExpr(0, ctx)
                                  : getAffineDimExpr(next++, ctx));
    linalg::GenericOp op = seed->op;
    places[seed->result()] =
        llvm::to_vector(op.getIndexingMapsArray()
                            .back()
                            .replaceDimsAndSymbols(exprs, {}, group.rank(), 0)
                            .getResults());
  }
  SmallVector<bool> placed(ops.size(), false);
  for (bool progress = true; progress;) {
    progress = false;
    for (auto [i, part] : llvm::enumerate(group.parts)) {
      if (placed[i])
        continue;
      bool connected = false;
      std::string why = place(part, group, places, sizes[i], connected);
      if (!why.empty())
        return why;
      if (!connected)
        continue;
      placed[i] = progress = true;
      auto record = [&](Value v, AffineMap map) {
        places.try_emplace(v, llvm::to_vector(map.getResults()));
      };
      for (OpOperand *operand : part.op.getDpsInputOperands())
        if (group.partOf(operand->get()))
          record(operand->get(), part.mapOf(*operand, group.rank()));
      record(part.result(), part.resultMap(group.rank()));
    }
  }
  if (llvm::is_contained(placed, false))
    return "the operations do not depend on each other";

  // What is looked up by index must be complete before.
  for (const RowPart &part : group.parts) {
    WalkResult walk =
        linalg::GenericOp(part.op)->walk([&](tensor::ExtractOp look) {
          return group.partOf(look.getTensor()) ? WalkResult::interrupt()
                                                : WalkResult::advance();
        });
    if (walk.wasInterrupted())
      return "an operation looks up values of other points";
  }

  // Values are read at the point that made them; passes follow.
  for (RowPart &part : group.parts) {
    unsigned pass = 0;
    for (OpOperand *operand : part.op.getDpsInputOperands()) {
      const RowPart *from = group.partOf(operand->get());
      if (!from)
        continue;
      if (from >= &part)
        return "the operations are not in order";
      if (part.mapOf(*operand, group.rank()) != from->resultMap(group.rank()))
        return "an operation reads values of other points";
      if (from->full && !from->reduces && !part.full)
        return "an operation over rows reads columns";
      pass = std::max(pass, from->pass + (from->reduces ? 1 : 0));
    }
    part.pass = pass;
    group.passes = std::max(group.passes, pass + 1);
  }
  return "";
}

/// Sizes of tensors in a form(tensor) body, as the kernel's values.
static SmallVector<OpFoldResult> sizesIn(FuncOp kernel, Value tensor) {
  Operation *op = tensor.getDefiningOp();
  if (auto in = dyn_cast<bufferization::ToTensorOp>(op))
    return kernel.getMixedSizesOf(
        cast<BlockArgument>(in.getBuffer()).getArgNumber() -
        kernel.getNumSizes());
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return empty.getMixedSizes();
  return sizesIn(kernel,
                 cast<linalg::LinalgOp>(op)
                     .getDpsInits()[cast<OpResult>(tensor).getResultNumber()]);
}

std::string kernel::findRows(FuncOp kernel, RowGroup &group) {
  SmallVector<linalg::GenericOp> ops;
  for (Operation &op : kernel.getBody().front()) {
    if (isa<graph::ParallelOp, graph::ConvOp>(op))
      return "holds a " + op.getName().getStringRef().str();
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      ops.push_back(generic);
    else if (isa<linalg::LinalgOp>(op) && !isa<linalg::FillOp>(op))
      return "holds a " + op.getName().getStringRef().str();
    if (isa<linalg::FillOp>(op) &&
        llvm::any_of(op.getUsers(), [](Operation *user) {
          return isa<bufferization::MaterializeInDestinationOp>(user);
        }))
      return "holds a fill";
  }
  if (ops.empty())
    return "no operation";
  return findRows(
      ops, [&](Value tensor) { return sizesIn(kernel, tensor); }, group);
}

std::string kernel::checkReduction(linalg::GenericOp op) {
  Operation *combiner = combinerOf(op);
  if (!combiner || !linalg::getCombinerOpKind(combiner) ||
      !arith::getNeutralElement(combiner))
    return "a reduction is not by one associative operation";
  if (isa<arith::AddFOp, arith::MulFOp>(combiner)) {
    auto flags = cast<arith::ArithFastMathInterface>(combiner)
                     .getFastMathFlagsAttr()
                     .getValue();
    if (!bitEnumContainsAll(flags, arith::FastMathFlags::reassoc))
      return "a sum must keep its order";
  }
  return "";
}

std::string kernel::rowLanes(const RowGroup &group, const TargetInfo &info,
                             unsigned &lane) {
  // A workgroup's lanes are a long vector.
  int64_t least = info.form == Form::lanes ? 32 : 4;
  lane = group.rank() - 1;
  for (OpFoldResult size : group.sizes[lane])
    if (auto n = getConstantIntValue(size); n && *n < least)
      return "the innermost dim is shorter than a vector";
  auto contiguous = [&](AffineMap map) {
    for (auto [i, e] : llvm::enumerate(map.getResults()))
      if (e.isFunctionOfDim(lane) &&
          (!isa<AffineDimExpr>(e) || i + 1 != map.getNumResults()))
        return false;
    return true;
  };
  for (const RowPart &part : group.parts) {
    IndexKinds kinds;
    if (std::string why = checkBody(part.op, part.loopOf(lane), kinds);
        !why.empty())
      return why;
    if (part.reduces)
      if (std::string why = checkReduction(part.op); !why.empty())
        return why;
    // Over rows alone, bodies run on scalars if vectors run along the columns.
    if (!part.full && group.isColumn(lane))
      continue;
    for (OpOperand *operand : linalg::GenericOp(part.op).getDpsInputOperands())
      if (!contiguous(part.mapOf(*operand, group.rank())))
        return "an operand is not contiguous along the vector";
    if (!contiguous(part.resultMap(group.rank())))
      return "the result is not contiguous along the vector";
  }
  return "";
}
