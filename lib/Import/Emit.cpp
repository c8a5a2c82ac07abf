//===- Emit.cpp - what operators are made of ------------------------ ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"

#include "lib/Import/OpHelpers.h"

#include "dialects/Graph/Graph.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/AffineExpr.h"

using namespace mlir;
using namespace isthmus;

//===----------------------------------------------------------------------===//
// Broadcasting
//===----------------------------------------------------------------------===//

/// `a` is b, or b cut at something.
static bool isAtMost(OpFoldResult a, OpFoldResult b) {
  if (IndexMath::same(a, b))
    return true;
  auto v = dyn_cast<Value>(a);
  auto least = v ? v.getDefiningOp<arith::MinSIOp>() : arith::MinSIOp();
  return least && (isAtMost(least.getLhs(), b) || isAtMost(least.getRhs(), b));
}

FailureOr<Sizes> isthmus::broadcastSizes(NodeContext &c,
                                         ArrayRef<Sizes> shapes) {
  size_t rank = 0;
  for (const Sizes &s : shapes)
    rank = std::max(rank, s.size());
  Sizes out;
  for (size_t i = 0; i < rank; ++i) {
    OpFoldResult known;
    SmallVector<OpFoldResult> open;
    for (const Sizes &s : shapes) {
      if (i + s.size() < rank)
        continue;
      OpFoldResult size = s[i + s.size() - rank];
      auto n = IndexMath::known(size);
      if (!n) {
        if (!llvm::is_contained(open, size))
          open.push_back(size);
      } else if (*n != 1) {
        if (known && !IndexMath::same(known, size))
          return failure(failed(c.invalid(
              "shapes do not broadcast: " + Twine(*IndexMath::known(known)) +
              " and " + Twine(*n) + " in dim " + Twine(i) + " of the result")));
        known = size;
      }
    }
    if (!known && open.empty()) {
      out.push_back(c.idx.constant(1));
      continue;
    }
    OpFoldResult size = known ? known : open.front();
    // The largest; where that is one of them, the size it came from stays.
    for (OpFoldResult s : open)
      if (!known)
        size = isAtMost(s, size)   ? size
               : isAtMost(size, s) ? s
                                   : c.idx.max(size, s);
    for (OpFoldResult s : open) {
      if (IndexMath::same(s, size))
        continue;
      OpFoldResult fine = c.idx.eq(s, size);
      if (c.idx.lowerBound(s) < 2)
        fine = c.idx.select(fine, c.idx.constant(1),
                            c.idx.eq(s, c.idx.constant(1)));
      if (failed(c.check(fine, "the shapes of the inputs do not broadcast")))
        return failure();
    }
    out.push_back(size);
  }
  return out;
}

namespace {
/// How one input is read inside a broadcasting generic.
struct Read {
  Value scalar;                   // a constant, made inside the body
  TypedAttr attr;                 // its value
  Value captured;                 // read with tensor.extract
  SmallVector<OpFoldResult> dims; // of the captured tensor
  int operand = -1;
};
} // namespace

static SmallVector<utils::IteratorType> parallelLoops(unsigned n) {
  return SmallVector<utils::IteratorType>(n, utils::IteratorType::parallel);
}

static Value emptyTensor(NodeContext &c, ArrayRef<OpFoldResult> sizes,
                         DType dtype) {
  return tensor::EmptyOp::create(c.b, c.loc, sizes,
                                 elementType(c.b.getContext(), dtype));
}

static Sizes foldAll(NodeContext &c, ArrayRef<OpFoldResult> sizes) {
  Sizes out;
  for (OpFoldResult s : sizes)
    out.push_back(isa<Value>(s) ? c.idx.fold(cast<Value>(s)) : s);
  return out;
}

