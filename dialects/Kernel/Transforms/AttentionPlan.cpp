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
// values added. The division comes last. (Milakov and Gimelshein, "Online
// normalizer calculation for softmax", 2018; Dao et al., "FlashAttention",
// 2022.) A row all of whose scores are -inf has no weights: it gives 0 / 0, as
// softmax does.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/AttentionGroup.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/Product.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

namespace {

/// What both ways of running attention need of its operations.
class Emitter {
public:
  Emitter(TileBuilder &tb, const AttentionGroup &g, const Epilogue &epilogue)
      : tb(tb), b(tb.b), loc(tb.loc), g(g), epilogue(epilogue),
        f32(tb.b.getF32Type()) {
    scoreSizes = loopSizes(tb, g.scores);
    outputSizes = loopSizes(tb, g.output);
  }

  void onTiles(const AttentionTile &tile);
  void onScalars(bool serial);

private:
  SmallVector<OpFoldResult> sizesOf(ArrayRef<OpFoldResult> of,
                                    ArrayRef<unsigned> dims) {
    return llvm::map_to_vector(dims, [&](unsigned d) { return of[d]; });
  }
  Value constant(double v, Type type = {}) {
    return arith::ConstantOp::create(b, loc,
                                     b.getFloatAttr(type ? type : f32, v));
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value below(Value x, Value y) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, x, y);
  }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, loc, x, y); }
  Value load(Value memref, ValueRange at) {
    return memref::LoadOp::create(b, loc, memref, at);
  }
  void store(Value v, Value memref, ValueRange at) {
    memref::StoreOp::create(b, loc, v, memref, at);
  }
  Value as(Type type, Value v) {
    if (v.getType() == type)
      return v;
    if (v.getType().getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth())
      return arith::ExtFOp::create(b, loc, type, v);
    return arith::TruncFOp::create(b, loc, type, v);
  }
  /// An element of an operand of one of the products.
  Value element(linalg::GenericOp op, unsigned i, ArrayRef<Value> ivs,
                Type type) {
    return as(type, tb.load(tb.memoryOf(op.getDpsInputs()[i]),
                            tb.apply(op.getIndexingMapsArray()[i], ivs)));
  }
  Value ifElse(Value condition, function_ref<Value()> then, Value otherwise);
  Value loop(OpFoldResult size, Value init,
             function_ref<Value(Value, Value)> body);
  /// The score after scale and mask; `point` as the scores' dims.
  Value biased(Value score, ArrayRef<Value> point) {
    if (!g.bias)
      return score;
    return applyEpilogueScalar(tb, {g.bias, g.biasOperand}, score, point);
  }
  Value exp(Value v) { return math::ExpOp::create(b, loc, v); }
  /// exp(v - max); without scores that count (max is -inf) zero.
  Value weight(Value v, Value max);
  Value isNone(Value max) {
    return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, max,
                                 constant(-INFINITY));
  }
  Value maximum(Value x, Value y) {
    return arith::MaximumFOp::create(b, loc, x, y);
  }
  /// Points of the scores without their key; of a product's loops.
  SmallVector<Value> scoreIvs(ValueRange batch, ValueRange query, Value key,
                              ValueRange depth);
  SmallVector<Value> outputIvs(ValueRange batch, ValueRange query, Value key,
                               ValueRange width);
  void storeOutput(Value v, ArrayRef<Value> ivs);

  Value alloc(ArrayRef<int64_t> shape) {
    return AllocOp::create(
        b, loc, MemRefType::get(shape, f32, AffineMap(), kWorkgroupSpace));
  }
  /// Of what is multiplied.
  Value alloc(const AttentionTile &tile, int64_t rows, int64_t columns) {
    auto layout =
        StridedLayoutAttr::get(b.getContext(), 0, {tile.pitch(columns), 1});
    auto plain = MemRefType::get({rows, columns}, tile.type, AffineMap(),
                                 kWorkgroupSpace);
    return AllocOp::create(b, loc,
                           tile.unit
                               ? MemRefType::get({rows, columns}, tile.type,
                                                 layout, plain.getMemorySpace())
                               : plain);
  }
  void forTile(ArrayRef<int64_t> shape, function_ref<void(ValueRange)> body);

  TileBuilder &tb;
  OpBuilder &b;
  Location loc;
  AttentionGroup g;
  const Epilogue &epilogue;
  Type f32;
  SmallVector<OpFoldResult> scoreSizes, outputSizes;
};

} // namespace

