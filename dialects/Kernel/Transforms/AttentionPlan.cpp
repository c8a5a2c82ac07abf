//===- AttentionPlan.cpp - attention with online softmax ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A workgroup takes some queries of a head and goes over the keys, some at a
// time: scores, by a product of tiles; the rows' new maxima; the weights as
// exponentials of what the scores lack to these; the sums so far, which stay in
// registers, scaled by what the maxima grew, and the product of weights and
// values added. The division comes last. Keys and values come through a ring.
// (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018;
// Dao et al., "FlashAttention", 2022.) A row all of whose scores are -inf has
// no weights: it gives 0 / 0, as softmax does.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/AttentionEmitter.h"
#include "dialects/Kernel/Transforms/MatrixSlices.h"
#include "dialects/Kernel/Transforms/Plans.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

namespace {
/// The program of a workgroup that takes some queries of a head.
class TileEmitter : AttentionEmitter {
public:
  TileEmitter(TileBuilder &tb, const AttentionGroup &g,
              const Epilogue &epilogue, const AttentionTile &tile,
              const TargetInfo &info);
  void run();

private:
  Factor factorOf(linalg::GenericOp op, unsigned input, bool alongOuter,
                  ArrayRef<unsigned> along, ArrayRef<OpFoldResult> sizes);
  void bringSlot(Value slot);
  void bringElements(ValueRange tiles, Value n0);
  Value sumsOfSteps();
  void weigh(Value n0);
  void storeSums(Value sums);

  SmallVector<Value> query(Value i) {
    return tb.coordinatesOf(add(m0, i), querySizes);
  }
  Value timesKeys(Value step) {
    return arith::MulIOp::create(b, loc, step, tb.index(tile.keys));
  }
  MemRefType memory(int64_t rows, int64_t columns, int64_t pitch) {
    auto space = IntegerAttr::get(b.getI64Type(), kWorkgroupSpace);
    return MemRefType::get(
        {rows, columns}, tile.type,
        StridedLayoutAttr::get(b.getContext(), 0, {pitch, 1}), space);
  }
  Value operand(Value tile, bool turned) {
    if (!turned)
      return tile;
    return memref::TransposeOp::create(
        b, loc, tile,
        AffineMapAttr::get(AffineMap::getPermutationMap(
            ArrayRef<unsigned>{1, 0}, b.getContext())));
  }

  const AttentionTile &tile;
  SmallVector<OpFoldResult> batchSizes, querySizes, depthSizes, widthSizes,
      keySizes;
  SmallVector<Value> batch;
  Value m0, sizeM, sizeK, sizeN, keys;
  /// As factors of the two products, and how they come from memory.
  Product ofKeys, ofValues;
  Way wayK, wayV;
  std::optional<MatrixSlice> sliceK, sliceV; // of a unit
  SmallVector<Type> slotTypes;
  Value ring, tileQ, tileS, tileP, rowMax, rowSum, rowGrowth;
};
} // namespace

TileEmitter::TileEmitter(TileBuilder &tb, const AttentionGroup &g,
                         const Epilogue &epilogue, const AttentionTile &tile,
                         const TargetInfo &info)
    : AttentionEmitter(tb, g, epilogue), tile(tile),
      batchSizes(sizesOf(scoreSizes, g.batch)),
      querySizes(sizesOf(scoreSizes, g.queries)),
      depthSizes(sizesOf(scoreSizes, g.depth)),
      widthSizes(sizesOf(outputSizes, g.width)),
      keySizes({scoreSizes[g.rank() - 1]}) {
  if (!tile.unit) {
    // Multiply-add reads along the keys, and along the width; keys are stored
    // across, where the next row is in the next bank.
    slotTypes = {memory(tile.depth, tile.keys, tile.keyPitch()),
                 memory(tile.keys, tile.width, tile.width)};
    return;
  }
  ofKeys.batch = ofValues.batch = batchSizes;
  ofKeys.n = ofValues.k = keySizes;
  ofKeys.k = depthSizes;
  ofValues.n = widthSizes;
  unsigned lastKey = g.rank() - 1, lastOutputKey = g.outputLoop.back();
  bool alongKeys = g.keysLieAlong(), alongWidth = g.valuesLieAlong();
  ofKeys.b =
      factorOf(g.scores, g.key, alongKeys,
               alongKeys ? ArrayRef(lastKey) : ArrayRef(g.depth), scoreSizes);
  ofValues.b = factorOf(
      g.output, g.value, alongWidth,
      alongWidth ? ArrayRef(g.width) : ArrayRef(lastOutputKey), outputSizes);
  sliceK.emplace(ofKeys.b, tile.keys, tile.depth, tile.lanes, info);
  sliceV.emplace(ofValues.b, tile.width, tile.keys, tile.lanes, info);
  slotTypes = {sliceK->type, sliceV->type};
}