/// The elements of `op`, a generic of constants; nothing when it cannot be
/// computed here.
static DenseElementsAttr evaluate(linalg::GenericOp op,
                                  ArrayRef<DenseElementsAttr> operands) {
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  ArrayRef<int64_t> shape = type.getShape();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  Block &body = op.getRegion().front();
  SmallVector<Attribute> elements;
  for (int64_t n = 0; n < type.getNumElements(); ++n) {
    SmallVector<int64_t> at(shape.size());
    for (int64_t i = shape.size() - 1, rest = n; i >= 0; --i) {
      at[i] = rest % shape[i];
      rest /= shape[i];
    }
    llvm::DenseMap<Value, Attribute> values;
    for (auto [k, data] : llvm::enumerate(operands)) {
      uint64_t flat = 0;
      auto from = cast<RankedTensorType>(data.getType()).getShape();
      for (auto [i, e] : llvm::enumerate(maps[k].getResults())) {
        auto dim = dyn_cast<AffineDimExpr>(e);
        flat = flat * from[i] + (dim ? at[dim.getPosition()] : 0);
      }
      values[body.getArgument(k)] = data.getValues<Attribute>()[flat];
    }
    for (Operation &inner : body.without_terminator()) {
      if (inner.getNumResults() != 1 || inner.getNumRegions())
        return {};
      SmallVector<Attribute> args;
      for (Value v : inner.getOperands()) {
        args.push_back(values.lookup(v));
        if (!args.back())
          return {};
      }
      SmallVector<OpFoldResult> folded;
      if (failed(inner.fold(args, folded)))
        return {};
      // A fold in place gives nothing: the op changed, not its value.
      Attribute r;
      if (folded.size() == 1)
        r = isa<Attribute>(folded[0]) ? cast<Attribute>(folded[0])
                                      : values.lookup(cast<Value>(folded[0]));
      if (!r)
        return {};
      values[inner.getResult(0)] = r;
    }
    Attribute r = values.lookup(body.getTerminator()->getOperand(0));
    if (!r)
      return {};
    elements.push_back(r);
  }
  return DenseElementsAttr::get(type, elements);
}

ImportValue *isthmus::elementwiseTo(NodeContext &c, ArrayRef<ImportValue *> ins,
                                    Sizes sizes, DType out, BodyFn body) {
  sizes = foldAll(c, sizes);
  int64_t rank = sizes.size();
  SmallVector<Read> reads;
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  MLIRContext *context = c.b.getContext();
  for (ImportValue *in : ins) {
    Read read;
    DenseElementsAttr constant;
    if (in->constant || in->scalars || in->proto)
      if (auto count = in->count(); count && *count == 1)
        constant = c.importer.constant(*in);
    if (constant) {
      read.attr = cast<TypedAttr>(*constant.value_begin<Attribute>());
      reads.push_back(read);
      continue;
    }
    SmallVector<AffineExpr> exprs;
    bool ambiguous = false;
    for (int64_t i = 0; i < in->rank(); ++i) {
      int64_t d = rank - in->rank() + i;
      OpFoldResult size = in->sizes[i];
      auto n = IndexMath::known(size);
      if (n == 1 && IndexMath::known(sizes[d]) != 1) {
        exprs.push_back(getAffineConstantExpr(0, context));
        continue;
      }
      exprs.push_back(getAffineDimExpr(d, context));
      ambiguous |=
          !n && !IndexMath::same(size, sizes[d]) && c.idx.lowerBound(size) < 2;
    }
    if (ambiguous) {
      read.captured = c.tensor(*in);
      read.dims = in->sizes;
    } else {
      read.operand = operands.size();
      operands.push_back(c.tensor(*in));
      maps.push_back(AffineMap::get(rank, 0, exprs, context));
    }
    reads.push_back(read);
  }
  maps.push_back(AffineMap::getMultiDimIdentityMap(rank, context));
  Value init = emptyTensor(c, sizes, out);
  auto op = linalg::GenericOp::create(
      c.b, c.loc, init.getType(), operands, init, maps, parallelLoops(rank),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        BodyMath m{b, loc};
        SmallVector<Value> scalars;
        for (Read &read : reads) {
          if (read.attr) {
            scalars.push_back(arith::ConstantOp::create(b, loc, read.attr));
          } else if (!read.captured) {
            scalars.push_back(args[read.operand]);
          } else {
            SmallVector<Value> at;
            int64_t shift = rank - int64_t(read.dims.size());
            for (auto [i, size] : llvm::enumerate(read.dims)) {
              Value iv = linalg::IndexOp::create(b, loc, i + shift);
              if (IndexMath::known(size) == 1)
                iv = m.index(0);
              else if (!IndexMath::same(size, sizes[i + shift]))
                iv = m.select(m.eq(cast<Value>(size), m.index(1)), m.index(0),
                              iv);
              at.push_back(iv);
            }
            scalars.push_back(
                tensor::ExtractOp::create(b, loc, read.captured, at));
          }
        }
        linalg::YieldOp::create(b, loc, body(b, loc, scalars));
      });
  // Small constants are computed here: shape arithmetic through floats.
  ImportValue *result = c.importer.newValue(out, sizes, op.getResult(0));
  auto count = result->count();
  SmallVector<DenseElementsAttr> known(operands.size());
  bool fold = count && *count <= kMaxScalars;
  for (auto [in, read] : llvm::zip_equal(ins, reads)) {
    fold &= !read.captured;
    if (!fold || read.operand < 0)
      continue;
    auto n = in->count();
    if (n && *n <= kMaxScalars && (in->constant || in->scalars || in->proto))
      known[read.operand] = c.importer.constant(*in);
    fold &= bool(known[read.operand]);
  }
  if (fold)
    if (DenseElementsAttr data = evaluate(op, known)) {
      op.erase();
      result->tensor = {};
      result->home = nullptr;
      result->constant = data;
      if (!isFloat(out) && rank <= 1) {
        result->scalars = Sizes();
        for (const APInt &e : data.getValues<APInt>())
          result->scalars->push_back(c.idx.constant(
              isUnsigned(out) ? e.getZExtValue() : e.getSExtValue()));
      }
    }
  return result;
}

