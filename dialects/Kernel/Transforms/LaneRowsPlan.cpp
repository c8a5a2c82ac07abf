//===- LaneRowsPlan.cpp - the plan rows, for targets that run lanes -------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the plan rows does with a CPU's vectors it does with tiles as wide as a
// workgroup: the same passes over a row, an element a lane.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Distribute.h"
#include "dialects/Kernel/Transforms/Plans.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// Lanes of a workgroup that has one row at a time.
static constexpr int64_t kLanes = 128;
/// Rows this short leave lanes idle: a lane a row is better.
static constexpr int64_t kLeast = 32;
/// Workgroup memory that a row's values may take: more would keep other
/// workgroups off the same processor.
static constexpr unsigned kKeptBytes = 16 << 10;

/// The length of the shortest tile.
static int64_t shortestTile(FuncOp kernel) {
  int64_t least = std::numeric_limits<int64_t>::max();
  kernel.walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      if (auto tile = dyn_cast<VectorType>(type))
        least = std::min(least, tile.getNumElements());
  });
  return least;
}

std::string kernel::planLaneRows(FuncOp kernel, const TargetInfo &info) {
  TargetInfo wide = info;
  wide.form = Form::tiled;
  int64_t lanes = std::min<int64_t>(kLanes, info.maxGroup);
  wide.vectorBytes = lanes * sizeof(float);
  wide.vectorRegisters = 64; // enough: a register is one of a lane's
  wide.workgroupBytes = std::min(info.workgroupBytes / 2, kKeptBytes);
  OpBuilder b(kernel);
  auto copy = cast<FuncOp>(b.clone(*kernel.getOperation()));
  if (std::string why = planRows(copy, wide); !why.empty()) {
    copy.erase();
    return why;
  }
  // It stands where the copy stood.
  auto planned = cast<FuncOp>(kernel->getPrevNode());
  auto decline = [&](std::string why) {
    planned.erase();
    return why;
  };
  int64_t tile = shortestTile(planned);
  if (tile < kLeast)
    return decline("rows are too short for a workgroup");
  planned.setGroup(std::min(tile, lanes));
  // Not every tile can be dealt to lanes: see.
  std::string why;
  {
    ScopedDiagnosticHandler quiet(kernel.getContext(), [&](Diagnostic &d) {
      if (why.empty())
        why = d.str();
      return success();
    });
    auto trial = cast<FuncOp>(b.clone(*planned.getOperation()));
    bool good = succeeded(distribute(trial, info));
    trial.erase();
    if (!good)
      return decline(why.empty() ? "cannot be dealt to lanes" : why);
  }
  kernel.erase();
  return "";
}
