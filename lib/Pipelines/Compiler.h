//===- Compiler.h - from a model file to an artifact -----------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_COMPILER_H
#define ISTHMUS_LIB_PIPELINES_COMPILER_H

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

#include <map>
#include <string>
#include <vector>

namespace isthmus {

class Tuning;

/// The stages after which `--emit` can stop, in order.
enum class Stage { graph, kernel, tiled, lanes, program, artifact };

struct CompileOptions {
  std::string input;
  std::string output;               // for Stage::artifact
  std::vector<std::string> targets; // "cpu:native"
  /// Ranges of symbolic dims by name, both ends included.
  std::map<std::string, std::pair<int64_t, int64_t>> shapes;
  /// Outputs that live in inputs: (input, output).
  std::vector<std::pair<std::string, std::string>> states;
  Stage stage = Stage::artifact;
  unsigned jobs = 0; // 0: one per core
  bool fuse = true;
  bool remarks = false;     // of plans and kernels, as text
  bool tf32 = false;        // TargetInfo::tf32
  Tuning *tuning = nullptr; // TargetInfo::tuning
  std::string tuningFile;   // where it is from, for --dump-dir
  unsigned refuseEvery = 0; // PlanOptions::refuseEvery
  bool reference = false;   // add what ist-run --compare=reference runs
  std::string breakKernel;  // make kernels wrong whose name holds this
  std::string dumpDir;      // write every stage up to `lanes` there
};

/// Compiles options.input. Messages, one a line with a code, go to `errors`;
/// text of an earlier stage to `out`. Returns false on failure, with no
/// output file written. Uses options.jobs threads.
bool compile(const CompileOptions &options, llvm::raw_ostream &out,
             llvm::raw_ostream &errors);

/// Loads every dialect that the compiler uses into the registry.
void registerCompilerDialects(mlir::DialectRegistry &registry);

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_COMPILER_H