FailureOr<ImportValue *> isthmus::elementwise(NodeContext &c,
                                              ArrayRef<ImportValue *> ins,
                                              DType out, BodyFn body) {
  SmallVector<Sizes> shapes;
  for (ImportValue *in : ins)
    shapes.push_back(in->sizes);
  auto sizes = broadcastSizes(c, shapes);
  if (failed(sizes))
    return failure();
  return elementwiseTo(c, ins, *sizes, out, body);
}

ImportValue *isthmus::generic(NodeContext &c, ArrayRef<Access> ins, Sizes sizes,
                              DType out, BodyFn body) {
  sizes = foldAll(c, sizes);
  MLIRContext *context = c.b.getContext();
  unsigned rank = sizes.size();
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  for (const Access &in : ins) {
    operands.push_back(c.tensor(*in.value));
    maps.push_back(AffineMap::get(rank, 0, in.at, context));
  }
  maps.push_back(AffineMap::getMultiDimIdentityMap(rank, context));
  Value init = emptyTensor(c, sizes, out);
  auto op = linalg::GenericOp::create(
      c.b, c.loc, init.getType(), operands, init, maps, parallelLoops(rank),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        linalg::YieldOp::create(b, loc, body(b, loc, args.drop_back()));
      });
  return c.importer.newValue(out, sizes, op.getResult(0));
}

ImportValue *isthmus::fromIndices(NodeContext &c, Sizes sizes, DType out,
                                  BodyFn body) {
  unsigned rank = sizes.size();
  return generic(c, {}, sizes, out,
                 [&](OpBuilder &b, Location loc, ValueRange) {
                   SmallVector<Value> ivs;
                   for (unsigned i = 0; i < rank; ++i)
                     ivs.push_back(linalg::IndexOp::create(b, loc, i));
                   return body(b, loc, ivs);
                 });
}

//===----------------------------------------------------------------------===//
// Reductions and contractions
//===----------------------------------------------------------------------===//

