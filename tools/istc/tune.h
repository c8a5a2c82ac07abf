//===- tune.h - measures what plans choose between --------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TOOLS_ISTC_TUNE_H
#define ISTHMUS_TOOLS_ISTC_TUNE_H

#include "lib/Pipelines/Compiler.h"

#include <string>
#include <vector>

namespace isthmus {

struct TuneOptions {
  std::string file;                // what is measured is added to it
  std::string device;              // where to measure, "" for the default one
  std::vector<std::string> shapes; // sizes of symbols, as for ist-bench
};

/// Compiles options.input for each of its targets once for each candidate of
/// what plans choose, runs `main` of each result on random inputs beside the
/// plans' own guesses, call by call, and adds to the file what was faster. What
/// the file answers already is not measured again. options.tuning, which holds
/// the file's lines, knows the new ones afterwards. Progress and messages go to
/// `errors`. False on failure, with the file as it was before the target that
/// failed. The candidates' artifacts are written beside options.output, and
/// removed.
bool tune(const CompileOptions &options, const TuneOptions &tuning,
          llvm::raw_ostream &errors);

} // namespace isthmus

#endif // ISTHMUS_TOOLS_ISTC_TUNE_H
