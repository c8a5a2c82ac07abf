//===- TilesPlan.cpp - products by tiles in workgroup memory --------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For targets that run lanes. A workgroup computes a tile of C[m, n] = sum over
// k of A[m, k] * B[k, n]: it brings slices of A and B to a ring in workgroup
// memory, one ahead, adds their product to a tile in registers, and hands the
// result on by way of workgroup memory, so that the stores and the epilogue go
// side by side along n.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/Product.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

namespace {
struct TileShape {
  int64_t m, n, k, slots, lanes;
};
} // namespace

static int64_t bytesOf(Type type) {
  return llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
}

/// What rows of a tile are longer by, so that lanes which store down a column
/// reach other banks. Of A, of which several elements of a row are read at
/// once, by so many that this stays possible. Elements of 8 bytes fill the
/// memory as it is.
static int64_t padA(const Product &p) {
  int64_t bytes = bytesOf(p.type);
  return p.a.alongOuter && bytes <= 4 ? 16 / bytes : 0;
}
static int64_t padB(const Product &p) {
  return !p.b.alongOuter && bytesOf(p.type) <= 4 ? 1 : 0;
}

static TileShape chooseShape(TileBuilder &tb, const Product &p,
                             const TargetInfo &info) {
  auto m = getConstantIntValue(productOf(tb, p.m)),
       n = getConstantIntValue(productOf(tb, p.n));
  TileShape shape{fitTile(m, kProductTile, 16), fitTile(n, kProductTile, 16),
                  16, 1, 0};
  // The next slice is under way where there is memory for it.
  int64_t slot =
              (shape.m * (shape.k + padA(p)) + shape.k * (shape.n + padB(p))) *
              bytesOf(p.type),
          result = shape.m * shape.n * bytesOf(p.sum);
  if (2 * slot + result <= int64_t(info.workgroupBytes))
    shape.slots = 2;
  // Sixteen sums a lane, unless that leaves less than a subgroup.
  shape.lanes = std::clamp<int64_t>(shape.m * shape.n / 16, 32,
                                    std::min(256u, info.maxGroup));
  return shape;
}

/// Memory of the workgroup's.
static MemRefType memoryOf(ArrayRef<int64_t> shape, Type type,
                           int64_t pad = 0) {
  MLIRContext *context = type.getContext();
  auto space = IntegerAttr::get(IntegerType::get(context, 64), kWorkgroupSpace);
  auto rows = StridedLayoutAttr::get(context, 0, {shape[1] + pad, 1});
  return pad ? MemRefType::get(shape, type, rows, space)
             : MemRefType::get(shape, type, AffineMap(), space);
}

/// Runs `body` for every point of a `rows` x `columns` tile, the rows innermost
/// if `transposed`.
static void forTile(TileBuilder &tb, OpFoldResult rows, OpFoldResult columns,
                    bool transposed, function_ref<void(Value, Value)> body) {
  if (transposed)
    std::swap(rows, columns);
  tb.forTile({rows, columns}, [&](ValueRange p) {
    transposed ? body(p[1], p[0]) : body(p[0], p[1]);
  });
}

static void emitProduct(TileBuilder &tb, const Product &p,
                        const TileShape &shape) {
  OpBuilder &b = tb.b;
  Location loc = tb.loc;
  OpFoldResult M = productOf(tb, p.m), N = productOf(tb, p.n),
               K = productOf(tb, p.k);
  SmallVector<OpFoldResult> extents = p.batch;
  extents.push_back(tb.ceilDiv(M, shape.m));
  extents.push_back(tb.ceilDiv(N, shape.n));
  SmallVector<Value> at = tb.makeGrid(extents);
  SmallVector<Value> batch(ArrayRef(at).drop_back(2));
  Value m0 =
      arith::MulIOp::create(b, loc, at[at.size() - 2], tb.index(shape.m));
  Value n0 = arith::MulIOp::create(b, loc, at.back(), tb.index(shape.n));
  Value sizeM = tb.toValue(M), sizeN = tb.toValue(N), sizeK = tb.toValue(K);
  Type slices[] = {memoryOf({shape.m, shape.k}, p.type, padA(p)),
                   memoryOf({shape.k, shape.n}, p.type, padB(p))};
  Value ring = RingOp::create(
      b, loc, RingType::get(b.getContext(), shape.slots, slices));
  Value tileC = AllocOp::create(b, loc, memoryOf({shape.m, shape.n}, p.sum));
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

  auto bringSlot = [&](Value slot) {
    auto tiles = RingAcquireOp::create(b, loc, slices, ring, slot);
    Value k0 = arith::MulIOp::create(b, loc, slot, tb.index(shape.k));
    bring(tiles.getResult(0), m0, sizeM, k0, sizeK, p.a.alongOuter,
          [&](Value m, Value k) {
            return p.a.element(batch, tb.coordinatesOf(m, p.m),
                               tb.coordinatesOf(k, p.k), /*narrow=*/false);
          });
    bring(tiles.getResult(1), k0, sizeK, n0, sizeN, !p.b.alongOuter,
          [&](Value k, Value n) {
            return p.b.element(batch, tb.coordinatesOf(n, p.n),
                               tb.coordinatesOf(k, p.k), /*narrow=*/false);
          });
    RingCommitOp::create(b, loc, ring, slot);
  };

  Value zero = tb.index(0), one = tb.index(1);
  if (shape.slots > 1)
    bringSlot(zero);
  auto accumulator = VectorType::get({shape.m, shape.n}, p.sum);
  Value start = vector::BroadcastOp::create(b, loc, accumulator, p.start());
  auto loop = scf::ForOp::create(
      b, loc, zero, tb.toValue(tb.ceilDiv(K, shape.k)), one, start);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value step = loop.getInductionVar();
    RingWaitOp now =
        tb.takeSlot(ring, step, shape.slots > 1 ? one : Value(), bringSlot);
    Value next =
        MmaOp::create(b, loc, accumulator, now.getResult(0), now.getResult(1),
                      loop.getRegionIterArg(0), StringAttr());
    RingReleaseOp::create(b, loc, ring, step);
    scf::YieldOp::create(b, loc, next);
  }
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

std::string kernel::planTiles(FuncOp kernel, const TargetInfo &info) {
  if (info.form != Form::lanes)
    return "for targets that run lanes";
  return planAsProduct(
      kernel, info,
      [&](TileBuilder &tb, const Product &p, std::string &plan) -> std::string {
        if (isThin(tb, p))
          return "too thin for tiles";
        TileShape shape = chooseShape(tb, p, info);
        emitProduct(tb, p, shape);
        plan = llvm::formatv("tiles {0}x{1}x{2} ring {3}", shape.m, shape.n,
                             shape.k, shape.slots)
                   .str();
        return "";
      });
}