TypedAttr isthmus::lowest(NodeContext &c, DType type) {
  Type t = elementType(c.b.getContext(), type);
  if (auto f = dyn_cast<FloatType>(t))
    return FloatAttr::get(t, APFloat::getInf(f.getFloatSemantics(), true));
  unsigned w = t.getIntOrFloatBitWidth();
  return IntegerAttr::get(t, isUnsigned(type) ? APInt::getZero(w)
                                              : APInt::getSignedMinValue(w));
}

TypedAttr isthmus::highest(NodeContext &c, DType type) {
  Type t = elementType(c.b.getContext(), type);
  if (auto f = dyn_cast<FloatType>(t))
    return FloatAttr::get(t, APFloat::getInf(f.getFloatSemantics(), false));
  unsigned w = t.getIntOrFloatBitWidth();
  return IntegerAttr::get(t, isUnsigned(type) ? APInt::getMaxValue(w)
                                              : APInt::getSignedMaxValue(w));
}

Reduction isthmus::sumReduction(NodeContext &c, DType type) {
  Reduction r;
  r.acc = accumulatorType(type);
  Type t = elementType(c.b.getContext(), r.acc);
  r.init = cast<TypedAttr>(c.b.getZeroAttr(t));
  r.combine = [](OpBuilder &b, Location loc, Value e, Value acc) -> Value {
    if (isa<FloatType>(e.getType()))
      return arith::AddFOp::create(b, loc, acc, e,
                                   arith::FastMathFlags::reassoc |
                                       arith::FastMathFlags::contract);
    return arith::AddIOp::create(b, loc, acc, e);
  };
  return r;
}

Reduction isthmus::maxReduction(NodeContext &c, DType type) {
  Reduction r;
  r.acc = type;
  r.init = lowest(c, type);
  bool isUnsignedType = isUnsigned(type);
  r.combine = [isUnsignedType](OpBuilder &b, Location loc, Value e,
                               Value acc) -> Value {
    if (isa<FloatType>(e.getType()))
      return arith::MaximumFOp::create(b, loc, acc, e);
    if (isUnsignedType)
      return arith::MaxUIOp::create(b, loc, acc, e);
    return arith::MaxSIOp::create(b, loc, acc, e);
  };
  return r;
}

ImportValue *isthmus::reduce(NodeContext &c, ImportValue &x,
                             ArrayRef<int64_t> axes, const Reduction &how) {
  MLIRContext *context = c.b.getContext();
  Sizes sizes;
  SmallVector<AffineExpr> outExprs;
  SmallVector<utils::IteratorType> loops = parallelLoops(x.rank());
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (llvm::is_contained(axes, i)) {
      loops[i] = utils::IteratorType::reduction;
    } else {
      sizes.push_back(x.sizes[i]);
      outExprs.push_back(getAffineDimExpr(i, context));
    }
  }
  Value source = c.tensor(x);
  Value empty = emptyTensor(c, sizes, how.acc);
  Value init = arith::ConstantOp::create(c.b, c.loc, how.init);
  Value filled = linalg::FillOp::create(c.b, c.loc, init, empty).getResult(0);
  AffineMap maps[] = {AffineMap::getMultiDimIdentityMap(x.rank(), context),
                      AffineMap::get(x.rank(), 0, outExprs, context)};
  auto op = linalg::GenericOp::create(
      c.b, c.loc, filled.getType(), source, filled, maps, loops,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        Value e = BodyMath{b, loc}.cast(args[0], x.dtype, how.acc);
        if (how.map)
          e = how.map(b, loc, e);
        linalg::YieldOp::create(b, loc, how.combine(b, loc, e, args[1]));
      });
  return c.importer.newValue(how.acc, sizes, op.getResult(0));
}

ImportValue *isthmus::keepDims(NodeContext &c, ImportValue &x,
                               ArrayRef<int64_t> axes, int64_t rank) {
  Sizes sizes;
  int64_t next = 0;
  for (int64_t i = 0; i < rank; ++i)
    sizes.push_back(llvm::is_contained(axes, i) ? c.idx.constant(1)
                                                : x.sizes[next++]);
  return reshape(c, x, sizes);
}

