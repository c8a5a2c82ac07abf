//===- MatrixSlices.cpp - slices of A and B for a matrix unit -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/MatrixSlices.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// What a row is padded by: with an odd multiple of 16 bytes, eight rows lie in
/// different banks.
static constexpr int64_t kPadBytes = 16;
/// The widest store, and what a turned piece has along k.
static constexpr int64_t kStoreBytes = 16, kTurnedBytes = 8;

static int64_t bytesOf(Type type) { return type.getIntOrFloatBitWidth() / 8; }

MatrixSlice::MatrixSlice(const Factor &f, int64_t outer, int64_t k,
                         int64_t lanes, const TargetInfo &info)
    : alongOuter(f.alongOuter && info.matrixLoads),
      inPieces(!info.asyncCopyBytes || alongOuter != f.alongOuter), f(f),
      outer(outer), k(k), lanes(lanes) {
  int64_t rows = alongOuter ? k : outer, columns = alongOuter ? outer : k;
  MLIRContext *ctx = f.narrow.getContext();
  auto layout = StridedLayoutAttr::get(
      ctx, 0, {columns + kPadBytes / bytesOf(f.narrow), 1});
  type = MemRefType::get(
      {rows, columns}, f.narrow, layout,
      IntegerAttr::get(IntegerType::get(ctx, 64), kWorkgroupSpace));
}

int64_t MatrixSlice::bytes() const {
  return type.getDimSize(0) * type.getStridesAndOffset().first[0] *
         bytesOf(f.narrow);
}

namespace {
/// What both ways of bringing a slice need.
struct Bringer {
  TileBuilder &tb;
  OpBuilder &b;
  Location loc;
  const Factor &f;
  const MatrixSlice::Region &region;
  int64_t outer; // of the slice

  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value plus(Value x, int64_t n) { return n ? add(x, tb.index(n)) : x; }
  Value times(Value x, int64_t n) {
    return n == 1 ? x
                  : arith::MulIOp::create(b, loc, x, tb.index(n)).getResult();
  }
  Value below(Value x, Value n) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, x, n);
  }
  /// Rows in the order 0, 4, 1, 5, 2, 6, 3, 7.
  Value spread(Value row) {
    auto part = [&](int64_t mask, int64_t shift) -> Value {
      Value v = arith::AndIOp::create(b, loc, row, tb.index(mask));
      return shift > 0
                 ? arith::ShLIOp::create(b, loc, v, tb.index(shift)).getResult()
                 : arith::ShRUIOp::create(b, loc, v, tb.index(-shift))
                       .getResult();
    };
    Value eight = arith::SubIOp::create(
        b, loc, row, arith::AndIOp::create(b, loc, row, tb.index(7)));
    return add(eight, add(part(1, 2), part(6, -1)));
  }
  /// Slices may begin behind the last term, and end outside of the factor
  /// unless these divide it.
  Value inside(Value o, Value k) {
    Value in = below(k, region.sizeK);
    auto n = getConstantIntValue(region.sizeOuter);
    if (n && *n % outer == 0 && !region.pastOuter)
      return in;
    return arith::AndIOp::create(b, loc, below(o, region.sizeOuter), in);
  }
  std::pair<Value, SmallVector<Value>> at(Value o, Value k) {
    return f.at(region.batch, tb.coordinatesOf(o, region.outerDims),
                tb.coordinatesOf(k, region.kDims));
  }
  Value ifElse(Type type, Value condition, function_ref<Value()> then,
               function_ref<Value()> otherwise) {
    auto branch = scf::IfOp::create(b, loc, type, condition, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    Value v = then();
    scf::YieldOp::create(b, loc, v);
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    v = otherwise();
    scf::YieldOp::create(b, loc, v);
    return branch.getResult(0);
  }
  Value zero(Type type) {
    return arith::ConstantOp::create(b, loc,
                                     cast<TypedAttr>(b.getZeroAttr(type)));
  }
  Value element(Value o, Value k) {
    return ifElse(
        f.narrow, inside(o, k),
        [&] {
          return f.element(region.batch, tb.coordinatesOf(o, region.outerDims),
                           tb.coordinatesOf(k, region.kDims), /*narrow=*/true);
        },
        [&] { return zero(f.narrow); });
  }
  /// `count` elements in the direction that is contiguous, all inside or none.
  Value run(Value o, Value k, int64_t count) {
    auto type = VectorType::get({count}, f.narrow);
    return ifElse(
        type, inside(o, k),
        [&] {
          auto [memref, indices] = at(o, k);
          auto load = vector::LoadOp::create(b, loc, type, memref, indices);
          load->setAttr("alignment",
                        b.getI64IntegerAttr(count * bytesOf(f.narrow)));
          return load.getResult();
        },
        [&] { return zero(type); });
  }
};
} // namespace