/// Keys or values; the keys are the rows of one and the terms of the other.
Factor TileEmitter::factorOf(linalg::GenericOp op, unsigned input,
                             bool alongOuter, ArrayRef<unsigned> along,
                             ArrayRef<OpFoldResult> sizes) {
  AffineMap map = op.getIndexingMapsArray()[input];
  Value memref = tb.memoryOf(op.getDpsInputs()[input]);
  bool isKeys = op == g.scores;
  Factor f;
  f.narrow = tile.type;
  f.alongOuter = alongOuter;
  f.run = runOf(tb, map, along, sizes);
  f.at = [this, map, memref, isKeys](Place batch, Place outer, Place k) {
    SmallVector<Value> none(g.queries.size(), tb.index(0));
    return std::pair(
        memref, tb.apply(map, isKeys ? scoreIvs(batch, none, outer[0], k)
                                     : outputIvs(batch, none, k[0], outer)));
  };
  f.element = [at = f.at, this](Place batch, Place outer, Place k, bool) {
    auto [memref, indices] = at(batch, outer, k);
    return tb.load(memref, indices);
  };
  return f;
}

void TileEmitter::bringSlot(Value slot) {
  auto tiles = RingAcquireOp::create(b, loc, slotTypes, ring, slot);
  Value n0 = timesKeys(slot);
  if (tile.unit) {
    sliceK->bring(
        tb, wayK,
        {batch, n0, keys, keySizes, sizeK, depthSizes, /*pastOuter=*/true},
        tiles.getResult(0), tb.index(0));
    sliceV->bring(tb, wayV,
                  {batch, tb.index(0), sizeN, widthSizes, keys, keySizes},
                  tiles.getResult(1), n0);
  } else {
    bringElements(tiles.getResults(), n0);
  }
  RingCommitOp::create(b, loc, ring, slot);
}

/// In the type of the sums.
void TileEmitter::bringElements(ValueRange tiles, Value n0) {
  SmallVector<Value> none(querySizes.size(), tb.index(0));
  auto elementOr0 = [&](Value inside, linalg::GenericOp op, unsigned i,
                        function_ref<SmallVector<Value>()> ivs) {
    return ifElse(
        inside, [&] { return element(op, i, ivs(), tile.type); },
        constant(0, tile.type));
  };
  // Side by side along what is contiguous.
  bool alongKeys = g.keysLieAlong();
  SmallVector<int64_t> shape = {tile.keys, tile.depth};
  if (alongKeys)
    std::swap(shape[0], shape[1]);
  forTile(shape, [&](ValueRange p) {
    Value j = p[alongKeys ? 1 : 0], d = p[alongKeys ? 0 : 1], key = add(n0, j);
    Value v = elementOr0(
        both(below(key, keys), below(d, sizeK)), g.scores, g.key, [&] {
          return scoreIvs(batch, none, key, tb.coordinatesOf(d, depthSizes));
        });
    store(v, tiles[0], {d, j});
  });
  forTile({tile.keys, tile.width}, [&](ValueRange p) {
    Value key = add(n0, p[0]);
    Value v = elementOr0(both(below(key, keys), below(p[1], sizeN)), g.output,
                         g.value, [&] {
                           return outputIvs(batch, none, key,
                                            tb.coordinatesOf(p[1], widthSizes));
                         });
    store(v, tiles[1], p);
  });
}