ImportValue *isthmus::contract(NodeContext &c, Access a, Access b, Sizes loops,
                               unsigned numOut, DType out) {
  MLIRContext *context = c.b.getContext();
  loops = foldAll(c, loops);
  DType acc = accumulatorType(out);
  Sizes sizes(loops.begin(), loops.begin() + numOut);
  SmallVector<AffineExpr> outExprs;
  for (unsigned i = 0; i < numOut; ++i)
    outExprs.push_back(getAffineDimExpr(i, context));
  auto iterators = parallelLoops(numOut);
  iterators.resize(loops.size(), utils::IteratorType::reduction);
  Value operands[] = {c.tensor(*a.value), c.tensor(*b.value)};
  Value empty = emptyTensor(c, sizes, acc);
  Type accType = elementType(context, acc);
  Value zero = arith::ConstantOp::create(
      c.b, c.loc, cast<TypedAttr>(c.b.getZeroAttr(accType)));
  Value filled = linalg::FillOp::create(c.b, c.loc, zero, empty).getResult(0);
  AffineMap maps[] = {AffineMap::get(loops.size(), 0, a.at, context),
                      AffineMap::get(loops.size(), 0, b.at, context),
                      AffineMap::get(loops.size(), 0, outExprs, context)};
  auto op = linalg::GenericOp::create(
      c.b, c.loc, filled.getType(), operands, filled, maps, iterators,
      [&](OpBuilder &b_, Location loc, ValueRange args) {
        BodyMath m{b_, loc};
        Value l = m.cast(args[0], a.value->dtype, acc);
        Value r = m.cast(args[1], b.value->dtype, acc);
        Value sum;
        if (isFloat(acc)) {
          auto contractFlag = arith::FastMathFlags::contract;
          Value p = arith::MulFOp::create(b_, loc, l, r, contractFlag);
          sum = arith::AddFOp::create(b_, loc, args[2], p,
                                      contractFlag |
                                          arith::FastMathFlags::reassoc);
        } else {
          sum = m.add(args[2], m.mul(l, r));
        }
        linalg::YieldOp::create(b_, loc, sum);
      });
  ImportValue *result = c.importer.newValue(acc, sizes, op.getResult(0));
  return castTo(c, *result, out);
}

//===----------------------------------------------------------------------===//
// Small building blocks
//===----------------------------------------------------------------------===//

DType isthmus::accumulatorType(DType type) {
  return type == DType::f16 || type == DType::bf16 ? DType::f32 : type;
}

ImportValue *isthmus::castTo(NodeContext &c, ImportValue &x, DType type) {
  if (x.dtype == type)
    return &x;
  return elementwiseTo(c, &x, x.sizes, type,
                       [&](OpBuilder &b, Location loc, ValueRange args) {
                         return BodyMath{b, loc}.cast(args[0], x.dtype, type);
                       });
}

ImportValue *isthmus::transpose(NodeContext &c, ImportValue &x,
                                ArrayRef<int64_t> perm) {
  Sizes sizes;
  SmallVector<AffineExpr> at(perm.size());
  for (auto [i, p] : llvm::enumerate(perm)) {
    sizes.push_back(x.sizes[p]);
    at[p] = getAffineDimExpr(i, c.b.getContext());
  }
  return generic(
      c, Access{&x, at}, sizes, x.dtype,
      [](OpBuilder &, Location, ValueRange args) { return args[0]; });
}

ImportValue *isthmus::broadcastTo(NodeContext &c, ImportValue &x, Sizes sizes) {
  return elementwiseTo(
      c, &x, sizes, x.dtype,
      [](OpBuilder &, Location, ValueRange args) { return args[0]; });
}