void MatrixSlice::bring(TileBuilder &tb, const Way &way, const Region &region,
                        Value tile, Value k0) const {
  if (inPieces)
    bringInPieces(tb, way, region, tile, k0);
  else
    bringAsItLies(tb, way, region, tile, k0);
}

void MatrixSlice::bringAsItLies(TileBuilder &tb, const Way &way,
                                const Region &region, Value tile,
                                Value k0) const {
  OpBuilder &b = tb.b;
  Bringer br = {tb, b, tb.loc, f, region, outer};
  auto emit = [&](int64_t run) {
    tb.forTile({b.getIndexAttr(type.getDimSize(0)),
                b.getIndexAttr(type.getDimSize(1) / run)},
               [&](ValueRange p) {
                 Value i = p[0], j = br.times(p[1], run);
                 Value o = br.add(region.outer0, alongOuter ? j : i),
                       k = br.add(k0, alongOuter ? i : j);
                 if (run == 1) {
                   memref::StoreOp::create(b, tb.loc, br.element(o, k), tile,
                                           ValueRange{i, j});
                   return;
                 }
                 Value inside = br.inside(o, k);
                 auto [memref, indices] = br.at(o, k);
                 AsyncRunOp::create(b, tb.loc, memref, indices, tile,
                                    ValueRange{i, j}, run, inside);
               });
  };
  if (way.run == 1 || !way.aligned)
    return emit(way.run);
  auto branch = scf::IfOp::create(b, tb.loc, way.aligned, true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  emit(way.run);
  b.setInsertionPoint(branch.elseBlock()->getTerminator());
  emit(1);
}

/// Pieces are stored along k, and loaded along what is contiguous. Lanes go
/// along k, whose pieces fill a row; of what is gathered element by element
/// along the outer dim, where neighbours lie side by side.
void MatrixSlice::bringInPieces(TileBuilder &tb, const Way &way,
                                const Region &region, Value tile,
                                Value k0) const {
  OpBuilder &b = tb.b;
  Bringer br = {tb, b, tb.loc, f, region, outer};
  // No more than a lane's share, so that all have some.
  int64_t share = std::max<int64_t>(outer * k / lanes, 1),
          width = bytesOf(f.narrow);
  auto fit = [](int64_t n, int64_t most) {
    while (n > 1 && n > most)
      n /= 2;
    return n;
  };
  bool turned = f.alongOuter && way.run > 1,
       gathered = f.alongOuter && way.run == 1;
  int64_t pieceK = turned         ? fit(kTurnedBytes / width, share)
                   : way.run == 1 ? fit(kStoreBytes / width, share)
                                  : way.run,
          pieceOuter = turned ? fit(way.run, share / pieceK) : 1;
  // Eight lanes store two rows of 64 bytes: of neighbours, which lie 80 bytes
  // apart, some banks are the same.
  bool spread = !turned && !gathered && pieceK * width == kStoreBytes &&
                k * width == 4 * kStoreBytes;
  OpFoldResult outers = b.getIndexAttr(outer / pieceOuter),
               ks = b.getIndexAttr(k / pieceK);
  SmallVector<OpFoldResult> pieces = {outers, ks};
  if (gathered)
    std::swap(pieces[0], pieces[1]);
  tb.forTile(pieces, [&](ValueRange p) {
    Value i = p[gathered ? 1 : 0], j = br.times(p[gathered ? 0 : 1], pieceK);
    if (spread)
      i = br.spread(i);
    i = br.times(i, pieceOuter);
    Value o = br.add(region.outer0, i), at = br.add(k0, j);
    auto type = VectorType::get({pieceK}, f.narrow);
    auto store = [&](Value v, Value row) {
      auto made =
          vector::StoreOp::create(b, tb.loc, v, tile, ValueRange{row, j});
      made->setAttr("alignment", b.getI64IntegerAttr(pieceK * width));
    };
    auto join = [&](ArrayRef<Value> elements) -> Value {
      return vector::FromElementsOp::create(b, tb.loc, type, elements);
    };
    SmallVector<Value> parts;
    if (turned) {
      for (int64_t e = 0; e < pieceK; ++e)
        parts.push_back(br.run(o, br.plus(at, e), pieceOuter));
      for (int64_t e = 0; e < pieceOuter; ++e)
        store(join(llvm::map_to_vector(parts,
                                       [&](Value part) -> Value {
                                         return vector::ExtractOp::create(
                                             b, tb.loc, part, e);
                                       })),
              br.plus(i, e));
    } else if (way.run > 1) {
      store(br.run(o, at, pieceK), i);
    } else {
      for (int64_t e = 0; e < pieceK; ++e)
        parts.push_back(br.element(o, br.plus(at, e)));
      store(join(parts), i);
    }
  });
}
