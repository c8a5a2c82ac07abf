//===- Registry.h - operators by name and opset -----------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_REGISTRY_H
#define ISTHMUS_LIB_IMPORT_REGISTRY_H

#include "mlir/Support/LLVM.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/Twine.h"

#include <limits>
#include <string>
#include <vector>

namespace isthmus {

class NodeContext;

/// Emits one node. Sets the results it has, or reports why not.
using OpHandler = mlir::LogicalResult (*)(NodeContext &);

struct OpEntry {
  OpHandler handler;
  int minInputs; // the first so many inputs are present when it is called
  int64_t since, until;    // opsets, both included
  bool takesLists = false; // sequences and optionals, see ImportValue
  int maxInputs = std::numeric_limits<int>::max(); // of any opset
};

class Registry {
public:
  /// All operators. Each file of Ops/ adds its own.
  static const Registry &get();

  void add(llvm::StringRef op, int minInputs, OpHandler handler,
           int64_t since = 1,
           int64_t until = std::numeric_limits<int64_t>::max(),
           llvm::StringRef domain = "");

  /// Lets the inputs of an operator added before be sequences or optionals.
  void takesLists(llvm::StringRef op, llvm::StringRef domain = "");

  /// Limits the inputs of an ONNX operator added before.
  void maxInputs(llvm::StringRef op, int maxInputs);

  /// Null when the operator is not known. `otherOpset` is set when it is known,
  /// but not at this opset.
  const OpEntry *find(llvm::StringRef domain, llvm::StringRef op, int64_t opset,
                      bool &otherOpset) const;

  /// Every "Relu" or "com.microsoft.FastGelu", sorted.
  std::vector<std::string> names() const;

private:
  llvm::StringMap<llvm::SmallVector<OpEntry, 1>> entries; // "domain:op"
};

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_REGISTRY_H
