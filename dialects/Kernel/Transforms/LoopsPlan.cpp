//===- LoopsPlan.cpp - the ladder: one element a lane, then one lane ------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes every kernel of one operation and its epilogue, and every row group.
// Each output element, or row, is computed by one iteration of an scf.forall,
// its reductions by serial loops; `serial` is the same with a grid of one
// workgroup.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/MergeDims.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/Product.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// What the reduction of output `i` starts from.
static Value initialValue(TileBuilder &tb, linalg::LinalgOp op, unsigned i,
                          ValueRange ivs) {
  Value init = op.getDpsInits()[i];
  if (auto fill = init.getDefiningOp<linalg::FillOp>())
    return tb.scalar(fill.value());
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(i));
  return tb.load(tb.memoryOf(init), tb.apply(map, ivs));
}

/// Reduction loops dims[from..], innermost runs the body on accumulators.
static SmallVector<Value>
reduce(TileBuilder &tb, ArrayRef<std::pair<unsigned, OpFoldResult>> dims,
       SmallVector<Value> &ivs, ValueRange acc,
       function_ref<SmallVector<Value>(ValueRange)> body) {
  if (dims.empty())
    return body(acc);
  auto loop = scf::ForOp::create(tb.b, tb.loc, tb.index(0),
                                 tb.toValue(dims[0].second), tb.index(1), acc);
  OpBuilder::InsertionGuard guard(tb.b);
  tb.b.setInsertionPointToStart(loop.getBody());
  ivs[dims[0].first] = loop.getInductionVar();
  SmallVector<Value> next =
      reduce(tb, dims.drop_front(), ivs, loop.getRegionIterArgs(), body);
  scf::YieldOp::create(tb.b, tb.loc, next);
  return SmallVector<Value>(loop.getResults());
}

static void emitGeneric(TileBuilder &tb, linalg::LinalgOp op,
                        const Epilogue &epilogue, bool serial) {
  auto kinds = op.getIteratorTypesArray();
  SmallVector<SmallVector<unsigned>> groups;
  for (ArrayRef<unsigned> run : mergeDims(op.getIndexingMapsArray(), kinds)) {
    // An epilogue and linalg.index name the loops one by one.
    if (op.hasIndexSemantics() ||
        (epilogue.op && kinds[run[0]] == utils::IteratorType::parallel))
      for (unsigned d : run)
        groups.push_back({d});
    else
      groups.push_back(llvm::to_vector(run));
  }
  SmallVector<OpFoldResult> sizes = loopSizes(tb, op);
  SmallVector<OpFoldResult> space;
  SmallVector<unsigned> spaceDims;
  SmallVector<std::pair<unsigned, OpFoldResult>> reduction;
  int64_t perPoint = std::distance(op->getRegion(0).front().begin(),
                                   op->getRegion(0).front().end());
  for (auto [g, dims] : llvm::enumerate(groups)) {
    OpFoldResult size = tb.b.getIndexAttr(1);
    for (unsigned d : dims)
      size = tb.mul(size, sizes[d]);
    if (kinds[dims.front()] == utils::IteratorType::parallel) {
      space.push_back(size);
      spaceDims.push_back(g);
    } else {
      reduction.push_back({g, size});
      perPoint *= getConstantIntValue(size).value_or(64);
    }
  }
  SmallVector<std::pair<Value, AffineMap>> operands;
  for (OpOperand &operand : op->getOpOperands()) {
    Value memref = tb.memoryOf(operand.get());
    if (op.isDpsInit(&operand)) {
      Value stored =
          op->getResult(operand.getOperandNumber() - op.getNumDpsInputs());
      if (epilogue.op)
        stored = epilogue.op->getResult(0);
      memref = tb.memoryOf(stored);
    }
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!isa<ShapedType>(operand.get().getType()))
      operands.push_back({Value(), map});
    else
      operands.push_back(mergeOperand(tb, memref, map, groups));
  }
  unsigned inputs = op.getNumDpsInputs(), outputs = op.getNumDpsInits();
  int64_t perGroup =
      std::max<int64_t>(1, 16384 / std::max<int64_t>(perPoint, 1));
  if (serial)
    perGroup = std::numeric_limits<int32_t>::max();
  tb.forEachPoint(space, perGroup, [&](ValueRange at) {
    SmallVector<Value> ivs(groups.size());
    for (auto [d, iv] : llvm::zip_equal(spaceDims, at))
      ivs[d] = iv;
    SmallVector<Value> acc;
    bool reducing = !reduction.empty();
    // The indices of an init use parallel dims only.
    SmallVector<Value> parallelIvs = ivs;
    for (Value &iv : parallelIvs)
      if (!iv)
        iv = tb.index(0);
    for (unsigned i = 0; i < outputs; ++i) {
      if (reducing) {
        Value init = op.getDpsInits()[i];
        if (init.getDefiningOp<linalg::FillOp>()) {
          acc.push_back(initialValue(tb, op, i, {}));
        } else {
          Value from = tb.memoryOf(init);
          auto [memref, map] = mergeOperand(
              tb, from, op.getMatchingIndexingMap(op.getDpsInitOperand(i)),
              groups);
          acc.push_back(tb.load(memref, tb.apply(map, parallelIvs)));
        }
      }
    }
    auto body = [&](ValueRange accumulators) {
      SmallVector<Value> args;
      for (unsigned i = 0; i < inputs; ++i) {
        auto [memref, map] = operands[i];
        if (!memref)
          args.push_back(tb.scalar(op.getDpsInputs()[i]));
        else
          args.push_back(tb.load(memref, tb.apply(map, ivs)));
      }
      for (unsigned i = 0; i < outputs; ++i) {
        if (reducing) {
          args.push_back(accumulators[i]);
          continue;
        }
        BlockArgument arg = op->getRegion(0).front().getArgument(inputs + i);
        Value init = op.getDpsInits()[i];
        if (arg.use_empty() || init.getDefiningOp<tensor::EmptyOp>())
          args.push_back(arith::ConstantOp::create(
              tb.b, tb.loc, tb.b.getZeroAttr(arg.getType())));
        else
          args.push_back(initialValue(tb, op, i, ivs));
      }
      return tb.inlineBody(op, args, ivs);
    };
    SmallVector<Value> values = reduce(tb, reduction, ivs, acc, body);
    for (unsigned i = 0; i < outputs; ++i) {
      auto [memref, map] = operands[inputs + i];
      SmallVector<Value> point = tb.apply(map, parallelIvs);
      tb.store(applyEpilogueScalar(tb, epilogue, values[i], point), memref,
               point);
    }
  });
}

