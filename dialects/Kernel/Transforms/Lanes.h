//===- Lanes.h - what distribution builds form(lanes) with -----*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_LANES_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_LANES_H

#include "dialects/Kernel/Kernel.h"
#include "targets/Target.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"

#include <deque>

namespace isthmus::kernel {

/// Which elements of a tile a lane holds: register r is the element at
/// base + offsets[r], per dim. `base` is the lane's, `offsets` are constant.
struct LaneLayout {
  llvm::SmallVector<mlir::Value> base;
  llvm::SmallVector<llvm::SmallVector<int64_t>> offsets;
};

/// Whether so many subgroups can share m x n sums, each in whole units.
bool canDeal(int64_t m, int64_t n, const MatrixUnit &unit, int64_t subgroups);

/// Why a tile of rank 2 lies as it does: a layout was given, or it is an
/// operand or the sums of m x n sums by a unit.
struct Anchor {
  LayoutAttr layout;
  const MatrixUnit *unit = nullptr;
  enum Role { sums, a, b } role = sums;
  int64_t m = 0, n = 0;
  bool operator==(const Anchor &o) const {
    return layout == o.layout && unit == o.unit && role == o.role && m == o.m &&
           n == o.n;
  }
};

/// A ring's slots in workgroup memory: per tile one allocation of `depth`.
struct LaneRing {
  llvm::SmallVector<mlir::Value> memory;
  int64_t depth;
  /// Some lane may still read a slot that was released.
  bool reading = false;
};

/// What a lane has for a slot of a ring, in registers: stored later.
struct StagedStore {
  mlir::Value guard; // null: always
  mlir::Value value, tile;
  llvm::SmallVector<mlir::Value> indices;
  mlir::Attribute alignment; // of a vector, or null
};

/// Where barriers are needed: memory that lanes may hand each other.
class Hazards {
public:
  /// Looks at every access of `kernel`, form(tiled) with `group` lanes.
  Hazards(FuncOp kernel, int64_t group);

  /// Whether a barrier must stand before `op`, a statement of the workgroup's.
  bool before(mlir::Operation *op);
  /// Whether one must stand where control flow joins or repeats.
  bool atJoin();
  /// After `before` or `atJoin` said so: whether bindings are concerned.
  bool bindings = false;

private:
  struct Access {
    mlir::Value memref;
    bool write, own; // own: each lane has its elements, always the same
  };
  void accessesOf(mlir::Operation *op, llvm::SmallVectorImpl<Access> &accesses);
  bool clear();

  FuncOp kernel;
  int64_t group;
  llvm::DenseSet<mlir::Value> shared;             // by root
  llvm::MapVector<mlir::Value, bool> outstanding; // by root: written
};

/// Whether `v` is known to be a multiple of `n`.
bool isMultiple(mlir::Value v, int64_t n);

/// Copies of boxes in a kernel in form(tiled) become loops over their runs.
void expandBoxCopies(FuncOp kernel);

/// Builds one lane's program of a workgroup's.
class LaneBuilder {
public:
  LaneBuilder(FuncOp kernel, const TargetInfo &info);
  mlir::LogicalResult run();

  mlir::OpBuilder b;
  FuncOp kernel;
  const TargetInfo &info;
  const int64_t group;
  const unsigned subgroup;
  mlir::Value lane;

  mlir::Value index(mlir::Location loc, int64_t v);
  mlir::Value uniform(mlir::Value v) { return map.lookupOrDefault(v); }
  llvm::SmallVector<mlir::Value> uniform(mlir::ValueRange values);
  /// The registers of a tile.
  llvm::ArrayRef<mlir::Value> registers(mlir::Value v) { return tiles[v]; }
  /// Null if this tile cannot be dealt to the lanes.
  const LaneLayout *layoutOf(mlir::Value tile);
  /// The indices of register `r`'s element, with the tile's first element at
  /// `indices`; the tile's dims are the last ones.
  llvm::SmallVector<mlir::Value> at(mlir::Location loc,
                                    const LaneLayout &layout, unsigned r,
                                    mlir::ValueRange indices);
  /// All lanes' values combined, on every lane.
  mlir::Value reduceGroup(mlir::Location loc, mlir::vector::CombiningKind kind,
                          mlir::Value v);
  void barrier(mlir::Location loc, bool bindings = false);

private:
  mlir::LogicalResult emit(mlir::Block &block);
  mlir::LogicalResult emit(mlir::Operation *op);
  mlir::LogicalResult emitFor(mlir::scf::ForOp op);
  mlir::LogicalResult emitIf(mlir::scf::IfOp op);
  mlir::LogicalResult deal(mlir::scf::ForallOp forall);
  mlir::LogicalResult emitTile(mlir::Operation *op);
  mlir::LogicalResult emitMma(MmaOp op);
  mlir::LogicalResult emitUnitMma(MmaOp op);
  mlir::LogicalResult emitEach(EachOp op);
  bool isOfRing(mlir::Operation *op);
  mlir::LogicalResult emitRing(mlir::Operation *op);
  void enterRings(mlir::scf::ForOp loop);
  mlir::Value sizeOf(mlir::Location loc, mlir::OpFoldResult v);
  void takePoint(mlir::scf::ForallOp forall, mlir::Value point);
  /// Whether what `forall` fills of a slot waits in registers; its points.
  bool isStaged(mlir::scf::ForallOp forall, int64_t &points);
  /// Runs `body` for each point that a lane has, one after the other, with what
  /// says whether there is one; null: always.
  void forStagedPoints(mlir::scf::ForallOp forall, int64_t points,
                       llvm::function_ref<void(mlir::Value guard)> body);
  void stage(mlir::Block &body, mlir::Value guard);
  void storeStaged(mlir::Location loc);
  void prefetchPoint(mlir::Block &body);
  void prefetchNext(RingCommitOp commit);
  mlir::LogicalResult findAnchors(mlir::Region &tiled);
  mlir::LogicalResult anchor(mlir::Value tile, Anchor anchor,
                             mlir::Operation *op);
  const Anchor *anchorOf(mlir::Value tile);
  bool givenLayout(mlir::VectorType type, LayoutAttr attr, LaneLayout &layout);
  bool unitLayout(mlir::VectorType type, const Anchor &anchor,
                  LaneLayout &layout);
  /// Whether lanes hold of `tile`, an operand, what the unit wants of them.
  bool liesFor(mlir::Value tile, const Anchor &wanted);
  mlir::LogicalResult emitRelayout(RelayoutOp op);
  mlir::LogicalResult emitBoundedRead(mlir::vector::TransferReadOp op);
  mlir::LogicalResult emitBoundedWrite(mlir::vector::TransferWriteOp op);
  void onlyFirstLane(mlir::Operation *op);
  mlir::Value shuffle(mlir::Location loc, mlir::Value v, int64_t distance);

  void flatten(mlir::ValueRange values, llvm::SmallVectorImpl<mlir::Value> &to);
  void unflatten(mlir::ValueRange values, mlir::ValueRange from);
  mlir::Block *entry;
  Hazards hazards;
  mlir::IRMapping map;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::Value>> tiles;
  /// By shape, as a type of i1, and by what makes the tile lie so.
  llvm::DenseMap<std::pair<mlir::VectorType, const Anchor *>, LaneLayout>
      layouts;
  /// Tiles that lie in the same way, and why.
  llvm::EquivalenceClasses<void *> alike;
  llvm::DenseMap<void *, const Anchor *> anchors;
  std::deque<Anchor> knownAnchors;
  llvm::DenseMap<mlir::Value, LaneRing> rings;
  llvm::SmallVector<StagedStore> staged;
};

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_LANES_H
