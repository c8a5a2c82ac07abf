//===- Plan.cpp - the order in which plans are tried ----------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Plan.h"
#include "dialects/Kernel/Transforms/Plans.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

namespace {
struct Row {
  const char *name;
  bool lanes; // also for targets that run lanes
  std::string (*apply)(FuncOp, const TargetInfo &);
};
} // namespace

static const Row rows[] = {
    {"blocked", false, planBlocked},
    {"contraction", false, planContraction},
    {"dots", false, planDots},
    {"inner", false, planInner},
    {"conv", false, planConv},
    {"thin", true, planThin},
    {"matrix", true, planMatrix},
    {"tiles", true, planTiles},
    {"attention", true, planAttention},
    {"rows", true,
     [](FuncOp k, const TargetInfo &info) {
       return info.form == Form::lanes ? planLaneRows(k, info)
                                       : planRows(k, info);
     }},
    {"vectors", false, planVectors},
    {"loops", true,
     [](FuncOp k, const TargetInfo &info) {
       return planLoops(k, info, false);
     }},
    {"serial", true,
     [](FuncOp k, const TargetInfo &info) { return planLoops(k, info, true); }},
};

LogicalResult kernel::planKernel(FuncOp kernel, const TargetInfo &info,
                                 PlanOptions &options,
                                 SmallVectorImpl<PlanRemark> &remarks) {
  for (const Row &row : rows) {
    bool last = &row == std::end(rows) - 1;
    if (info.form == Form::lanes && !row.lanes) {
      remarks.push_back({row.name, "for vectors; the target runs lanes"});
      continue;
    }
    if (options.reference && !last)
      continue;
    if (!last && options.refuseEvery &&
        ++options.refuseCounter % options.refuseEvery == 0) {
      remarks.push_back({row.name, "refused for a test"});
      continue;
    }
    // A plan puts its kernel where the source stood.
    Operation *before = kernel->getPrevNode();
    Block *block = kernel->getBlock();
    std::string declined = row.apply(kernel, info);
    PlanRemark remark = {row.name, declined};
    if (declined.empty()) {
      Operation *at = before ? before->getNextNode() : &block->front();
      if (auto planned = dyn_cast<FuncOp>(at); planned && planned.getPlan())
        remark.taken = planned.getPlan()->str();
    }
    remarks.push_back(remark);
    if (declined.empty())
      return success();
  }
  InFlightDiagnostic diag = kernel.emitError("no plan takes this kernel");
  for (const PlanRemark &remark : remarks)
    diag.attachNote() << remark.plan << ": " << remark.declined;
  return diag;
}