namespace isthmus::kernel {
LogicalResult emitParallel(TileBuilder &tb, Operation *root) {
  auto op = cast<graph::ParallelOp>(root);
  SmallVector<OpFoldResult> space;
  for (Value v : op.getSpace()) {
    v = tb.scalar(v);
    if (auto c = getConstantIntValue(v))
      space.push_back(tb.b.getIndexAttr(*c));
    else
      space.push_back(v);
  }
  Block &block = op.getBody().front();
  unsigned nested = 0;
  block.walk([&](scf::ForOp) { ++nested; });
  int64_t perGroup = nested ? 16 : 1024;
  tb.forEachPoint(space, perGroup, [&](ValueRange ivs) {
    IRMapping map;
    unsigned next = 0;
    for (Value iv : ivs)
      map.map(block.getArgument(next++), iv);
    for (Value v : op.getInputs())
      map.map(block.getArgument(next++), tb.memoryOf(v));
    for (Value v : op.getScalars())
      map.map(block.getArgument(next++), tb.scalar(v));
    for (Value v : op.getResults())
      map.map(block.getArgument(next++), tb.memoryOf(v));
    SmallVector<Operation *> clones;
    for (Operation &inner : block.without_terminator())
      clones.push_back(tb.b.clone(inner, map));
    for (Operation *clone : clones)
      tb.fixTensorOps(clone, {});
  });
  return success();
}
} // namespace isthmus::kernel

