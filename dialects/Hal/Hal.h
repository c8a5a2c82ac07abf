//===- Hal.h - the hal dialect ---------------------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_HAL_HAL_H
#define ISTHMUS_DIALECTS_HAL_HAL_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Hal/HalOpsDialect.h.inc"
#define GET_OP_CLASSES
#include "dialects/Hal/HalOps.h.inc"

#endif // ISTHMUS_DIALECTS_HAL_HAL_H
