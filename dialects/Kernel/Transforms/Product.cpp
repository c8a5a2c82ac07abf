//===- Product.cpp - matrix products, whatever they came from -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// C[m, n] = sum over k of A[m, k] * B[k, n] as plans for lanes see it. m, n and
// k each stand for several loops; a convolution is a product of its filter and
// of its input's windows, one column a pixel.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Product.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// Tiles gain nothing below.
static constexpr int64_t kThin = 8;
/// The widest access of a lane's.
static constexpr int64_t kRunBytes = 16;

int64_t kernel::fitTile(std::optional<int64_t> size, int64_t most,
                        int64_t least) {
  int64_t tile = most;
  while (size && tile > least && *size <= tile / 2)
    tile /= 2;
  return tile;
}

OpFoldResult kernel::productOf(TileBuilder &tb, ArrayRef<OpFoldResult> sizes) {
  OpFoldResult all = tb.b.getIndexAttr(1);
  for (OpFoldResult size : sizes)
    all = tb.mul(all, size);
  return all;
}

bool kernel::isThin(TileBuilder &tb, const Product &p) {
  for (ArrayRef<OpFoldResult> sizes : {p.m, p.n, p.k})
    if (auto size = getConstantIntValue(productOf(tb, sizes)))
      if (*size < kThin)
        return true;
  return false;
}

Way kernel::wayOf(TileBuilder &tb, const Product &p, const Factor &f) {
  OpBuilder &b = tb.b;
  Location loc = tb.loc;
  Way way;
  if (!f.at || !f.run)
    return way;
  int64_t bytes = f.narrow.getIntOrFloatBitWidth() / 8;
  auto run = getConstantIntValue(f.run);
  int64_t most = kRunBytes / bytes;
  if (run)
    while (most > 1 && *run % most)
      most /= 2;
  if (most * bytes < 4)
    return way;
  way.run = most;
  auto zerosFor = [&](ArrayRef<OpFoldResult> dims) {
    return SmallVector<Value>(dims.size(), tb.index(0));
  };
  bool isA = &f == &p.a;
  Value memref =
      f.at(zerosFor(p.batch), zerosFor(isA ? p.m : p.n), zerosFor(p.k)).first;
  auto divides = [&](Value v, int64_t n) -> Value {
    Value rest = arith::AndIOp::create(b, loc, v, tb.index(n - 1));
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, rest,
                                 tb.index(0));
  };
  auto ask = [&](Value condition) {
    way.aligned =
        way.aligned
            ? arith::AndIOp::create(b, loc, way.aligned, condition).getResult()
            : condition;
  };
  if (!run)
    ask(divides(cast<Value>(f.run), most));
  auto arg = cast<BlockArgument>(memref);
  int64_t align =
      tb.result.getAlign()[arg.getArgNumber() - tb.result.getNumSizes()];
  if (align < most * bytes)
    ask(divides(memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref),
                most * bytes));
  return way;
}

using Emit = function_ref<std::string(TileBuilder &, const Product &,
                                      std::string &plan)>;

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

namespace {
/// acc + f(a) * g(b), a and b the two inputs.
struct MultiplyAdd {
  Value f, g;
};
} // namespace

/// Whether `v` is computed of block argument `arg` alone.
static bool isOf(Value v, BlockArgument arg) {
  if (v == arg)
    return true;
  Operation *op = v.getDefiningOp();
  if (!op || op->getBlock() != arg.getOwner())
    return op && isa<arith::ConstantOp>(op);
  if (op->getNumRegions() || !OpTrait::hasElementwiseMappableTraits(op))
    return isa<arith::ConstantOp>(op);
  return llvm::all_of(op->getOperands(), [&](Value x) { return isOf(x, arg); });
}

static std::optional<MultiplyAdd> matchBody(linalg::LinalgOp op) {
  Block &block = op->getRegion(0).front();
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1)
    return std::nullopt;
  Operation *add = block.getTerminator()->getOperand(0).getDefiningOp();
  if (!isa_and_nonnull<arith::AddFOp, arith::AddIOp>(add))
    return std::nullopt;
  BlockArgument a = block.getArgument(0), b = block.getArgument(1),
                acc = block.getArgument(2);
  for (unsigned i = 0; i < 2; ++i) {
    Operation *mul = add->getOperand(i).getDefiningOp();
    if (!isa_and_nonnull<arith::MulFOp, arith::MulIOp>(mul) ||
        add->getOperand(1 - i) != acc)
      continue;
    for (unsigned j = 0; j < 2; ++j) {
      Value f = mul->getOperand(j), g = mul->getOperand(1 - j);
      if (isOf(f, a) && isOf(g, b))
        return MultiplyAdd{f, g};
    }
  }
  return std::nullopt;
}