/// From scores to weights: the rows' maxima, what they grew by, and sums.
void TileEmitter::weigh(Value n0) {
  forTile({tile.queries, tile.keys}, [&](ValueRange p) {
    Value key = add(n0, p[1]);
    Value inside = both(below(add(m0, p[0]), sizeM), below(key, keys));
    Value v = ifElse(
        inside,
        [&] {
          SmallVector<Value> point = scoreIvs(batch, query(p[0]), key, {});
          return biased(load(tileS, p),
                        ArrayRef<Value>(point).take_front(g.rank()));
        },
        constant(-INFINITY));
    store(v, tileS, p);
  });
  forTile({tile.queries}, [&](ValueRange p) {
    Value old = load(rowMax, p);
    Value now =
        this->loop(b.getIndexAttr(tile.keys), old, [&](Value j, Value most) {
          return maximum(most, load(tileS, {p[0], j}));
        });
    store(now, rowMax, p);
    store(weight(old, now), rowGrowth, p);
  });
  forTile({tile.queries, tile.keys}, [&](ValueRange p) {
    Value w = weight(load(tileS, p), load(rowMax, p[0]));
    if (tile.unit)
      store(as(tile.type, w), tileP, p);
    store(w, tileS, p);
  });
  forTile({tile.queries}, [&](ValueRange p) {
    Value scaled =
        arith::MulFOp::create(b, loc, load(rowSum, p), load(rowGrowth, p));
    Value sum = this->loop(
        b.getIndexAttr(tile.keys), scaled, [&](Value j, Value sum) -> Value {
          return arith::AddFOp::create(b, loc, sum, load(tileS, {p[0], j}));
        });
    store(sum, rowSum, p);
  });
}

/// The loop over the keys.
Value TileEmitter::sumsOfSteps() {
  Value zero = tb.index(0), one = tb.index(1);
  if (tile.slots > 1)
    bringSlot(zero);
  auto scores = VectorType::get({tile.queries, tile.keys}, f32),
       outputs = VectorType::get({tile.queries, tile.width}, f32);
  Value nothing = vector::BroadcastOp::create(b, loc, outputs, constant(0));
  auto loop = scf::ForOp::create(b, loc, zero,
                                 tb.toValue(tb.ceilDiv(keySizes[0], tile.keys)),
                                 one, nothing);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value step = loop.getInductionVar();
  RingWaitOp now = tb.takeSlot(ring, step, tile.slots > 1 ? one : Value(),
                               [&](Value next) { bringSlot(next); });
  StringAttr unit = tile.unit ? b.getStringAttr(tile.unit->name) : StringAttr();
  const bool inBounds[] = {true, true};
  Value none = vector::BroadcastOp::create(b, loc, scores, constant(0));
  Value s = MmaOp::create(
      b, loc, scores, tileQ,
      operand(now.getResult(0), tile.unit && !tile.alongKeys), none, unit);
  vector::TransferWriteOp::create(b, loc, s, tileS, ValueRange{zero, zero},
                                  inBounds);
  weigh(timesKeys(step));
  // Each lane scales the sums that it holds.
  Value growth = vector::TransferReadOp::create(
      b, loc, outputs, rowGrowth, zero, constant(0),
      AffineMap::get(1, 0, {b.getAffineDimExpr(0), b.getAffineConstantExpr(0)},
                     b.getContext()),
      inBounds);
  Value scaled =
      arith::MulFOp::create(b, loc, loop.getRegionIterArg(0), growth);
  Value o = MmaOp::create(
      b, loc, outputs, tileP,
      operand(now.getResult(1), tile.unit && !tile.alongWidth), scaled, unit);
  RingReleaseOp::create(b, loc, ring, step);
  scf::YieldOp::create(b, loc, o);
  return loop.getResult(0);
}

void TileEmitter::storeSums(Value sums) {
  auto each = EachOp::create(b, loc, sums);
  OpBuilder::InsertionGuard guard(b);
  Type index = b.getIndexType();
  Block *body =
      b.createBlock(&each.getBody(), {}, {index, index, f32}, {loc, loc, loc});
  Value row = body->getArgument(0), column = body->getArgument(1);
  Value inside = both(below(add(m0, row), sizeM), below(column, sizeN));
  auto branch = scf::IfOp::create(b, loc, inside, /*withElseRegion=*/false);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  Value v =
      arith::DivFOp::create(b, loc, body->getArgument(2), load(rowSum, row));
  storeOutput(v, outputIvs(batch, query(row), tb.index(0),
                           tb.coordinatesOf(column, widthSizes)));
}

