//===- AttentionGroup.cpp - scores, softmax, weighted sum -----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/AttentionGroup.h"
#include "dialects/Kernel/Transforms/Lanes.h"
#include "dialects/Kernel/Transforms/Product.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// Whether the last dim of operand `i` of `op` is one of `loops`.
static bool liesAlong(linalg::GenericOp op, unsigned i,
                      ArrayRef<unsigned> loops) {
  AffineMap map = op.getIndexingMapsArray()[i];
  return map.getNumResults() && llvm::any_of(loops, [&](unsigned d) {
           return map.getResults().back().isFunctionOfDim(d);
         });
}

bool AttentionGroup::keysLieAlong() const {
  return liesAlong(scores, key, {rank() - 1});
}

bool AttentionGroup::valuesLieAlong() const {
  return liesAlong(output, value, width);
}

SmallVector<linalg::GenericOp> AttentionGroup::ops() const {
  SmallVector<linalg::GenericOp> all = {scores};
  if (bias)
    all.push_back(bias);
  all.append({max, exp, sum, weights, output});
  return all;
}

//===----------------------------------------------------------------------===//
// The operations' bodies
//===----------------------------------------------------------------------===//

static Operation *yielded(linalg::GenericOp op) {
  return op.getBody()->getTerminator()->getOperand(0).getDefiningOp();
}

static bool isF32(Value tensor) {
  return getElementTypeOrSelf(tensor.getType()).isF32();
}

/// `op` goes over the scores' tensor; operand `i` is all of it.
static bool readsAll(linalg::GenericOp op, unsigned i) {
  return op.getIndexingMapsArray()[i].isIdentity();
}

/// Operand `i` is one element a row.
static bool isOfRows(linalg::GenericOp op, unsigned i) {
  AffineMap map = op.getIndexingMapsArray()[i];
  return map ==
         AffineMap::getMultiDimIdentityMap(op.getNumLoops(), op.getContext())
             .dropResult(op.getNumLoops() - 1);
}

/// A reduction of `from` along the last dim by an op of type T.
template <typename... T>
static linalg::GenericOp rowReduction(Value v, Value from) {
  auto op = v.getDefiningOp<linalg::GenericOp>();
  if (!op || op->getNumResults() != 1 || op.getNumDpsInputs() != 1 ||
      op.getNumReductionLoops() != 1 || op.getDpsInputs()[0] != from ||
      !readsAll(op, 0) || !isOfRows(op, 1) || !isF32(v) ||
      !op.getDpsInits()[0].getDefiningOp<linalg::FillOp>())
    return nullptr;
  Operation *combine = yielded(op);
  if (!isa_and_nonnull<T...>(combine))
    return nullptr;
  Block *body = op.getBody();
  Value x = combine->getOperand(0), y = combine->getOperand(1);
  if (x != body->getArgument(1))
    std::swap(x, y);
  return x == body->getArgument(1) && y == body->getArgument(0) ? op : nullptr;
}

/// An elementwise operation over the scores' tensor and one value a row, in
/// this order of the body's arguments.
static linalg::GenericOp withRows(Value v) {
  auto op = v.getDefiningOp<linalg::GenericOp>();
  if (!op || op->getNumResults() != 1 || op.getNumDpsInputs() != 2 ||
      op.getNumReductionLoops() || !op.getNumLoops() || !readsAll(op, 0) ||
      !isOfRows(op, 1) || !readsAll(op, 2))
    return nullptr;
  return op;
}

static bool isProduct(linalg::GenericOp op) {
  return op && op->getNumResults() == 1 && op.getNumDpsInputs() == 2 &&
         linalg::isaContractionOpInterface(op) && isF32(op->getResult(0)) &&
         op.getDpsInits()[0].getDefiningOp<linalg::FillOp>() &&
         llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) {
           return map.isProjectedPermutation();
         });
}