/// Convolution by its definition: one output element a point.
static void emitConv(TileBuilder &tb, graph::ConvOp op,
                     const Epilogue &epilogue) {
  OpBuilder &b = tb.b;
  Location loc = tb.loc;
  int64_t rank = op.getStrides().size();
  SmallVector<OpFoldResult> space = sizesOf(tb, op.getResult());
  SmallVector<OpFoldResult> inSizes = sizesOf(tb, op.getInput());
  SmallVector<OpFoldResult> filterSizes = sizesOf(tb, op.getFilter());
  Value x = tb.memoryOf(op.getInput()), w = tb.memoryOf(op.getFilter()),
        y = tb.memoryOf(epilogue.op ? epilogue.op->getResult(0)
                                    : op->getResult(0));
  Value bias = op.getBias() ? tb.memoryOf(op.getBias()) : Value();
  Type element = getElementTypeOrSelf(op.getResult().getType()),
       accType = accumulatorOf(op);
  auto wide = [&](Value v, bool isUnsigned = false) {
    return widened(b, loc, v, accType, isUnsigned);
  };
  tb.forEachPoint(space, 16, [&](ValueRange at) {
    Value perGroup = arith::DivUIOp::create(b, loc, tb.toValue(filterSizes[0]),
                                            tb.index(op.getGroup()));
    Value group = arith::DivUIOp::create(b, loc, at[1], perGroup);
    Value firstChannel =
        arith::MulIOp::create(b, loc, group, tb.toValue(filterSizes[1]));
    Value start =
        bias ? wide(tb.load(bias, at[1]))
             : Value(arith::ConstantOp::create(b, loc, b.getZeroAttr(accType)));
    SmallVector<std::pair<unsigned, OpFoldResult>> dims;
    for (int64_t i = 0; i <= rank; ++i)
      dims.push_back({unsigned(i), filterSizes[i + 1]});
    SmallVector<Value> ivs(rank + 1);
    SmallVector<Value> sum = reduce(
        tb, dims, ivs, {start}, [&](ValueRange acc) -> SmallVector<Value> {
          SmallVector<Value> xi = {
              at[0], arith::AddIOp::create(b, loc, firstChannel, ivs[0])};
          SmallVector<Value> wi = {at[1], ivs[0]};
          Value inside;
          for (int64_t i = 0; i < rank; ++i) {
            AffineExpr o = b.getAffineDimExpr(0), k = b.getAffineDimExpr(1);
            AffineExpr e = o * op.getStrides()[i] + k * op.getDilations()[i] -
                           op.getPads()[i];
            Value p =
                tb.apply(AffineMap::get(2, 0, e), {at[2 + i], ivs[1 + i]})[0];
            // One unsigned comparison holds both ends.
            Value ok = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                             p, tb.toValue(inSizes[2 + i]));
            inside =
                inside ? Value(arith::AndIOp::create(b, loc, inside, ok)) : ok;
            xi.push_back(p);
            wi.push_back(ivs[1 + i]);
          }
          auto branch = scf::IfOp::create(b, loc, accType, inside, true);
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToStart(&branch.getThenRegion().front());
          if (isa<IntegerType>(accType)) {
            // What pads it counts.
            Value v = wide(tb.load(x, xi), op.getInputUnsigned());
            scf::YieldOp::create(b, loc, v);
            b.setInsertionPointToStart(&branch.getElseRegion().front());
            scf::YieldOp::create(b, loc, paddingOf(b, loc, op, accType));
            b.setInsertionPointAfter(branch);
            v = arith::MulIOp::create(
                b, loc, branch.getResult(0),
                wide(tb.load(w, wi), op.getFilterUnsigned()));
            return {arith::AddIOp::create(b, loc, acc[0], v)};
          }
          Value product = arith::MulFOp::create(b, loc, wide(tb.load(x, xi)),
                                                wide(tb.load(w, wi)),
                                                arith::FastMathFlags::contract);
          Value s = arith::AddFOp::create(b, loc, acc[0], product,
                                          arith::FastMathFlags::contract);
          scf::YieldOp::create(b, loc, s);
          b.setInsertionPointToStart(&branch.getElseRegion().front());
          scf::YieldOp::create(b, loc, acc[0]);
          return {branch.getResult(0)};
        });
    Value v = sum[0];
    if (accType != element)
      v = arith::TruncFOp::create(b, loc, element, v);
    tb.store(applyEpilogueScalar(tb, epilogue, v, at), y, at);
  });
}

/// A point's loops end with one value a result: none may vary along them.
static std::string whyNotReduced(linalg::LinalgOp op) {
  auto kinds = op.getIteratorTypesArray();
  for (int64_t i = 0; i < op.getNumDpsInits(); ++i)
    for (unsigned d = 0; d < op.getNumLoops(); ++d)
      if (kinds[d] == utils::IteratorType::reduction &&
          op.getMatchingIndexingMap(op.getDpsInitOperand(i)).isFunctionOfDim(d))
        return "result " + std::to_string(i) + " varies along loop " +
               std::to_string(d) + ", which reduces";
  return "";
}

std::string kernel::planLoops(FuncOp kernel, const TargetInfo &info,
                              bool serial) {
  Operation *main = nullptr;
  Epilogue epilogue;
  std::string why = findAnchor(kernel, main, epilogue);
  RowGroup group;
  AttentionGroup attention;
  bool attends = false;
  if (!why.empty()) {
    attends = findAttention(kernel, attention, epilogue).empty();
    std::string whyNoRows = attends ? "" : findRows(kernel, group);
    if (!whyNoRows.empty())
      return why + "; no rows: " + whyNoRows;
    main = nullptr;
  }
  // Long points in small groups, so that more of them run at once.
  bool reduces = !main || isa<graph::ConvOp>(main);
  if (auto op = dyn_cast_or_null<linalg::LinalgOp>(main)) {
    if (std::string varies = whyNotReduced(op); !varies.empty())
      return varies;
    reduces = op.getNumReductionLoops();
  }
  int64_t lanes = 0;
  if (info.form == Form::lanes)
    lanes = serial    ? 1
            : reduces ? std::min(64u, info.maxGroup)
                      : std::min(256u, info.maxGroup);
  TileBuilder tb(kernel, lanes);
  if (attends)
    emitAttentionOnScalars(tb, attention, epilogue, serial);
  else if (!main)
    emitRowsOnScalars(tb, group, serial);
  else if (auto op = dyn_cast<graph::ConvOp>(main))
    emitConv(tb, op, epilogue);
  else if (isa<graph::ParallelOp>(main))
    (void)emitParallel(tb, main);
  else
    emitGeneric(tb, cast<linalg::LinalgOp>(main), epilogue, serial);
  tb.finish(serial ? "serial" : "loops");
  return "";
}
