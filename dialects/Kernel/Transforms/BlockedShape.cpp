//===- BlockedShape.cpp - convolutions in blocks, their tiles -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/BlockedShape.h"
#include "dialects/Kernel/Transforms/Plans.h"

#include <numeric>

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// A tuning chooses between so many tiles.
static constexpr size_t kTilesToTry = 6;

AffineExpr kernel::addressOf(AffineMap map, RankedTensorType type) {
  AffineExpr address = getAffineConstantExpr(0, map.getContext());
  int64_t stride = 1;
  for (int64_t i = type.getRank() - 1; i >= 0; --i) {
    address = address + map.getResult(i) * stride;
    stride *= type.getDimSize(i);
  }
  return simplifyAffineExpr(address, map.getNumDims(), 0);
}

std::optional<int64_t> kernel::growth(AffineExpr e, unsigned d,
                                      unsigned numDims) {
  AffineExpr dim = getAffineDimExpr(d, e.getContext());
  AffineExpr difference =
      simplifyAffineExpr(e.replace(dim, dim + 1) - e, numDims, 0);
  if (auto c = dyn_cast<AffineConstantExpr>(difference))
    return c.getValue();
  return std::nullopt;
}

int64_t kernel::sharedBlocks(AffineExpr x, unsigned block, int64_t blocks) {
  int64_t shared = blocks;
  unsigned depends = 0, divided = 0;
  x.walk([&](AffineExpr e) {
    if (auto dim = dyn_cast<AffineDimExpr>(e))
      depends += dim.getPosition() == block;
    auto pair = dyn_cast<AffineBinaryOpExpr>(e);
    if (!pair || pair.getKind() != AffineExprKind::FloorDiv)
      return;
    auto by = dyn_cast<AffineConstantExpr>(pair.getRHS());
    auto dim = dyn_cast<AffineDimExpr>(pair.getLHS());
    if (by && dim && dim.getPosition() == block) {
      ++divided;
      shared = std::gcd(shared, by.getValue());
    }
  });
  return depends == divided ? shared : 1;
}

static bool onlyFirstIsDynamic(RankedTensorType type) {
  return llvm::none_of(type.getShape().drop_front(), ShapedType::isDynamic);
}

