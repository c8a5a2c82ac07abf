//===- LaneLayouts.h - which lane holds what of a tile ---------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_LANELAYOUTS_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_LANELAYOUTS_H

#include "dialects/Kernel/Transforms/Lanes.h"

namespace isthmus::kernel {

struct TilePlace {
  int64_t row, column;
  bool operator==(const TilePlace &o) const {
    return row == o.row && column == o.column;
  }
};

/// What the bits of a register's and of a lane's number mean in a tile.
struct LaneBits {
  llvm::SmallVector<TilePlace> registers, lanes;
};

/// How many parts of the unit's shape a subgroup has either way, and how many
/// subgroups there are.
struct SubgroupParts {
  int64_t m, n, subgroupsM, subgroupsN;
};

/// Of offsets in the row-major order of rows of `columns` elements.
llvm::SmallVector<TilePlace> placesOf(llvm::ArrayRef<int64_t> offsets,
                                      int64_t columns);
inline LaneBits bitsOf(const Fragment &fragment, int64_t columns) {
  return {placesOf(fragment.registers, columns),
          placesOf(fragment.lanes, columns)};
}

/// The element that register `r` holds, the lane's part aside.
TilePlace placeOf(const LaneBits &bits, int64_t r);

/// The subgroups as square as they go, so that each loads little of A and B.
std::optional<SubgroupParts> partsOf(int64_t m, int64_t n,
                                     const MatrixUnit &unit, int64_t subgroups);

/// The row and column of the number `v`, whose bits mean `bits`.
std::pair<mlir::Value, mlir::Value> placeOfLane(mlir::OpBuilder &b,
                                                mlir::Location loc,
                                                mlir::Value v,
                                                llvm::ArrayRef<TilePlace> bits);

/// The number of a subgroup's lane: 0 to subgroup - 1.
mlir::Value laneInSubgroup(LaneBuilder &lb, mlir::Location loc);

/// Where the sums of this lane's subgroup begin.
std::pair<mlir::Value, mlir::Value> originOf(LaneBuilder &lb,
                                             mlir::Location loc,
                                             const SubgroupParts &parts,
                                             const MatrixUnit &unit);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_LANELAYOUTS_H
