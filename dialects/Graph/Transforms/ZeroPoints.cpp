//===- ZeroPoints.cpp - products of small integers ------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/ZeroPoints.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Packing.h"
#include "dialects/Kernel/Transforms/Product.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;
using namespace isthmus;
using utils::IteratorType;

namespace {
/// What a product multiplies: elements of `source` less their zero point.
struct Factor {
  linalg::GenericOp centering; // from `source` to i32
  Value source;                // of i8
  AffineMap map;               // of the product's loops
  bool isUnsigned = false, isWeight = false;
  /// The zero point: a tensor, or a constant.
  Value zero;
  AffineMap zeroMap;
  int64_t constant = 0;
  /// Both are to be this much less, and `source` of the other sign.
  int64_t shift = 0;

  bool centered() const { return zero || constant != shift; }
  bool becomesUnsigned() const { return isUnsigned != (shift != 0); }
};
} // namespace

/// `v` widened from i8 to i32, or null.
static Value narrowOf(Value v, bool &isUnsigned) {
  Operation *op = v.getDefiningOp();
  if (!isa_and_nonnull<arith::ExtSIOp, arith::ExtUIOp>(op) ||
      !op->getOperand(0).getType().isInteger(8))
    return {};
  isUnsigned = isa<arith::ExtUIOp>(op);
  return op->getOperand(0);
}

/// Every loop's extent is seen in some operand.
static bool allSeen(ArrayRef<AffineMap> maps) {
  return bool(
      inversePermutation(concatAffineMaps(maps, maps.front().getContext())));
}

static std::optional<Factor> matchFactor(linalg::GenericOp product,
                                         unsigned input) {
  Factor f;
  f.centering =
      product.getDpsInputs()[input].getDefiningOp<linalg::GenericOp>();
  AffineMap outer = product.getIndexingMapsArray()[input];
  if (!f.centering || f.centering->getNumResults() != 1 ||
      f.centering.getNumReductionLoops() || f.centering.hasIndexSemantics() ||
      !f.centering.getIndexingMapsArray().back().isIdentity())
    return std::nullopt;
  Block &block = f.centering.getRegion().front();
  auto operand = [&](Value v, Value &tensor, AffineMap &map) {
    auto arg = dyn_cast_if_present<BlockArgument>(v);
    if (!arg || arg.getOwner() != &block ||
        arg.getArgNumber() >= f.centering.getNumDpsInputs())
      return false;
    OpOperand *use = f.centering.getDpsInputOperand(arg.getArgNumber());
    tensor = use->get();
    map = f.centering.getMatchingIndexingMap(use).compose(outer);
    return isa<RankedTensorType>(tensor.getType());
  };
  SplatElementsAttr splat;
  Value v = block.getTerminator()->getOperand(0);
  if (auto sub = v.getDefiningOp<arith::SubIOp>()) {
    v = sub.getLhs();
    bool isUnsigned = false;
    Value x = narrowOf(v, f.isUnsigned),
          zero = narrowOf(sub.getRhs(), isUnsigned);
    APInt bits;
    if (!x || (zero && f.isUnsigned != isUnsigned))
      return std::nullopt;
    if (matchPattern(zero ? zero : sub.getRhs(), m_ConstantInt(&bits)))
      f.constant =
          zero && isUnsigned ? bits.getZExtValue() : bits.getSExtValue();
    else if (!operand(zero, f.zero, f.zeroMap))
      return std::nullopt;
    if (f.zero && matchPattern(f.zero, m_Constant(&splat))) {
      bits = splat.getSplatValue<APInt>();
      f.constant = isUnsigned ? bits.getZExtValue() : bits.getSExtValue();
      f.zero = {};
    }
  }
  if (!operand(narrowOf(v, f.isUnsigned), f.source, f.map))
    return std::nullopt;
  auto kinds = product.getIteratorTypesArray();
  for (unsigned d = 0; d < kinds.size(); ++d) {
    bool reduced = kinds[d] == IteratorType::reduction;
    if (reduced && !f.map.isFunctionOfDim(d))
      return std::nullopt;
    // A zero point belongs to a row or a column.
    if (f.zero && f.zeroMap.isFunctionOfDim(d) &&
        (reduced || !f.map.isFunctionOfDim(d)))
      return std::nullopt;
  }
  f.isWeight = graph::isWeight(f.source);
  return f;
}