/// sum / l, or that rounded to a narrower type.
static bool isQuotient(linalg::GenericOp op) {
  Operation *last = yielded(op);
  if (isa_and_nonnull<arith::TruncFOp>(last))
    last = last->getOperand(0).getDefiningOp();
  return isa_and_nonnull<arith::DivFOp>(last) &&
         last->getOperand(0) == op.getBody()->getArgument(0) &&
         last->getOperand(1) == op.getBody()->getArgument(1);
}

static bool isExpOfDifference(linalg::GenericOp op) {
  auto exp = dyn_cast_or_null<math::ExpOp>(yielded(op));
  auto sub = exp ? exp.getOperand().getDefiningOp<arith::SubFOp>() : nullptr;
  return sub && sub.getLhs() == op.getBody()->getArgument(0) &&
         sub.getRhs() == op.getBody()->getArgument(1);
}

//===----------------------------------------------------------------------===//
// The group
//===----------------------------------------------------------------------===//

/// The product that makes the scores, behind an elementwise operation or not.
static std::string findScores(Value scores, AttentionGroup &g) {
  auto op = scores.getDefiningOp<linalg::GenericOp>();
  if (isProduct(op)) {
    g.scores = op;
    return "";
  }
  if (!op || op->getNumResults() != 1 || op.getNumReductionLoops() ||
      !op.getNumLoops() || !isF32(scores) ||
      !op.getIndexingMapsArray().back().isIdentity() ||
      !op.getMatchingBlockArgument(op.getDpsInitOperand(0)).use_empty())
    return "the scores are no product";
  for (OpOperand *operand : op.getDpsInputOperands()) {
    auto product = operand->get().getDefiningOp<linalg::GenericOp>();
    if (!isProduct(product) || !readsAll(op, operand->getOperandNumber()))
      continue;
    g.bias = op;
    g.biasOperand = operand->getOperandNumber();
    g.scores = product;
    return "";
  }
  return "the scores are no product";
}

/// What each loop is for.
static std::string findDims(AttentionGroup &g) {
  unsigned rank = g.max.getNumLoops(), key = rank - 1;
  auto scores = g.scores.getIndexingMapsArray(),
       output = g.output.getIndexingMapsArray();
  if (g.scores.getNumLoops() <= rank ||
      scores[2] != AffineMap::getMultiDimIdentityMap(g.scores.getNumLoops(),
                                                     g.scores.getContext())
                       .getMajorSubMap(rank))
    return "the scores' loops are in another order";
  for (unsigned d = rank; d < g.scores.getNumLoops(); ++d)
    g.depth.push_back(d);
  g.key = scores[0].isFunctionOfDim(key) ? 0 : 1;
  g.query = 1 - g.key;
  if (scores[g.query].isFunctionOfDim(key))
    return "queries vary along the keys";
  for (AffineExpr e : output[g.weight].getResults())
    g.outputLoop.push_back(cast<AffineDimExpr>(e).getPosition());
  if (g.outputLoop.size() != rank ||
      g.output.getIteratorTypesArray()[g.outputLoop[key]] !=
          utils::IteratorType::reduction ||
      g.output.getNumReductionLoops() != 1)
    return "the weighted sum is not along the keys";
  for (unsigned d = 0; d < g.output.getNumLoops(); ++d)
    if (!llvm::is_contained(g.outputLoop, d))
      g.width.push_back(d);
  for (unsigned d = 0; d < key; ++d) {
    bool ofKeys = scores[g.key].isFunctionOfDim(d),
         ofValues = output[g.value].isFunctionOfDim(g.outputLoop[d]);
    if (ofKeys != ofValues)
      return "keys and values vary along different dims";
    (ofKeys ? g.batch : g.queries).push_back(d);
  }
  if (g.queries.empty() || g.width.empty())
    return "no queries or no values";
  return "";
}