Value Emitter::ifElse(Value condition, function_ref<Value()> then,
                      Value otherwise) {
  auto branch = scf::IfOp::create(b, loc, otherwise.getType(), condition, true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&branch.getThenRegion().front());
  Value v = then();
  scf::YieldOp::create(b, loc, v);
  b.setInsertionPointToStart(&branch.getElseRegion().front());
  scf::YieldOp::create(b, loc, otherwise);
  return branch.getResult(0);
}

Value Emitter::loop(OpFoldResult size, Value init,
                    function_ref<Value(Value, Value)> body) {
  auto each = scf::ForOp::create(b, loc, tb.index(0), tb.toValue(size),
                                 tb.index(1), init);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(each.getBody());
  Value v = body(each.getInductionVar(), each.getRegionIterArg(0));
  scf::YieldOp::create(b, loc, v);
  return each.getResult(0);
}

Value Emitter::weight(Value v, Value max) {
  Value e = exp(arith::SubFOp::create(b, loc, v, max));
  return arith::SelectOp::create(b, loc, isNone(max), constant(0), e);
}

SmallVector<Value> Emitter::scoreIvs(ValueRange batch, ValueRange query,
                                     Value key, ValueRange depth) {
  SmallVector<Value> ivs(g.scores.getNumLoops(), tb.index(0));
  for (auto [d, v] : llvm::zip_equal(g.batch, batch))
    ivs[d] = v;
  for (auto [d, v] : llvm::zip_equal(g.queries, query))
    ivs[d] = v;
  ivs[g.rank() - 1] = key;
  for (auto [d, v] : llvm::zip(g.depth, depth))
    ivs[d] = v;
  return ivs;
}

SmallVector<Value> Emitter::outputIvs(ValueRange batch, ValueRange query,
                                      Value key, ValueRange width) {
  SmallVector<Value> ivs(g.output.getNumLoops(), tb.index(0));
  for (auto [d, v] : llvm::zip_equal(g.batch, batch))
    ivs[g.outputLoop[d]] = v;
  for (auto [d, v] : llvm::zip_equal(g.queries, query))
    ivs[g.outputLoop[d]] = v;
  ivs[g.outputLoop.back()] = key;
  for (auto [d, v] : llvm::zip_equal(g.width, width))
    ivs[d] = v;
  return ivs;
}

void Emitter::storeOutput(Value v, ArrayRef<Value> ivs) {
  Value out = tb.memoryOf(epilogue.op ? epilogue.op->getResult(0)
                                      : g.output->getResult(0));
  SmallVector<Value> point =
      tb.apply(g.output.getIndexingMapsArray().back(), ivs);
  tb.store(applyEpilogueScalar(tb, epilogue, v, point), out, point);
}

void Emitter::forTile(ArrayRef<int64_t> shape,
                      function_ref<void(ValueRange)> body) {
  SmallVector<OpFoldResult> sizes;
  for (int64_t n : shape)
    sizes.push_back(b.getIndexAttr(n));
  tb.forTile(sizes, body);
}

//===----------------------------------------------------------------------===//
// By tiles
//===----------------------------------------------------------------------===//