/// acc + a * b in i32, of what is read.
static bool isProduct(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 2 || op->getNumResults() != 1 ||
      !linalg::isaContractionOpInterface(op) ||
      !op.getIndexingMapsArray().back().isProjectedPermutation() ||
      !op.getDpsInits()[0].getDefiningOp<linalg::FillOp>())
    return false;
  Block &block = op.getRegion().front();
  auto add =
      block.getTerminator()->getOperand(0).getDefiningOp<arith::AddIOp>();
  for (unsigned i = 0; add && i < 2; ++i) {
    auto mul = add->getOperand(i).getDefiningOp<arith::MulIOp>();
    if (mul && mul.getType().isInteger(32) &&
        add->getOperand(1 - i) == block.getArgument(2))
      return llvm::all_of(mul->getOperands(), llvm::IsaPred<BlockArgument>) &&
             mul.getLhs() != mul.getRhs();
  }
  return false;
}

namespace {
/// What factors have become, for products that share them: bytes of the other
/// sign, by source; words, by what they were centered from and with, and where.
struct Shared {
  using Centering = std::tuple<Value, Value, int64_t, Attribute, Block *>;
  DenseMap<Value, Value> bytes;
  DenseMap<Centering, Value> words;
};

class Rewriter {
public:
  Rewriter(linalg::GenericOp op, Factor &a, Factor &b, Shared &shared)
      : op(op), b(op), loc(op.getLoc()), factors{&a, &b},
        kinds(op.getIteratorTypesArray()), shared(shared) {}

  /// Chooses signs that `info` has a unit for, at the least cost.
  bool chooseSigns(const TargetInfo &info);
  void rewrite8();
  void rewrite16();

private:
  Value turned(const Factor &f);
  Value sumOf(const Factor &f, bool centered, AffineMap &map);
  Value zeroOf(OpBuilder &nested, Location at, const Factor &f, Value arg);
  void multiply(Value x, Value y, bool unsignedX, bool unsignedY);
  SmallVector<OpFoldResult> loopSizes();
  Value widen(OpBuilder &nested, Location at, Value v, bool isUnsigned) {
    Type i32 = nested.getI32Type();
    if (isUnsigned)
      return arith::ExtUIOp::create(nested, at, i32, v);
    return arith::ExtSIOp::create(nested, at, i32, v);
  }
  Value integer(OpBuilder &nested, Location at, int64_t v) {
    return arith::ConstantOp::create(nested, at, nested.getI32IntegerAttr(v));
  }

  linalg::GenericOp op;
  OpBuilder b;
  Location loc;
  Factor *factors[2];
  SmallVector<IteratorType> kinds;
  Shared &shared;
};
} // namespace

bool Rewriter::chooseSigns(const TargetInfo &info) {
  // Passes over a factor in memory weigh most; a factor of weights alone has
  // them in `init`, and leaves something to do for every result.
  constexpr int pass = 4, perResult = 1;
  Type i8 = b.getI8Type(), i32 = b.getI32Type();
  int least = -1;
  int64_t shifts[2];
  for (int which = 0; which < 4; ++which) {
    bool turn[] = {bool(which & 1), bool(which & 2)};
    Factor &x = *factors[0], &y = *factors[1];
    if (!kernel::unitFor(info, i8, x.isUnsigned != turn[0], i8,
                         y.isUnsigned != turn[1], i32))
      continue;
    int cost = 0;
    int64_t by[2];
    for (int i = 0; i < 2; ++i) {
      const Factor &f = *factors[i], &other = *factors[1 - i];
      by[i] = turn[i] ? (f.isUnsigned ? 128 : -128) : 0;
      if (turn[i] && !f.isWeight)
        cost += pass;
      if (f.zero || f.constant != by[i])
        cost += perResult + (other.isWeight ? 0 : pass);
    }
    if (least < 0 || cost < least) {
      least = cost;
      shifts[0] = by[0], shifts[1] = by[1];
    }
  }
  if (least < 0)
    return false;
  for (int i = 0; i < 2; ++i)
    factors[i]->shift = shifts[i];
  return true;
}

SmallVector<OpFoldResult> Rewriter::loopSizes() {
  SmallVector<OpFoldResult> sizes(kinds.size());
  for (Factor *f : factors) {
    auto of = graph::getSizes(f->source);
    if (failed(of))
      continue;
    for (auto [e, size] : llvm::zip_equal(f->map.getResults(), *of))
      if (auto dim = dyn_cast<AffineDimExpr>(e))
        sizes[dim.getPosition()] = size;
  }
  return sizes;
}

/// The source with its shift taken off, in i8.
Value Rewriter::turned(const Factor &f) {
  if (!f.shift)
    return f.source;
  Value &made = shared.bytes[f.source];
  if (made)
    return made;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfterValue(f.source);
  auto type = cast<RankedTensorType>(f.source.getType());
  Value to = tensor::EmptyOp::create(b, loc, *graph::getSizes(f.source),
                                     b.getI8Type());
  made =
      linalg::GenericOp::create(
          b, loc, to.getType(), f.source, to,
          SmallVector<AffineMap>(2, b.getMultiDimIdentityMap(type.getRank())),
          SmallVector<IteratorType>(type.getRank(), IteratorType::parallel),
          [](OpBuilder &nested, Location at, ValueRange args) {
            Value top = arith::ConstantOp::create(
                nested, at, nested.getI8IntegerAttr(-128));
            linalg::YieldOp::create(
                nested, at,
                arith::XOrIOp::create(nested, at, args[0], top).getResult());
          })
          .getResult(0);
  return made;
}