std::string kernel::findAttention(linalg::GenericOp output, AttentionGroup &g) {
  if (!isProduct(output))
    return "no product";
  for (unsigned i : {0u, 1u}) {
    g = {};
    g.output = output;
    g.weight = i;
    g.value = 1 - i;
    g.weights = withRows(output.getDpsInputs()[i]);
    if (g.weights && isQuotient(g.weights))
      break;
    g.weights = nullptr;
  }
  if (!g.weights)
    return "no weights of a softmax";
  Value exp = g.weights.getDpsInputs()[0];
  g.exp = withRows(exp);
  g.sum = rowReduction<arith::AddFOp>(g.weights.getDpsInputs()[1], exp);
  if (!g.exp || !g.sum || !isF32(exp) || !isExpOfDifference(g.exp))
    return "no weights of a softmax";
  Value scores = g.exp.getDpsInputs()[0];
  g.max = rowReduction<arith::MaximumFOp, arith::MaxNumFOp>(
      g.exp.getDpsInputs()[1], scores);
  if (!g.max)
    return "no weights of a softmax";
  if (std::string why = findScores(scores, g); !why.empty())
    return why;
  return findDims(g);
}

std::string kernel::findAttention(FuncOp kernel, AttentionGroup &group,
                                  Epilogue &epilogue) {
  SmallVector<Operation *> ops;
  for (Operation &op : kernel.getBody().front())
    if (isa<linalg::LinalgOp>(op) && !isa<linalg::FillOp>(op))
      ops.push_back(&op);
  std::string why = "no product";
  for (Operation *op : llvm::reverse(ops)) {
    auto output = dyn_cast<linalg::GenericOp>(op);
    if (!output || !(why = findAttention(output, group)).empty())
      continue;
    size_t rest = ops.size() - group.ops().size();
    if (rest > 1 || (rest && (ops.back() == op || !op->hasOneUse())))
      return "other operations than attention's";
    epilogue = {};
    if (rest) {
      OpOperand &use = *op->getUses().begin();
      auto last = dyn_cast<linalg::GenericOp>(ops.back());
      if (!last || use.getOwner() != last || last.getNumReductionLoops() ||
          !last.getMatchingIndexingMap(&use).isIdentity())
        return "other operations than attention's";
      epilogue.op = last;
      epilogue.anchorOperand = use.getOperandNumber();
    }
    return "";
  }
  return why;
}

//===----------------------------------------------------------------------===//
// The tile
//===----------------------------------------------------------------------===//

/// Of the result, a lane: more and what else it has do not fit registers. The
/// same of these, the scores and the words that wait for a slot.
static constexpr int64_t kMostSums = 64, kMostHeld = 64;

static std::optional<int64_t> extentOf(linalg::GenericOp op,
                                       ArrayRef<unsigned> loops) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  int64_t all = 1;
  for (unsigned d : loops) {
    if (ShapedType::isDynamic(sizes[d]))
      return std::nullopt;
    all *= sizes[d];
  }
  return all;
}

