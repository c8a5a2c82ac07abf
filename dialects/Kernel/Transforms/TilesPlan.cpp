//===- TilesPlan.cpp - products by tiles in workgroup memory --------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For targets that run lanes. A workgroup computes a tile of C[m, n] = sum over
// k of A[m, k] * B[k, n]: it brings slices of A and B to workgroup memory, adds
// their product to a tile in registers, and hands the result on by way of
// workgroup memory, so that the stores and the epilogue go side by side along
// n. m, n and k each stand for several loops; a convolution is a product of its
// filter and of its input's windows, one column a pixel.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

namespace {

/// What a product is, whatever it came from.
struct Product {
  // Each of these is one dim of the product, made of several of the operation.
  SmallVector<OpFoldResult> batch, m, n, k;
  Type type;           // of A's and B's elements in workgroup memory
  Type sum;            // of the accumulator
  bool alongM, alongN; // A lies contiguous along m, B along n; else along k
  /// Elements at these places of `batch`, `m`, `n` and `k`.
  using Place = ValueRange;
  std::function<Value(Place batch, Place m, Place k)> a;
  std::function<Value(Place batch, Place k, Place n)> b;
  std::function<Value()> start;
  std::function<void(Place batch, Place m, Place n, Value)> store;
};

struct TileShape {
  int64_t m, n, k, lanes;
};

} // namespace

/// No larger than the product needs.
static int64_t fit(std::optional<int64_t> size, int64_t most) {
  int64_t tile = most;
  while (size && tile > 16 && *size <= tile / 2)
    tile /= 2;
  return tile;
}

static TileShape chooseShape(std::optional<int64_t> m, std::optional<int64_t> n,
                             const TargetInfo &info) {
  TileShape shape{fit(m, 64), fit(n, 64), 16, 0};
  // Sixteen sums a lane, unless that leaves less than a subgroup.
  shape.lanes = std::clamp<int64_t>(shape.m * shape.n / 16, 32,
                                    std::min(256u, info.maxGroup));
  return shape;
}

static OpFoldResult product(TileBuilder &tb, ArrayRef<OpFoldResult> sizes) {
  OpFoldResult all = tb.b.getIndexAttr(1);
  for (OpFoldResult size : sizes)
    all = tb.mul(all, size);
  return all;
}

/// Memory of the workgroup's.
static Value allocate(TileBuilder &tb, ArrayRef<int64_t> shape, Type type) {
  return AllocOp::create(
      tb.b, tb.loc, MemRefType::get(shape, type, AffineMap(), kWorkgroupSpace));
}

/// Runs `body` for every point of a `rows` x `columns` tile, the rows innermost
/// if `transposed`.
static void forTile(TileBuilder &tb, OpFoldResult rows, OpFoldResult columns,
                    bool transposed, function_ref<void(Value, Value)> body) {
  if (transposed)
    std::swap(rows, columns);
  auto forall =
      scf::ForallOp::create(tb.b, tb.loc, ArrayRef<OpFoldResult>{rows, columns},
                            ValueRange(), std::nullopt);
  OpBuilder::InsertionGuard guard(tb.b);
  tb.b.setInsertionPointToStart(forall.getBody());
  Value i = forall.getInductionVar(0), j = forall.getInductionVar(1);
  transposed ? body(j, i) : body(i, j);
}