void Emitter::onTiles(const AttentionTile &tile) {
  SmallVector<OpFoldResult> batchSizes = sizesOf(scoreSizes, g.batch),
                            querySizes = sizesOf(scoreSizes, g.queries),
                            depthSizes = sizesOf(scoreSizes, g.depth),
                            widthSizes = sizesOf(outputSizes, g.width);
  OpFoldResult queries = productOf(tb, querySizes);
  SmallVector<OpFoldResult> extents = batchSizes;
  extents.push_back(tb.ceilDiv(queries, tile.queries));
  SmallVector<Value> at = tb.makeGrid(extents);
  SmallVector<Value> batch(ArrayRef(at).drop_back());
  Value m0 = arith::MulIOp::create(b, loc, at.back(), tb.index(tile.queries));
  Value sizeM = tb.toValue(queries),
        sizeK = tb.toValue(productOf(tb, depthSizes)),
        sizeN = tb.toValue(productOf(tb, widthSizes)),
        keys = tb.toValue(scoreSizes[g.rank() - 1]);
  // A unit takes keys as they lie; multiply-add reads along them.
  Value tileQ = alloc(tile, tile.queries, tile.depth),
        tileK = tile.unit ? alloc(tile, tile.keys, tile.depth)
                          : alloc(tile, tile.depth, tile.keys),
        // Along the keys where lanes load a unit's fragments one by one.
      tileV = tile.turned ? alloc(tile, tile.width, tile.keys)
                          : alloc(tile, tile.keys, tile.width),
        tileS = alloc({tile.queries, tile.keys}),
        tileP = tile.unit ? alloc(tile, tile.queries, tile.keys) : tileS,
        rowMax = alloc({tile.queries}), rowSum = alloc({tile.queries}),
        rowGrowth = alloc({tile.queries});
  auto query = [&](Value i) {
    return tb.coordinatesOf(add(m0, i), querySizes);
  };

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

  auto outputs = VectorType::get({tile.queries, tile.width}, f32);
  Value nothing = vector::BroadcastOp::create(b, loc, outputs, constant(0));
  auto loop = scf::ForOp::create(b, loc, tb.index(0), keys, tb.index(tile.keys),
                                 nothing);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value n0 = loop.getInductionVar(), zero = tb.index(0);
    AffineMap keyMap = g.scores.getIndexingMapsArray()[g.key];
    // Side by side along what is contiguous.
    bool alongKeys = keyMap.getNumResults() &&
                     keyMap.getResults().back().isFunctionOfDim(g.rank() - 1);
    auto bringKey = [&](Value d, Value j) {
      Value key = add(n0, j);
      Value v = ifElse(
          both(below(key, keys), below(d, sizeK)),
          [&] {
            return element(g.scores, g.key,
                           scoreIvs(batch,
                                    SmallVector<Value>(querySizes.size(), zero),
                                    key, tb.coordinatesOf(d, depthSizes)),
                           tile.type);
          },
          constant(0, tile.type));
      if (tile.unit)
        store(v, tileK, {j, d});
      else
        store(v, tileK, {d, j});
    };
    if (alongKeys)
      forTile({tile.depth, tile.keys},
              [&](ValueRange p) { bringKey(p[0], p[1]); });
    else
      forTile({tile.keys, tile.depth},
              [&](ValueRange p) { bringKey(p[1], p[0]); });
    forTile({tile.keys, tile.width}, [&](ValueRange p) {
      Value key = add(n0, p[0]);
      Value v = ifElse(
          both(below(key, keys), below(p[1], sizeN)),
          [&] {
            return element(
                g.output, g.value,
                outputIvs(batch, SmallVector<Value>(querySizes.size(), zero),
                          key, tb.coordinatesOf(p[1], widthSizes)),
                tile.type);
          },
          constant(0, tile.type));
      if (tile.turned)
        store(v, tileV, {p[1], p[0]});
      else
        store(v, tileV, p);
    });
    auto turned = [&](Value tile) -> Value {
      return memref::TransposeOp::create(
          b, loc, tile,
          AffineMapAttr::get(AffineMap::getPermutationMap(
              ArrayRef<unsigned>{1, 0}, b.getContext())));
    };

    auto scores = VectorType::get({tile.queries, tile.keys}, f32);
    Value none = vector::BroadcastOp::create(b, loc, scores, constant(0));
    StringAttr unit =
        tile.unit ? b.getStringAttr(tile.unit->name) : StringAttr();
    Value keyRows = tile.unit ? turned(tileK) : tileK,
          values = tile.turned ? turned(tileV) : tileV;
    Value s = MmaOp::create(b, loc, scores, tileQ, keyRows, none, unit);
    const bool inBounds[] = {true, true};
    vector::TransferWriteOp::create(b, loc, s, tileS, ValueRange{zero, zero},
                                    inBounds);
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
    // Each lane scales the sums that it holds.
    Value growth = vector::TransferReadOp::create(
        b, loc, outputs, rowGrowth, zero, constant(0),
        AffineMap::get(1, 0,
                       {b.getAffineDimExpr(0), b.getAffineConstantExpr(0)},
                       b.getContext()),
        inBounds);
    Value scaled =
        arith::MulFOp::create(b, loc, loop.getRegionIterArg(0), growth);
    Value o = MmaOp::create(b, loc, outputs, tileP, values, scaled, unit);
    scf::YieldOp::create(b, loc, o);
  }

  auto each = EachOp::create(b, loc, loop.getResult(0));
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
  Emitter(tb, group, epilogue).onTiles(tile);
  tb.finish("attention " + std::to_string(tile.queries) + "x" +
            std::to_string(tile.keys) +
            (tile.unit ? std::string(" ") + tile.unit->name : ""));
  return "";
}