/// `v`, of the source's body, with `arg` for the block argument it is made of.
static Value cloneWith(TileBuilder &tb, Value v, BlockArgument arg,
                       Value value) {
  if (v == arg)
    return value;
  Operation *op = v.getDefiningOp();
  IRMapping map;
  for (Value operand : op->getOperands())
    map.map(operand, cloneWith(tb, operand, arg, value));
  return tb.b.clone(*op, map)->getResult(0);
}

/// What is widened to `v`, or `v`.
static Value beforeWidening(Value v, bool &isUnsigned) {
  Operation *op = v.getDefiningOp();
  isUnsigned = isa_and_nonnull<arith::ExtUIOp>(op);
  return isa_and_nonnull<arith::ExtFOp, arith::ExtSIOp, arith::ExtUIOp>(op)
             ? op->getOperand(0)
             : v;
}

OpFoldResult kernel::runOf(TileBuilder &tb, AffineMap map,
                           ArrayRef<unsigned> dims,
                           ArrayRef<OpFoldResult> sizes) {
  OpFoldResult run;
  int64_t r = int64_t(map.getNumResults()) - 1;
  for (unsigned d : llvm::reverse(dims)) {
    auto dim = r >= 0 ? dyn_cast<AffineDimExpr>(map.getResult(r)) : nullptr;
    if (!dim || dim.getPosition() != d)
      break;
    run = run ? tb.mul(run, sizes[d]) : sizes[d];
    --r;
  }
  return run;
}

static std::string planContraction(TileBuilder &tb, linalg::LinalgOp op,
                                   const Epilogue &epilogue, Emit emit,
                                   std::string &plan) {
  std::optional<MultiplyAdd> body = matchBody(op);
  if (!body)
    return "not a sum of products of two inputs";
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill)
    return "does not start from a constant";
  for (Value v : op->getOperands())
    if (!isa<RankedTensorType>(v.getType()) ||
        getElementTypeOrSelf(v.getType()).isInteger(1))
      return "an operand is no tensor of numbers";
  AffineMap mapA = op.getIndexingMapsArray()[0],
            mapB = op.getIndexingMapsArray()[1],
            mapC = op.getIndexingMapsArray()[2];
  if (!mapC.isProjectedPermutation())
    return "the result's index is computed";
  // In the order of the loops; of C's dims the last is the innermost.
  SmallVector<unsigned> batch, m, n, k;
  auto kinds = op.getIteratorTypesArray();
  for (unsigned d = 0; d < op.getNumLoops(); ++d) {
    bool inA = mapA.isFunctionOfDim(d), inB = mapB.isFunctionOfDim(d);
    if (kinds[d] == utils::IteratorType::reduction)
      k.push_back(d);
    else
      (inA == inB ? batch : inA ? m : n).push_back(d);
  }
  // Along C's last dim the stores go: it is the product's n.
  bool swapped =
      !mapC.getResults().empty() &&
      llvm::is_contained(
          m, cast<AffineDimExpr>(mapC.getResults().back()).getPosition());
  if (swapped)
    std::swap(m, n);
  if (k.empty() || (m.empty() && n.empty()))
    return "has no rows and columns, or no sums";

  SmallVector<OpFoldResult> sizes = loopSizes(tb, op);
  auto of = [&](ArrayRef<unsigned> dims) {
    return llvm::map_to_vector(dims, [&](unsigned d) { return sizes[d]; });
  };
  Product p;
  p.batch = of(batch), p.m = of(m), p.n = of(n), p.k = of(k);
  p.type = body->f.getType();
  p.sum = getElementTypeOrSelf(op->getResult(0).getType());
  if (p.type != p.sum || body->g.getType() != p.sum)
    return "sums are of another type than products";
  Block &block = op->getRegion(0).front();
  unsigned loops = op.getNumLoops();
  auto places = [=,
                 &tb](ArrayRef<std::pair<ArrayRef<unsigned>, ValueRange>> l) {
    SmallVector<Value> ivs(loops);
    for (auto [dims, values] : l)
      for (auto [d, v] : llvm::zip_equal(dims, values))
        ivs[d] = v;
    for (Value &v : ivs)
      if (!v)
        v = tb.index(0);
    return ivs;
  };
  auto fillFactor = [&](Factor &factor, unsigned input, Value wide,
                        ArrayRef<unsigned> outer) {
    AffineMap map = op.getIndexingMapsArray()[input];
    Value narrow = beforeWidening(wide, factor.isUnsigned);
    BlockArgument arg = block.getArgument(input);
    factor.narrow = narrow.getType();
    factor.alongOuter =
        map.getNumResults() && llvm::any_of(outer, [&](unsigned d) {
          return map.getResults().back().isFunctionOfDim(d);
        });
    Value memref = tb.memoryOf(op.getDpsInputs()[input]);
    SmallVector<unsigned> outerDims(outer);
    auto at = [=, &tb](Place bs, Place os, Place ks) {
      return std::pair(
          memref,
          tb.apply(map, places({{batch, bs}, {outerDims, os}, {k, ks}})));
    };
    factor.element = [&tb, at, arg, wide, narrow](Place bs, Place os, Place ks,
                                                  bool asNarrow) {
      auto [memref, indices] = at(bs, os, ks);
      Value v = tb.load(memref, indices);
      return cloneWith(tb, asNarrow ? narrow : wide, arg, v);
    };
    if (narrow == arg) {
      factor.run = runOf(tb, map, factor.alongOuter ? outer : k, sizes);
      factor.at = at;
    }
  };
  fillFactor(p.a, swapped, swapped ? body->g : body->f, m);
  fillFactor(p.b, !swapped, swapped ? body->f : body->g, n);
  p.start = [&] { return tb.scalar(fill.value()); };
  Value out =
      tb.memoryOf(epilogue.op ? epilogue.op->getResult(0) : op->getResult(0));
  p.store = [&](Place bs, Place ms, Place ns, Value v) {
    SmallVector<Value> point =
        tb.apply(mapC, places({{batch, bs}, {m, ms}, {n, ns}}));
    tb.store(applyEpilogueScalar(tb, epilogue, v, point), out, point);
  };
  return emit(tb, p, plan);
}