/// What is left of the zero point, of which `arg` is an element.
Value Rewriter::zeroOf(OpBuilder &nested, Location at, const Factor &f,
                       Value arg) {
  if (!f.zero)
    return integer(nested, at, f.constant - f.shift);
  Value z = widen(nested, at, arg, f.isUnsigned);
  if (f.shift)
    z = arith::SubIOp::create(nested, at, z, integer(nested, at, f.shift));
  return z;
}

/// Sums along the product's sums of a factor without its shift, with or without
/// its zero point; `map`, of the product's loops, says of which.
Value Rewriter::sumOf(const Factor &f, bool centered, AffineMap &map) {
  SmallVector<OpFoldResult> sizes = loopSizes(), outSizes;
  SmallVector<AffineExpr> to(kinds.size(), b.getAffineConstantExpr(0));
  SmallVector<AffineExpr> out, mapped;
  SmallVector<IteratorType> loops;
  for (auto kind : {IteratorType::parallel, IteratorType::reduction})
    for (unsigned d = 0; d < kinds.size(); ++d)
      if (kinds[d] == kind && f.map.isFunctionOfDim(d)) {
        to[d] = b.getAffineDimExpr(loops.size());
        loops.push_back(kind);
        if (kind == IteratorType::reduction)
          continue;
        out.push_back(to[d]);
        outSizes.push_back(sizes[d]);
        mapped.push_back(b.getAffineDimExpr(d));
      }
  map = AffineMap::get(kinds.size(), 0, mapped, b.getContext());
  bool hasTensor = centered && f.zero;
  SmallVector<Value> inputs = {f.source};
  SmallVector<AffineMap> maps = {f.map};
  if (hasTensor) {
    inputs.push_back(f.zero);
    maps.push_back(f.zeroMap);
  }
  for (AffineMap &m : maps)
    m = m.replaceDimsAndSymbols(to, {}, loops.size(), 0);
  maps.push_back(AffineMap::get(loops.size(), 0, out, b.getContext()));
  Value empty = tensor::EmptyOp::create(b, loc, outSizes, b.getI32Type());
  Value none =
      linalg::FillOp::create(b, loc, integer(b, loc, 0), empty).getResult(0);
  return linalg::GenericOp::create(
             b, loc, none.getType(), inputs, none, maps, loops,
             [&](OpBuilder &nested, Location at, ValueRange args) {
               Value v = widen(nested, at, args[0], f.isUnsigned);
               // Not of the shift's making: the source is as it was.
               int64_t off = centered ? f.constant : f.shift;
               if (hasTensor)
                 v = arith::SubIOp::create(
                     nested, at, v, widen(nested, at, args[1], f.isUnsigned));
               else if (off)
                 v = arith::SubIOp::create(nested, at, v,
                                           integer(nested, at, off));
               v = arith::AddIOp::create(nested, at, args.back(), v);
               linalg::YieldOp::create(nested, at, v);
             })
      .getResult(0);
}

/// Makes the product one of `x` and `y`.
void Rewriter::multiply(Value x, Value y, bool unsignedX, bool unsignedY) {
  Block &block = op.getRegion().front();
  OpBuilder inside = OpBuilder::atBlockBegin(&block);
  Value sources[] = {x, y};
  bool isUnsigned[] = {unsignedX, unsignedY};
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (int i = 0; i < 2; ++i) {
    maps[i] = factors[i]->map;
    BlockArgument arg = block.getArgument(i);
    arg.setType(getElementTypeOrSelf(sources[i].getType()));
    Value wide = widen(inside, loc, arg, isUnsigned[i]);
    arg.replaceAllUsesExcept(wide, wide.getDefiningOp());
    op.getDpsInputOperand(i)->set(sources[i]);
  }
  op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
}