//===----------------------------------------------------------------------===//
// On scalars
//===----------------------------------------------------------------------===//

void Emitter::onScalars(bool serial) {
  SmallVector<OpFoldResult> space = sizesOf(scoreSizes, g.batch);
  llvm::append_range(space, sizesOf(scoreSizes, g.queries));
  SmallVector<OpFoldResult> depthSizes = sizesOf(scoreSizes, g.depth),
                            widthSizes = sizesOf(outputSizes, g.width);
  OpFoldResult depth = productOf(tb, depthSizes),
               width = productOf(tb, widthSizes),
               keys = scoreSizes[g.rank() - 1];
  int64_t perGroup = serial ? std::numeric_limits<int32_t>::max() : 1;
  tb.forEachPoint(space, perGroup, [&](ValueRange at) {
    ValueRange batch = at.take_front(g.batch.size()),
               query = at.drop_front(g.batch.size());
    auto score = [&](Value key) {
      Value sum = loop(depth, constant(0), [&](Value d, Value sum) -> Value {
        SmallVector<Value> ivs =
            scoreIvs(batch, query, key, tb.coordinatesOf(d, depthSizes));
        Value v = arith::MulFOp::create(b, loc, element(g.scores, 0, ivs, f32),
                                        element(g.scores, 1, ivs, f32));
        return arith::AddFOp::create(b, loc, sum, v);
      });
      SmallVector<Value> point = scoreIvs(batch, query, key, {});
      return biased(sum, ArrayRef<Value>(point).take_front(g.rank()));
    };
    Value max = loop(keys, constant(-INFINITY), [&](Value key, Value most) {
      return maximum(most, score(key));
    });
    Value sum = loop(keys, constant(0), [&](Value key, Value sum) -> Value {
      return arith::AddFOp::create(b, loc, sum, weight(score(key), max));
    });
    auto each =
        scf::ForOp::create(b, loc, tb.index(0), tb.toValue(width), tb.index(1));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(each.getBody());
    SmallVector<Value> place =
        tb.coordinatesOf(each.getInductionVar(), widthSizes);
    Value v = loop(keys, constant(0), [&](Value key, Value sum) -> Value {
      Value x =
          element(g.output, g.value, outputIvs(batch, query, key, place), f32);
      Value w = arith::MulFOp::create(b, loc, weight(score(key), max), x);
      return arith::AddFOp::create(b, loc, sum, w);
    });
    storeOutput(arith::DivFOp::create(b, loc, v, sum),
                outputIvs(batch, query, tb.index(0), place));
  });
}

void kernel::emitAttentionOnScalars(TileBuilder &tb,
                                    const AttentionGroup &group,
                                    const Epilogue &epilogue, bool serial) {
  Emitter(tb, group, epilogue).onScalars(serial);
}
