//===- ist-opt.cpp - run passes by name, for developers -------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Kernel/Transforms/Distribute.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/InitAllDialects.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  registry
      .insert<isthmus::graph::GraphDialect, isthmus::kernel::KernelDialect>();
  mlir::registerTransformsPasses();
  mlir::registerPass(isthmus::kernel::createDistributePass);
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "isthmus optimizer driver\n", registry));
}