void Rewriter::rewrite8() {
  const Factor &x = *factors[0], &y = *factors[1];
  AffineMap out = op.getIndexingMapsArray().back();
  // What is added, over the product's loops: zero points, and sums of the other
  // factor. The second of two sums is of what the first one left.
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  struct Term {
    const Factor *of;
    unsigned sum, zero;
  };
  SmallVector<Term> terms;
  for (int i = 0; i < 2; ++i) {
    const Factor &f = *factors[i], &other = *factors[1 - i];
    if (!f.centered())
      continue;
    AffineMap map;
    inputs.push_back(sumOf(other, i == 1, map));
    maps.push_back(map);
    terms.push_back({&f, unsigned(inputs.size()), 0});
    if (f.zero) {
      inputs.push_back(f.zero);
      maps.push_back(f.zeroMap);
      terms.back().zero = inputs.size();
    }
  }
  multiply(turned(x), turned(y), x.becomesUnsigned(), y.becomesUnsigned());
  if (terms.empty())
    return;
  b.setInsertionPointAfter(op);
  // The result's dims are the loops of the rest.
  unsigned rank = out.getNumResults();
  SmallVector<AffineExpr> to(kinds.size(), b.getAffineConstantExpr(0));
  for (auto [i, e] : llvm::enumerate(out.getResults()))
    to[cast<AffineDimExpr>(e).getPosition()] = b.getAffineDimExpr(i);
  for (AffineMap &map : maps)
    map = map.replaceDimsAndSymbols(to, {}, rank, 0);
  AffineMap all = b.getMultiDimIdentityMap(rank);
  maps.insert(maps.begin(), all);
  maps.push_back(all);
  Value product = op->getResult(0);
  inputs.insert(inputs.begin(), product);
  Value empty = tensor::EmptyOp::create(b, loc, *graph::getSizes(product),
                                        b.getI32Type());
  auto rest = linalg::GenericOp::create(
      b, loc, product.getType(), inputs, empty, maps,
      SmallVector<IteratorType>(rank, IteratorType::parallel),
      [&](OpBuilder &nested, Location at, ValueRange args) {
        Value v = args[0];
        for (const Term &term : terms) {
          Value z = zeroOf(nested, at, *term.of, args[term.zero]);
          Value by = arith::MulIOp::create(nested, at, z, args[term.sum]);
          v = arith::SubIOp::create(nested, at, v, by);
        }
        linalg::YieldOp::create(nested, at, v);
      });
  product.replaceAllUsesExcept(rest->getResult(0), rest);
}

void Rewriter::rewrite16() {
  Value narrow[2];
  for (int i = 0; i < 2; ++i) {
    const Factor &f = *factors[i];
    linalg::GenericOp from = f.centering;
    factors[i]->map = op.getIndexingMapsArray()[i];
    Value &known = shared.words[{f.source, f.zero, f.constant,
                                 from.getIndexingMapsAttr(), from->getBlock()}];
    if ((narrow[i] = known))
      continue;
    b.setInsertionPointAfter(from);
    Value wide = from->getResult(0);
    Value to =
        tensor::EmptyOp::create(b, loc, *graph::getSizes(wide), b.getI16Type());
    auto made = linalg::GenericOp::create(
        b, from.getLoc(), to.getType(), from.getDpsInputs(), to,
        from.getIndexingMapsArray(), from.getIteratorTypesArray());
    IRMapping map;
    from.getRegion().cloneInto(&made.getRegion(), map);
    Block &block = made.getRegion().front();
    block.getArguments().back().setType(b.getI16Type());
    Operation *yield = block.getTerminator();
    OpBuilder inside(yield);
    yield->setOperand(0, arith::TruncIOp::create(inside, loc, b.getI16Type(),
                                                 yield->getOperand(0)));
    narrow[i] = known = made->getResult(0);
  }
  b.setInsertionPoint(op);
  multiply(narrow[0], narrow[1], false, false);
}

void graph::separateZeroPoints(ModuleOp module, const TargetInfo &info) {
  SmallVector<linalg::GenericOp> products;
  module.walk([&](linalg::GenericOp op) {
    if (isProduct(op))
      products.push_back(op);
  });
  Shared shared;
  for (linalg::GenericOp op : products) {
    // Vectors have a plan for packed weights only.
    if (info.form == kernel::Form::tiled &&
        !canPackSmallProduct(op, op.getDpsInputs()[1],
                             op.getIndexingMapsArray()[1]))
      continue;
    auto a = matchFactor(op, 0), b = matchFactor(op, 1);
    if (!a || !b)
      continue;
    Rewriter rewriter(op, *a, *b, shared);
    if (rewriter.chooseSigns(info)) {
      if (allSeen({a->map, b->map}))
        rewriter.rewrite8();
    } else {
      Type i16 = IntegerType::get(op.getContext(), 16),
           i32 = IntegerType::get(op.getContext(), 32);
      if (kernel::unitFor(info, i16, false, i16, false, i32))
        rewriter.rewrite16();
    }
    for (Operation *centering : llvm::SmallPtrSet<Operation *, 2>(
             {a->centering.getOperation(), b->centering.getOperation()}))
      if (centering->use_empty())
        centering->erase();
  }
}