std::string kernel::classifyBlocked(linalg::LinalgOp op, BlockedDims &dims) {
  bool small = smallProductOf(op).has_value();
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      !(small || isMultiplyAdd(op, /*widening=*/true)))
    return "not a multiply-add of two tensors of floats, in f32, or of bytes";
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  AffineMap x = maps[0], w = maps[1], y = maps[2];
  auto xType = cast<RankedTensorType>(op.getDpsInputs()[0].getType());
  auto wType = cast<RankedTensorType>(op.getDpsInputs()[1].getType());
  auto yType = cast<RankedTensorType>(op.getDpsInits()[0].getType());
  if (y.getNumResults() < 4 || xType.getRank() < 1 ||
      !y.isProjectedPermutation())
    return "the result is not images of blocks of channels";
  if (!wType.hasStaticShape() || !onlyFirstIsDynamic(xType) ||
      !onlyFirstIsDynamic(yType))
    return "a size other than the images' number is not known";
  ArrayRef<AffineExpr> results = y.getResults();
  auto dimOf = [&](unsigned fromEnd) {
    return cast<AffineDimExpr>(results[results.size() - 1 - fromEnd])
        .getPosition();
  };
  dims.lane = dimOf(0);
  dims.pixel = dimOf(1);
  dims.row = dimOf(2);
  dims.block = dimOf(3);
  for (unsigned i = 0; i + 4 < results.size(); ++i)
    dims.outer.push_back(cast<AffineDimExpr>(results[i]).getPosition());
  auto kinds = op.getIteratorTypesArray();
  for (unsigned d = 0; d < op.getNumLoops(); ++d)
    if (kinds[d] == utils::IteratorType::reduction)
      dims.taps.push_back(d);
    else if (!y.isFunctionOfDim(d))
      return "a parallel loop is not a dim of the result";
  if (dims.taps.empty())
    return "sums nothing";
  int64_t lanes = yType.getShape().back();
  if (lanes != 4 && lanes != 8 && lanes != 16)
    return "the result's last dim is no block of channels";
  AffineExpr lane = getAffineDimExpr(dims.lane, w.getContext());
  if (small) {
    AffineExpr k = getAffineDimExpr(dims.taps.back(), w.getContext());
    dims.terms = wType.getShape().back() / lanes;
    if (w.getNumResults() < 2 || x.getResults().back() != k ||
        xType.getShape().back() % dims.terms ||
        w.getResults().back() != lane * dims.terms + k % dims.terms ||
        w.getResult(w.getNumResults() - 2) != k.floorDiv(dims.terms))
      return "the bytes are not in groups of terms";
  } else if (w.getResults().back() != lane ||
             growth(addressOf(w, wType), dims.lane, w.getNumDims()) != 1) {
    return "the filter is not contiguous along the result's last dim";
  }
  for (unsigned d : {dims.pixel, dims.row})
    if (w.isFunctionOfDim(d))
      return "the filter differs between pixels";
  dims.depthwise = x.isFunctionOfDim(dims.lane);
  AffineExpr address = addressOf(x, xType);
  if (dims.depthwise && small)
    return "a product of bytes for each channel";
  if (dims.depthwise && growth(address, dims.lane, x.getNumDims()) != 1)
    return "the input is not contiguous along the result's last dim";
  if (!growth(address, dims.pixel, x.getNumDims()) ||
      !growth(address, dims.row, x.getNumDims()) ||
      !growth(addressOf(w, wType), dims.block, w.getNumDims()))
    return "an address does not grow evenly";
  return "";
}

bool kernel::isBlockedConv(linalg::LinalgOp op) {
  BlockedDims dims;
  return classifyBlocked(op, dims).empty();
}

SmallVector<BlockedTile> kernel::blockedTiles(int64_t rows, int64_t pixels,
                                              int64_t blocks, bool depthwise,
                                              bool widened,
                                              const TargetInfo &info) {
  double element = widened ? 1 : 0.5;
  SmallVector<std::pair<double, BlockedTile>> found;
  auto cost = [&](int64_t p, int64_t v) {
    return std::max<double>(p * v, 8) + element * (depthwise ? p * v : p) +
           2 * v;
  };
  int64_t registers = info.vectorRegisters - 1;
  for (int64_t v = 1; v <= std::min<int64_t>(blocks, 4); ++v) {
    if (blocks % v)
      continue;
    for (int64_t r = 1; r <= rows; ++r) {
      BlockedTile best;
      double bestCost = std::numeric_limits<double>::max();
      for (int64_t p = r == 1 ? 1 : pixels; p <= pixels; ++p) {
        if (r * p * v + v > registers || r * p * v > registers - 2)
          break;
        auto row = [&](int64_t together) {
          double all = double(pixels / p) * cost(together * p, v);
          if (pixels % p)
            all += cost(together * (pixels % p), v);
          return all;
        };
        double all = double(rows / r) * row(r);
        if (rows % r)
          all += row(rows % r);
        all *= double(blocks / v);
        if (all <= bestCost)
          best = {r, p, v}, bestCost = all;
      }
      if (bestCost == std::numeric_limits<double>::max())
        break;
      // Before equal ones: more blocks at once.
      auto at = llvm::lower_bound(
          found, bestCost, [](auto &f, double cost) { return f.first < cost; });
      found.insert(at, {bestCost, best});
    }
  }
  SmallVector<BlockedTile> tiles;
  for (auto &[_, tile] : ArrayRef(found).take_front(kTilesToTry))
    tiles.push_back(tile);
  return tiles;
}