static void emitProduct(TileBuilder &tb, const Product &p,
                        const TileShape &shape) {
  OpBuilder &b = tb.b;
  Location loc = tb.loc;
  OpFoldResult M = product(tb, p.m), N = product(tb, p.n), K = product(tb, p.k);
  SmallVector<OpFoldResult> extents = p.batch;
  extents.push_back(tb.ceilDiv(M, shape.m));
  extents.push_back(tb.ceilDiv(N, shape.n));
  SmallVector<Value> at = tb.makeGrid(extents);
  SmallVector<Value> batch(ArrayRef(at).drop_back(2));
  Value m0 =
      arith::MulIOp::create(b, loc, at[at.size() - 2], tb.index(shape.m));
  Value n0 = arith::MulIOp::create(b, loc, at.back(), tb.index(shape.n));
  Value sizeM = tb.toValue(M), sizeN = tb.toValue(N), sizeK = tb.toValue(K);
  Value tileA = allocate(tb, {shape.m, shape.k}, p.type),
        tileB = allocate(tb, {shape.k, shape.n}, p.type),
        tileC = allocate(tb, {shape.m, shape.n}, p.sum);
  auto bring = [&](Value tile, Value i0, Value sizeI, Value j0, Value sizeJ,
                   bool transposed, function_ref<Value(Value, Value)> element) {
    auto type = cast<MemRefType>(tile.getType());
    forTile(tb, b.getIndexAttr(type.getDimSize(0)),
            b.getIndexAttr(type.getDimSize(1)), transposed,
            [&](Value di, Value dj) {
              Value i = arith::AddIOp::create(b, loc, i0, di);
              Value j = arith::AddIOp::create(b, loc, j0, dj);
              auto below = [&](Value x, Value n) -> Value {
                return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                             x, n);
              };
              Value inside = arith::AndIOp::create(b, loc, below(i, sizeI),
                                                   below(j, sizeJ));
              auto branch = scf::IfOp::create(b, loc, p.type, inside, true);
              {
                OpBuilder::InsertionGuard guard(b);
                b.setInsertionPointToStart(&branch.getThenRegion().front());
                Value v = element(i, j);
                scf::YieldOp::create(b, loc, v);
                b.setInsertionPointToStart(&branch.getElseRegion().front());
                Value zero =
                    arith::ConstantOp::create(b, loc, b.getZeroAttr(p.type));
                scf::YieldOp::create(b, loc, zero);
              }
              memref::StoreOp::create(b, loc, branch.getResult(0), tile,
                                      ValueRange{di, dj});
            });
  };

  auto accumulator = VectorType::get({shape.m, shape.n}, p.sum);
  Value start = vector::BroadcastOp::create(b, loc, accumulator, p.start());
  auto loop =
      scf::ForOp::create(b, loc, tb.index(0), sizeK, tb.index(shape.k), start);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value k0 = loop.getInductionVar();
    bring(tileA, m0, sizeM, k0, sizeK, p.alongM, [&](Value m, Value k) {
      return p.a(batch, tb.coordinatesOf(m, p.m), tb.coordinatesOf(k, p.k));
    });
    bring(tileB, k0, sizeK, n0, sizeN, !p.alongN, [&](Value k, Value n) {
      return p.b(batch, tb.coordinatesOf(k, p.k), tb.coordinatesOf(n, p.n));
    });
    Value next = MmaOp::create(b, loc, accumulator, tileA, tileB,
                               loop.getRegionIterArg(0), StringAttr());
    scf::YieldOp::create(b, loc, next);
  }
  Value zero = tb.index(0);
  vector::TransferWriteOp::create(b, loc, loop.getResult(0), tileC,
                                  ValueRange{zero, zero},
                                  ArrayRef<bool>{true, true});
  auto left = [&](Value size, Value from, int64_t tile) -> OpFoldResult {
    Value rest = arith::SubIOp::create(b, loc, size, from);
    return arith::MinUIOp::create(b, loc, rest, tb.index(tile)).getResult();
  };
  OpFoldResult rows = left(sizeM, m0, shape.m),
               columns = left(sizeN, n0, shape.n);
  forTile(tb, rows, columns, false, [&](Value di, Value dj) {
    Value v = memref::LoadOp::create(b, loc, tileC, ValueRange{di, dj});
    Value m = arith::AddIOp::create(b, loc, m0, di);
    Value n = arith::AddIOp::create(b, loc, n0, dj);
    p.store(batch, tb.coordinatesOf(m, p.m), tb.coordinatesOf(n, p.n), v);
  });
  tb.result.setGroup(shape.lanes);
}

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

static std::string planProduct(TileBuilder &tb, linalg::LinalgOp op,
                               const Epilogue &epilogue,
                               const TargetInfo &info) {
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
  if (m.empty() || n.empty() || k.empty())
    return "has no rows, columns or sums";

  SmallVector<OpFoldResult> sizes = loopSizes(tb, op);
  auto of = [&](ArrayRef<unsigned> dims) {
    return llvm::map_to_vector(dims, [&](unsigned d) { return sizes[d]; });
  };
  Product p;
  p.batch = of(batch), p.m = of(m), p.n = of(n), p.k = of(k);
  auto M = getConstantIntValue(product(tb, p.m)),
       N = getConstantIntValue(product(tb, p.n)),
       K = getConstantIntValue(product(tb, p.k));
  if ((M && *M < 8) || (N && *N < 8) || (K && *K < 8))
    return "too thin for tiles";
  p.type = body->f.getType();
  p.sum = getElementTypeOrSelf(op->getResult(0).getType());
  if (p.type != p.sum || body->g.getType() != p.sum)
    return "sums are of another type than products";
  Block &block = op->getRegion(0).front();
  Value fA = body->f, fB = body->g;
  unsigned left = 0, right = 1;
  if (swapped)
    std::swap(left, right), std::swap(fA, fB);
  auto contiguous = [&](unsigned input, ArrayRef<unsigned> dims) {
    AffineMap map = op.getIndexingMapsArray()[input];
    return map.getNumResults() && llvm::any_of(dims, [&](unsigned d) {
             return map.getResults().back().isFunctionOfDim(d);
           });
  };
  p.alongM = contiguous(left, m);
  p.alongN = contiguous(right, n);
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
  auto element = [&](unsigned input, Value made, ArrayRef<Value> ivs) {
    Value memref = tb.memoryOf(op.getDpsInputs()[input]);
    Value v = tb.load(memref, tb.apply(op.getIndexingMapsArray()[input], ivs));
    return cloneWith(tb, made, block.getArgument(input), v);
  };
  p.a = [&](ValueRange bs, ValueRange ms, ValueRange ks) {
    return element(left, fA, places({{batch, bs}, {m, ms}, {k, ks}}));
  };
  p.b = [&](ValueRange bs, ValueRange ks, ValueRange ns) {
    return element(right, fB, places({{batch, bs}, {k, ks}, {n, ns}}));
  };
  p.start = [&] { return tb.scalar(fill.value()); };
  Value out =
      tb.memoryOf(epilogue.op ? epilogue.op->getResult(0) : op->getResult(0));
  p.store = [&](ValueRange bs, ValueRange ms, ValueRange ns, Value v) {
    SmallVector<Value> point =
        tb.apply(mapC, places({{batch, bs}, {m, ms}, {n, ns}}));
    tb.store(applyEpilogueScalar(tb, epilogue, v, point), out, point);
  };
  emitProduct(tb, p, chooseShape(M, N, info));
  return "";
}