void TileEmitter::run() {
  OpFoldResult queries = productOf(tb, querySizes);
  SmallVector<OpFoldResult> extents = batchSizes;
  extents.push_back(tb.ceilDiv(queries, tile.queries));
  SmallVector<Value> at = tb.makeGrid(extents);
  batch.assign(at.begin(), at.end() - 1);
  m0 = arith::MulIOp::create(b, loc, at.back(), tb.index(tile.queries));
  sizeM = tb.toValue(queries);
  sizeK = tb.toValue(productOf(tb, depthSizes));
  sizeN = tb.toValue(productOf(tb, widthSizes));
  keys = tb.toValue(keySizes[0]);
  if (tile.unit) {
    wayK = wayOf(tb, ofKeys, ofKeys.b);
    wayV = wayOf(tb, ofValues, ofValues.b);
  }
  ring = RingOp::create(b, loc,
                        RingType::get(b.getContext(), tile.slots, slotTypes));
  tileQ = alloc(tile, tile.queries, tile.depth);
  tileS = alloc({tile.queries, tile.keys});
  tileP = tile.unit ? alloc(tile, tile.queries, tile.keys) : tileS;
  rowMax = alloc({tile.queries});
  rowSum = alloc({tile.queries});
  rowGrowth = alloc({tile.queries});

  forTile({tile.queries, tile.depth}, [&](ValueRange p) {
    Value inside = both(below(add(m0, p[0]), sizeM), below(p[1], sizeK));
    Value v = ifElse(
        inside,
        [&] {
          return element(g.scores, g.query,
                         scoreIvs(batch, query(p[0]), tb.index(0),
                                  tb.coordinatesOf(p[1], depthSizes)),
                         tile.type);
        },
        constant(0, tile.type));
    store(v, tileQ, p);
  });
  forTile({tile.queries}, [&](ValueRange p) {
    store(constant(-INFINITY), rowMax, p);
    store(constant(0), rowSum, p);
  });

  // Pieces go one way in the whole loop, which has no branches then.
  SmallVector<Way *> asked;
  if (tile.unit && sliceK->inPieces && wayK.aligned)
    asked.push_back(&wayK);
  if (tile.unit && sliceV->inPieces && wayV.aligned)
    asked.push_back(&wayV);
  if (asked.empty()) {
    storeSums(sumsOfSteps());
  } else {
    Value aligned = asked.front()->aligned;
    if (asked.size() > 1)
      aligned = both(aligned, asked.back()->aligned);
    auto outputs = VectorType::get({tile.queries, tile.width}, f32);
    auto branch = scf::IfOp::create(b, loc, outputs, aligned, true);
    auto inBranch = [&](Region &region) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(&region.front());
      Value v = sumsOfSteps();
      scf::YieldOp::create(b, loc, v);
    };
    for (Way *way : asked)
      way->aligned = {};
    inBranch(branch.getThenRegion());
    for (Way *way : asked)
      *way = {};
    inBranch(branch.getElseRegion());
    storeSums(branch.getResult(0));
  }
  tb.result.setGroup(tile.lanes);
}

std::string kernel::planAttention(FuncOp kernel, const TargetInfo &info) {
  AttentionGroup group;
  Epilogue epilogue;
  if (std::string why = findAttention(kernel, group, epilogue); !why.empty())
    return "no attention: " + why;
  AttentionTile tile;
  if (std::string why = chooseAttentionTile(group, info, tile); !why.empty())
    return why;
  TileBuilder tb(kernel);
  TileEmitter(tb, group, epilogue, tile, info).run();
  tb.finish("attention " + std::to_string(tile.queries) + "x" +
            std::to_string(tile.keys) +
            (tile.unit ? std::string(" ") + tile.unit->name : "") + " ring " +
            std::to_string(tile.slots));
  return "";
}