std::string kernel::chooseAttentionTile(const AttentionGroup &group,
                                        const TargetInfo &info,
                                        AttentionTile &tile) {
  if (info.form != Form::lanes)
    return "for targets that run lanes";
  auto depth = extentOf(group.scores, group.depth),
       width = extentOf(group.output, group.width),
       queries = extentOf(group.scores, group.queries),
       keys = extentOf(group.scores, {group.rank() - 1});
  if (!depth || !width)
    return "the heads' size is not known";
  // One query a head is a reduction over the keys, not a product.
  if (queries && *queries < 8)
    return "too few queries for tiles";
  auto elementOf = [](linalg::GenericOp op, unsigned operand) {
    return getElementTypeOrSelf(op.getDpsInputs()[operand].getType());
  };
  Type narrow = elementOf(group.scores, group.query),
       f32 = Float32Type::get(narrow.getContext());
  bool alike = narrow == elementOf(group.scores, group.key) &&
               narrow == elementOf(group.output, group.weight) &&
               narrow == elementOf(group.output, group.value);
  tile.unit =
      alike ? unitFor(info, narrow, false, narrow, false, f32) : nullptr;
  // Scores and weights are not rounded to less than their type.
  if (tile.unit && tile.unit->a == UnitType::tf32)
    tile.unit = nullptr;
  tile.type = tile.unit ? narrow : f32;
  // As MatrixSlice has them.
  tile.alongKeys = info.matrixLoads && group.keysLieAlong();
  tile.alongWidth = info.matrixLoads && group.valuesLieAlong();
  int64_t least = tile.unit ? std::max<int64_t>(tile.unit->k, 16) : 16;
  tile.depth = llvm::alignTo(*depth, least);
  tile.width = llvm::alignTo(*width, 16);
  int64_t bytes = tile.type.getIntOrFloatBitWidth() / 8;
  // More queries read keys and values less often; the next keys are under way
  // where there are two slots.
  constexpr struct {
    int64_t queries, keys, slots;
  } shapes[] = {{64, 64, 2}, {64, 32, 2}, {64, 64, 1}, {64, 32, 1},
                {32, 32, 2}, {32, 32, 1}, {32, 16, 2}, {32, 16, 1},
                {16, 16, 2}, {16, 16, 1}};
  std::optional<AttentionTile> best;
  auto sums = [](const AttentionTile &t) {
    return t.queries * t.width / t.lanes;
  };
  for (auto shape : shapes) {
    tile.queries = shape.queries;
    tile.keys = std::max(shape.keys, least);
    tile.slots = shape.slots;
    while (tile.queries > 16 && queries && *queries <= tile.queries / 2)
      tile.queries /= 2;
    while (tile.keys > least && keys && *keys <= tile.keys / 2)
      tile.keys /= 2;
    if (keys && *keys <= tile.keys)
      tile.slots = 1;
    bool across = tile.alongKeys || !tile.unit;
    int64_t slot = (across ? tile.depth * tile.keyPitch()
                           : tile.keys * tile.pitch(tile.depth)) +
                   (tile.alongWidth ? tile.keys * tile.pitch(tile.width)
                                    : tile.width * tile.pitch(tile.keys));
    int64_t multiplied =
        tile.queries * tile.pitch(tile.depth) + tile.slots * slot;
    if (tile.unit)
      multiplied += tile.queries * tile.pitch(tile.keys);
    int64_t f32s = tile.queries * (tile.keys + 3);
    if (multiplied * bytes + f32s * 4 > int64_t(info.workgroupBytes))
      continue;
    // Sixteen scores a lane or so, eight of a unit's; twice as many results.
    int64_t columns = std::max(tile.keys, tile.width / 2),
            lanes = tile.queries * columns / (tile.unit ? 8 : 16);
    tile.lanes = std::clamp<int64_t>(lanes, std::max(32u, info.subgroup),
                                     std::min(256u, info.maxGroup));
    // Every subgroup has some of the scores and some of the results.
    auto canDealTo = [&](int64_t lanes) {
      return canDeal(tile.queries, tile.keys, *tile.unit,
                     lanes / info.subgroup) &&
             canDeal(tile.queries, tile.width, *tile.unit,
                     lanes / info.subgroup);
    };
    while (tile.unit && tile.lanes > int64_t(info.subgroup) &&
           !canDealTo(tile.lanes))
      tile.lanes /= 2;
    bool byRegisters = !tile.unit || !info.asyncCopyBytes;
    int64_t held = sums(tile) + tile.queries * tile.keys / tile.lanes +
                   slot * bytes / 4 / tile.lanes;
    if (tile.slots > 1 && byRegisters && held > kMostHeld)
      continue;
    if (!best || sums(tile) < sums(*best))
      best = tile;
    if (sums(tile) <= kMostSums)
      break;
  }
  if (!best)
    return "the heads are too large for workgroup memory";
  tile = *best;
  return "";
}