//===----------------------------------------------------------------------===//
// Convolutions
//===----------------------------------------------------------------------===//

static std::string planConvProduct(TileBuilder &tb, graph::ConvOp op,
                                   const Epilogue &epilogue,
                                   const TargetInfo &info) {
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
  // One product a group; rows are its channels, columns pixels of all images.
  p.batch = {b.getIndexAttr(group)};
  p.m = {b.getIndexAttr(perGroup)};
  p.n = {out[0]};
  llvm::append_range(p.n, ArrayRef(out).drop_front(2));
  p.k = SmallVector<OpFoldResult>(ArrayRef(filter).drop_front(1));
  auto N = getConstantIntValue(product(tb, p.n)),
       K = getConstantIntValue(product(tb, p.k));
  if (perGroup < 8 || (N && *N < 8) || (K && *K < 8))
    return "too thin for tiles";
  auto element =
      cast<FloatType>(getElementTypeOrSelf(op.getResult().getType()));
  Type accType = element.getWidth() < 32 ? b.getF32Type() : Type(element);
  p.type = p.sum = accType;
  p.alongM = false, p.alongN = true;
  Value x = tb.memoryOf(op.getInput()), w = tb.memoryOf(op.getFilter()),
        y = tb.memoryOf(epilogue.op ? epilogue.op->getResult(0)
                                    : op->getResult(0));
  Value bias = op.getBias() ? tb.memoryOf(op.getBias()) : Value();
  auto wide = [&](Value v) -> Value {
    return v.getType() == accType
               ? v
               : Value(arith::ExtFOp::create(b, loc, accType, v));
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
  p.a = [&](ValueRange g, ValueRange m, ValueRange k) {
    SmallVector<Value> index = {
        channelOf(g[0], m[0], b.getIndexAttr(perGroup))};
    llvm::append_range(index, k);
    return wide(tb.load(w, index));
  };
  p.b = [&](ValueRange g, ValueRange k, ValueRange n) -> Value {
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
    auto branch = scf::IfOp::create(b, loc, accType, inside, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    Value v = wide(tb.load(x, index));
    scf::YieldOp::create(b, loc, v);
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(accType));
    scf::YieldOp::create(b, loc, zero);
    return branch.getResult(0);
  };
  p.store = [&](ValueRange g, ValueRange m, ValueRange n, Value v) {
    Value channel = channelOf(g[0], m[0], b.getIndexAttr(perGroup));
    SmallVector<Value> point = {n[0], channel};
    llvm::append_range(point, n.drop_front());
    if (bias)
      v = arith::AddFOp::create(b, loc, v, wide(tb.load(bias, channel)));
    if (accType != element)
      v = arith::TruncFOp::create(b, loc, element, v);
    tb.store(applyEpilogueScalar(tb, epilogue, v, point), y, point);
  };
  emitProduct(tb, p, chooseShape(perGroup, N, info));
  return "";
}

std::string kernel::planTiles(FuncOp kernel, const TargetInfo &info) {
  if (info.form != Form::lanes)
    return "for targets that run lanes";
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
  why = conv ? planConvProduct(tb, conv, epilogue, info)
             : planProduct(tb, linalgOp, epilogue, info);
  if (!why.empty()) {
    tb.abandon();
    return why;
  }
  tb.finish("tiles");
  return "";
}
