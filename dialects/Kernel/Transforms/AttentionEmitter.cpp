//===- AttentionEmitter.cpp - attention of its operations -----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/AttentionEmitter.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/Product.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

Value AttentionEmitter::ifElse(Value condition, function_ref<Value()> then,
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

Value AttentionEmitter::loop(OpFoldResult size, Value init,
                             function_ref<Value(Value, Value)> body) {
  auto each = scf::ForOp::create(b, loc, tb.index(0), tb.toValue(size),
                                 tb.index(1), init);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(each.getBody());
  Value v = body(each.getInductionVar(), each.getRegionIterArg(0));
  scf::YieldOp::create(b, loc, v);
  return each.getResult(0);
}

Value AttentionEmitter::weight(Value v, Value max) {
  Value e = exp(arith::SubFOp::create(b, loc, v, max));
  return arith::SelectOp::create(b, loc, isNone(max), constant(0), e);
}

SmallVector<Value> AttentionEmitter::scoreIvs(ValueRange batch,
                                              ValueRange query, Value key,
                                              ValueRange depth) {
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

SmallVector<Value> AttentionEmitter::outputIvs(ValueRange batch,
                                               ValueRange query, Value key,
                                               ValueRange width) {
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

void AttentionEmitter::storeOutput(Value v, ArrayRef<Value> ivs) {
  Value out = tb.memoryOf(epilogue.op ? epilogue.op->getResult(0)
                                      : g.output->getResult(0));
  SmallVector<Value> point =
      tb.apply(g.output.getIndexingMapsArray().back(), ivs);
  tb.store(applyEpilogueScalar(tb, epilogue, v, point), out, point);
}

void AttentionEmitter::forTile(ArrayRef<int64_t> shape,
                               function_ref<void(ValueRange)> body) {
  SmallVector<OpFoldResult> sizes;
  for (int64_t n : shape)
    sizes.push_back(b.getIndexAttr(n));
  tb.forTile(sizes, body);
}

//===----------------------------------------------------------------------===//
// On scalars
//===----------------------------------------------------------------------===//

void AttentionEmitter::onScalars(bool serial) {
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
  AttentionEmitter(tb, group, epilogue).onScalars(serial);
}