//===----------------------------------------------------------------------===//
// Convolutions
//===----------------------------------------------------------------------===//

Type kernel::accumulatorOf(graph::ConvOp op) {
  Type type = getElementTypeOrSelf(op.getResult().getType());
  return type.getIntOrFloatBitWidth() < 32 ? Float32Type::get(op.getContext())
                                           : type;
}

Value kernel::widened(OpBuilder &b, Location loc, Value v, Type type,
                      bool isUnsigned) {
  if (v.getType() == type)
    return v;
  if (isa<FloatType>(type))
    return arith::ExtFOp::create(b, loc, type, v);
  if (isUnsigned)
    return arith::ExtUIOp::create(b, loc, type, v);
  return arith::ExtSIOp::create(b, loc, type, v);
}

Value kernel::paddingOf(OpBuilder &b, Location loc, graph::ConvOp op,
                        Type type) {
  TypedAttr value = b.getZeroAttr(type);
  if (auto given = op.getPadValue())
    value =
        IntegerAttr::get(type, APInt(64, *given, /*isSigned=*/true)
                                   .sextOrTrunc(type.getIntOrFloatBitWidth()));
  return arith::ConstantOp::create(b, loc, value);
}

/// A point of the result reads one of the input, the same.
static bool isPointwise(graph::ConvOp op) {
  auto filter = cast<RankedTensorType>(op.getFilter().getType());
  auto is = [](ArrayRef<int64_t> values, int64_t n) {
    return llvm::all_of(values, [n](int64_t v) { return v == n; });
  };
  return is(filter.getShape().drop_front(2), 1) && is(op.getStrides(), 1) &&
         is(op.getPads(), 0);
}