ImportValue *isthmus::reshape(NodeContext &c, ImportValue &x, Sizes sizes) {
  sizes = foldAll(c, sizes);
  if (llvm::equal(sizes, x.sizes,
                  [](OpFoldResult l, OpFoldResult r) {
                    return IndexMath::same(l, r);
                  }) &&
      sizes.size() == x.sizes.size())
    return &x;
  RankedTensorType type = c.importer.tensorType(x.dtype, sizes);
  SmallVector<Value> dynamic;
  for (OpFoldResult s : sizes)
    if (!IndexMath::known(s))
      dynamic.push_back(cast<Value>(s));
  Value t = graph::ReshapeOp::create(c.b, c.loc, type, c.tensor(x), dynamic);
  ImportValue *v = c.importer.newValue(x.dtype, sizes, t);
  if (x.scalars && sizes.size() <= 1)
    v->scalars = x.scalars;
  if (x.constant || (x.proto && x.count() <= kMaxScalars))
    v->constant = c.importer.constant(x).reshape(type);
  return v;
}

//===----------------------------------------------------------------------===//
// graph.parallel
//===----------------------------------------------------------------------===//

SmallVector<ImportValue *> isthmus::buildParallel(
    NodeContext &c, StringRef op, ArrayRef<OpFoldResult> space,
    ArrayRef<ImportValue *> ins, ArrayRef<OpFoldResult> scalars,
    ArrayRef<ParallelOut> outs, function_ref<void(ParallelBody &)> body,
    bool inPlace) {
  SmallVector<Value> inputs, passed, dynamic;
  SmallVector<Type> types;
  for (ImportValue *in : ins)
    inputs.push_back(c.tensor(*in));
  // What is read as another input too must be another tensor.
  if (inPlace && llvm::count(inputs, inputs[0]) > 1)
    inputs[0] =
        generic(c, {Access{ins[0], dimExprs(c, ins[0]->rank())}}, ins[0]->sizes,
                ins[0]->dtype,
                [](OpBuilder &, Location, ValueRange a) { return a[0]; })
            ->tensor;
  for (OpFoldResult s : scalars)
    if (!IndexMath::known(s))
      passed.push_back(cast<Value>(s));
  for (const ParallelOut &out : outs) {
    types.push_back(c.importer.tensorType(out.dtype, out.sizes));
    for (OpFoldResult s : out.sizes)
      if (!IndexMath::known(s))
        dynamic.push_back(cast<Value>(s));
  }
  auto parallel = graph::ParallelOp::create(
      c.b, c.loc, types, c.b.getStringAttr(op), c.idx.values(space), inputs,
      passed, dynamic, DenseI64ArrayAttr());
  if (inPlace)
    parallel.setInPlace(ArrayRef<int64_t>{0});
  OpBuilder::InsertionGuard guard(c.b);
  Block *block = c.b.createBlock(&parallel.getBody());
  auto memref = [&](Type type) {
    auto tensor = cast<RankedTensorType>(type);
    return block->addArgument(
        MemRefType::get(tensor.getShape(), tensor.getElementType()), c.loc);
  };
  ParallelBody p{{c.b, c.loc}, {}, {}, {}, {}};
  for (size_t i = 0; i < space.size(); ++i)
    p.ivs.push_back(block->addArgument(c.b.getIndexType(), c.loc));
  for (Value in : inputs)
    p.ins.push_back(memref(in.getType()));
  for (OpFoldResult s : scalars)
    if (auto known = IndexMath::known(s))
      p.scalars.push_back(p.index(*known));
    else
      p.scalars.push_back(block->addArgument(c.b.getIndexType(), c.loc));
  for (Type type : types)
    p.outs.push_back(memref(type));
  body(p);
  graph::YieldOp::create(c.b, c.loc);
  SmallVector<ImportValue *> results;
  c.b.setInsertionPointAfter(parallel);
  for (auto [i, out] : llvm::enumerate(outs))
    results.push_back(
        c.importer.newValue(out.dtype, out.sizes, parallel.getResult(i)));
  return results;
}
