//===- OnnxImporter.h - from an ONNX file to a graph module ----*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_ONNXIMPORTER_H
#define ISTHMUS_LIB_IMPORT_ONNXIMPORTER_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <map>
#include <string>

namespace isthmus {

/// What a symbolic dim may be, both ends included. min == max fixes it.
struct DimRange {
  int64_t min = 1;
  int64_t max = 2147483647;
};

struct OnnxImportOptions {
  /// By symbol name. An input's dim without a name is called
  /// "<input>_dim<i>".
  std::map<std::string, DimRange> shapes;
  /// Verify the module; a failure is an IST-I0900 diagnostic.
  bool verify = true;
};

struct ImportDiagnostic {
  std::string code;  // "IST-I0101"; see docs/diagnostics
  std::string node;  // the node's name, or "Relu_3"; empty: the model
  std::string op;    // "Relu", "com.microsoft.FastGelu"; may be empty
  int64_t opset = 0; // 0: does not apply
  std::string reason;
  std::string nextStep; // what the user can do

  /// One line, as istc prints it.
  std::string str() const;
};

/// Reads `path` and returns a module with one `func.func @main`, or null with
/// at least one diagnostic. Every unsupported node is reported, not only the
/// first. The file is untrusted. Weights stay in the file: see graph.weight.
mlir::OwningOpRef<mlir::ModuleOp>
importOnnx(llvm::StringRef path, mlir::MLIRContext &context,
           const OnnxImportOptions &options,
           llvm::SmallVectorImpl<ImportDiagnostic> &diags);

/// The names of the operators that are known, sorted; those of other domains
/// than ONNX's own as domain.name. Thread-safe.
std::vector<std::string> listOnnxOperators();

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_ONNXIMPORTER_H
