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
  enum { vectors, lanes, both } targets;
  std::string (*apply)(FuncOp, const TargetInfo &);
};
} // namespace

static const Row rows[] = {
    {"blocked", Row::vectors, planBlocked},
    {"contraction", Row::vectors, planContraction},
    {"dots", Row::vectors, planDots},
    {"inner", Row::vectors, planInner},
    {"conv", Row::vectors, planConv},
    {"thin", Row::lanes, planThin},
    {"matrix", Row::both, planMatrix},
    {"tiles", Row::lanes, planTiles},
    {"attention", Row::both, planAttention},
    {"rows", Row::both,
     [](FuncOp k, const TargetInfo &info) {
       return info.form == Form::lanes ? planLaneRows(k, info)
                                       : planRows(k, info);
     }},
    {"vectors", Row::vectors, planVectors},
    {"loops", Row::both,
     [](FuncOp k, const TargetInfo &info) {
       return planLoops(k, info, false);
     }},
    {"serial", Row::both,
     [](FuncOp k, const TargetInfo &info) { return planLoops(k, info, true); }},
};

LogicalResult kernel::planKernel(FuncOp kernel, const TargetInfo &info,
                                 PlanOptions &options,
                                 SmallVectorImpl<PlanRemark> &remarks) {
  for (const Row &row : rows) {
    bool last = &row == std::end(rows) - 1;
    if (row.targets == (info.form == Form::lanes ? Row::vectors : Row::lanes)) {
      remarks.push_back({row.name,
                         row.targets == Row::lanes
                             ? "for targets that run lanes"
                             : "for vectors; the target runs lanes",
                         "", /*tried=*/false});
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