static std::string planConvolution(TileBuilder &tb, graph::ConvOp op,
                                   const Epilogue &epilogue, Emit emit,
                                   std::string &plan) {
  OpBuilder &b = tb.b;
  Location loc = tb.loc;
  int64_t rank = op.getStrides().size();
  SmallVector<OpFoldResult> out = sizesOf(tb, op.getResult()),
                            in = sizesOf(tb, op.getInput()),
                            filter = sizesOf(tb, op.getFilter());
  auto channels = getConstantIntValue(filter[0]);
  if (!channels)
    return "the number of channels is not known";
  int64_t group = op.getGroup(), perGroup = *channels / group;
  Product p;
  p.isConvolution = true;
  // One product a group; rows are its channels, columns pixels of all images.
  p.batch = {b.getIndexAttr(group)};
  p.m = {b.getIndexAttr(perGroup)};
  p.n = {out[0]};
  llvm::append_range(p.n, ArrayRef(out).drop_front(2));
  p.k = SmallVector<OpFoldResult>(ArrayRef(filter).drop_front(1));
  Type element = getElementTypeOrSelf(op.getInput().getType()),
       accType = accumulatorOf(op);
  p.a.isUnsigned = op.getFilterUnsigned();
  p.b.isUnsigned = op.getInputUnsigned();
  p.type = p.sum = accType;
  p.a.narrow = p.b.narrow = element;
  p.a.alongOuter = false, p.b.alongOuter = true;
  Value x = tb.memoryOf(op.getInput()), w = tb.memoryOf(op.getFilter()),
        y = tb.memoryOf(epilogue.op ? epilogue.op->getResult(0)
                                    : op->getResult(0));
  Value bias = op.getBias() ? tb.memoryOf(op.getBias()) : Value();
  auto wide = [&](Value v, bool isUnsigned = false) {
    return widened(b, loc, v, accType, isUnsigned);
  };
  auto channelOf = [&](Value g, Value m, OpFoldResult each) -> Value {
    if (group == 1)
      return m;
    return arith::AddIOp::create(
        b, loc, m, arith::MulIOp::create(b, loc, g, tb.toValue(each)));
  };
  p.start = [&]() -> Value {
    return arith::ConstantOp::create(b, loc, b.getZeroAttr(accType));
  };
  p.a.run = productOf(tb, p.k);
  p.a.at = [&](Place g, Place m, Place k) {
    SmallVector<Value> index = {
        channelOf(g[0], m[0], b.getIndexAttr(perGroup))};
    llvm::append_range(index, k);
    return std::pair(w, index);
  };
  p.a.element = [&](Place g, Place m, Place k, bool narrow) {
    auto [memref, index] = p.a.at(g, m, k);
    Value v = tb.load(memref, index);
    return narrow ? v : wide(v, p.a.isUnsigned);
  };
  if (isPointwise(op)) {
    p.b.run = productOf(tb, ArrayRef(p.n).drop_front());
    p.b.at = [&](Place g, Place n, Place k) {
      SmallVector<Value> index = {n[0], channelOf(g[0], k[0], filter[1])};
      llvm::append_range(index, n.drop_front());
      return std::pair(x, index);
    };
  }
  p.b.element = [&](Place g, Place n, Place k, bool narrow) -> Value {
    Type type = narrow ? element : accType;
    SmallVector<Value> index = {n[0], channelOf(g[0], k[0], filter[1])};
    Value inside;
    for (int64_t i = 0; i < rank; ++i) {
      AffineExpr o = b.getAffineDimExpr(0), t = b.getAffineDimExpr(1);
      AffineExpr e =
          o * op.getStrides()[i] + t * op.getDilations()[i] - op.getPads()[i];
      Value q = tb.apply(AffineMap::get(2, 0, e), {n[1 + i], k[1 + i]})[0];
      // One unsigned comparison holds both ends.
      Value ok = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, q,
                                       tb.toValue(in[2 + i]));
      inside = inside ? Value(arith::AndIOp::create(b, loc, inside, ok)) : ok;
      index.push_back(q);
    }
    auto branch = scf::IfOp::create(b, loc, type, inside, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    Value v = tb.load(x, index);
    scf::YieldOp::create(b, loc, narrow ? v : wide(v, p.b.isUnsigned));
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    scf::YieldOp::create(b, loc, paddingOf(b, loc, op, type));
    return branch.getResult(0);
  };
  p.store = [&](Place g, Place m, Place n, Value v) {
    Value channel = channelOf(g[0], m[0], b.getIndexAttr(perGroup));
    SmallVector<Value> point = {n[0], channel};
    llvm::append_range(point, n.drop_front());
    if (bias)
      v = arith::AddFOp::create(b, loc, v, wide(tb.load(bias, channel)));
    if (isa<FloatType>(accType) && accType != element)
      v = arith::TruncFOp::create(b, loc, element, v);
    tb.store(applyEpilogueScalar(tb, epilogue, v, point), y, point);
  };
  return emit(tb, p, plan);
}

std::string kernel::planAsProduct(FuncOp kernel, const TargetInfo &info,
                                  Emit emit) {
  Operation *anchor = nullptr;
  Epilogue epilogue;
  std::string why = findAnchor(kernel, anchor, epilogue);
  if (!why.empty())
    return why;
  auto linalgOp = dyn_cast<linalg::LinalgOp>(anchor);
  auto conv = dyn_cast<graph::ConvOp>(anchor);
  if (!linalgOp && !conv)
    return "no product";
  TileBuilder tb(kernel);
  std::string plan;
  why = conv ? planConvolution(tb, conv, epilogue, emit, plan)
             : planContraction(tb, linalgOp, epilogue, emit, plan);
  if (!why.empty()) {
    tb.abandon();
    return why;
  }
  tb.finish(plan);
  return "";
}
