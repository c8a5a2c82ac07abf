//===- istc.cpp - the compiler driver -------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OnnxImporter.h"
#include "lib/Pipelines/Compiler.h"
#include "lib/Support/Diagnostics.h"
#include "targets/Target.h"
#include "tools/istc/tune.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <fstream>
#include <iostream>
#include <sys/wait.h>
#include <unistd.h>

using namespace isthmus;

/// "batch:1..32", "batch=1..32" or "batch:4".
static bool parseShape(const std::string &text, CompileOptions &options) {
  size_t colon = text.find_first_of(":=");
  if (colon == std::string::npos || colon == 0)
    return false;
  llvm::StringRef range = llvm::StringRef(text).substr(colon + 1);
  auto [lo, hi] = range.split("..");
  int64_t min, max;
  if (lo.getAsInteger(10, min))
    return false;
  max = min;
  if (!hi.empty() && hi.getAsInteger(10, max))
    return false;
  if (min < 0 || max < min)
    return false;
  options.shapes[text.substr(0, colon)] = {min, max};
  return true;
}

/// One JSON case a line; each runs in a child process, so that a crash is one
/// case's error.
static int runBatch(const std::string &file, CompileOptions base) {
  std::ifstream stream(file);
  nlohmann::json cases = nlohmann::json::parse(stream, nullptr, false);
  if (!cases.is_array()) {
    std::cerr << "error: IST-T0001: " << file << " is not a JSON list\n";
    return 1;
  }
  for (const auto &one : cases) {
    int fds[2];
    if (pipe(fds))
      return 1;
    pid_t pid = fork();
    if (pid == 0) {
      close(fds[0]);
      CompileOptions options = base;
      options.input = one.value("model", "");
      options.output = one.value("output", "");
      if (one.contains("target"))
        options.targets = one["target"].is_array()
                              ? one["target"].get<std::vector<std::string>>()
                              : std::vector{one["target"].get<std::string>()};
      options.jobs = 1;
      std::string text;
      llvm::raw_string_ostream messages(text);
      bool ok = compile(options, llvm::nulls(), messages);
      for (size_t at = 0; at < text.size();) {
        ssize_t n = ::write(fds[1], text.data() + at, text.size() - at);
        if (n <= 0)
          break;
        at += n;
      }
      close(fds[1]);
      _exit(ok ? 0 : 1);
    }
    close(fds[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(fds[0], buffer, sizeof buffer)) > 0;)
      text.append(buffer, n);
    close(fds[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    nlohmann::json result;
    result["ok"] = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFSIGNALED(status))
      text += "error: IST-T0002: the compiler crashed with signal " +
              std::to_string(WTERMSIG(status)) + "\n";
    if (!result["ok"])
      result["error"] = text;
    std::cout << result.dump(-1, ' ', false,
                             nlohmann::json::error_handler_t::replace)
              << std::endl;
  }
  return 0;
}

/// Reads the file of --tuning, or of --tune if there is one yet.
static bool readTuning(const TuneOptions &tune, Tuning &tuning,
                       CompileOptions &options) {
  std::string error;
  if (tune.file.empty() && options.tuningFile.empty())
    return true;
  options.tuning = &tuning;
  if (tune.file.empty()) {
    if (tuning.read(options.tuningFile, error))
      return true;
  } else if (!options.tuningFile.empty()) {
    error = "--tune=FILE reads FILE too: give --tune or --tuning, not both";
  } else if (options.stage != Stage::artifact) {
    error = "--tune makes an artifact: give no --emit with it";
  } else {
    options.tuningFile = tune.file;
    if (!llvm::sys::fs::exists(tune.file) || tuning.read(tune.file, error))
      return true;
  }
  std::cerr << "error: IST-C0010: " << error << "\n";
  return false;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  CLI::App app("istc: compile a model into an Isthmus artifact");
  CompileOptions options;
  std::vector<std::string> shapes, states;
  std::string emit = "artifact", batch;
  bool list = false, listOps = false;
  std::string explain;
  TuneOptions tuneOptions;
  Tuning tuning;
  int level = 2;
  app.add_option("model", options.input, "the model, an .onnx file");
  app.add_option("-o,--output", options.output, "the artifact to write");
  app.add_option("--target", options.targets,
                 "vendor:arch, repeatable; cpu:native by default");
  app.add_option("--shape", shapes, "name:min..max or name:size, repeatable");
  app.add_option("--state", states,
                 "input=output: the output is written in the input's memory, "
                 "repeatable");
  app.add_option("--emit", emit,
                 "graph, kernel, tiled, lanes, program or artifact")
      ->check(CLI::IsMember(
          {"graph", "kernel", "tiled", "lanes", "program", "artifact"}));
  app.add_option("-j,--jobs", options.jobs, "threads; all cores by default");
  app.add_option("-O", level, "0: no fusion, 2: all (default)");
  app.add_option("--dump-dir", options.dumpDir,
                 "write every stage up to lanes there; with several targets, "
                 "each in a folder");
  app.add_flag("--remarks", options.remarks,
               "print each kernel's plans, work, code and launches");
  app.add_flag("--tf32", options.tf32,
               "f32 products may round their operands to tf32 where a matrix "
               "unit takes that");
  app.add_option("--tuning", options.tuningFile,
                 "take the choices in this file, made by --tune");
  app.add_option("--tune", tuneOptions.file,
                 "measure on this machine what plans choose between, add to "
                 "this file what is faster, and compile with it");
  app.add_option("--tune-device", tuneOptions.device,
                 "the device to measure on");
  app.add_option("--tune-shape", tuneOptions.shapes,
                 "sizes to measure at: batch=4,seq=128 (default: the "
                 "smallest)");
  app.add_flag("--list-targets", list, "print the targets and exit");
  app.add_flag("--list-ops", listOps, "print the operators and exit");
  app.add_option("--explain", explain, "say what a message's code means");
  app.add_flag("--reference", options.reference,
               "add what `ist-run --compare=reference` needs: each kernel "
               "once more, planned as simply as can be");
  app.add_option("--test-break-kernel", options.breakKernel,
                 "make kernels wrong whose name holds this, to test "
                 "--compare=reference");
  app.add_option("--test-refuse-plans", options.refuseEvery,
                 "refuse every k-th plan, to test the ladder");
  app.add_option("--batch", batch,
                 "JSON list of {model, output, target}: compile each, one JSON "
                 "result a line; target may be a list");
  CLI11_PARSE(app, argc, argv);
  if (list) {
    for (const Target &target : allTargets()) {
      std::cout << target.vendor << ": " << target.help << "\n";
      for (const std::string &arch : target.list())
        std::cout << "  " << target.vendor << ":" << arch << "\n";
    }
    return 0;
  }
  if (listOps) {
    for (const std::string &name : listOnnxOperators())
      std::cout << name << "\n";
    return 0;
  }
  if (!explain.empty()) {
    const DiagnosticKind *kind = findDiagnostic(explain.c_str());
    if (!kind) {
      std::cerr << "error: IST-T0010: no message has the code " << explain
                << "; codes look like IST-I0101\n";
      return 1;
    }
    std::cout << kind->code << ": " << kind->title << "\n\n"
              << kind->text << "\n";
    return 0;
  }
  options.fuse = level > 0;
  for (const std::string &shape : shapes)
    if (!parseShape(shape, options)) {
      std::cerr << "error: IST-T0003: --shape=" << shape
                << " is not name:size or name:min..max\n";
      return 1;
    }
  for (const std::string &state : states) {
    size_t equals = state.find('=');
    if (equals == std::string::npos || !equals || equals + 1 == state.size()) {
      std::cerr << "error: IST-C0009: --state=" << state
                << " is not input=output\n";
      return 1;
    }
    options.states.push_back(
        {state.substr(0, equals), state.substr(equals + 1)});
  }
  options.stage = emit == "graph"     ? Stage::graph
                  : emit == "kernel"  ? Stage::kernel
                  : emit == "tiled"   ? Stage::tiled
                  : emit == "lanes"   ? Stage::lanes
                  : emit == "program" ? Stage::program
                                      : Stage::artifact;
  if (!tuneOptions.file.empty() && !batch.empty()) {
    std::cerr << "error: IST-C0010: --batch does not measure: give it "
                 "--tuning=FILE\n";
    return 1;
  }
  if (!readTuning(tuneOptions, tuning, options))
    return 1;
  if (!batch.empty())
    return runBatch(batch, options);
  if (options.input.empty()) {
    std::cerr << "error: IST-T0004: no model given; usage: istc model.onnx -o "
                 "model.ist\n";
    return 1;
  }
  if (options.output.empty() && options.stage == Stage::artifact)
    options.output =
        options.input.substr(0, options.input.find_last_of('.')) + ".ist";
  if (!tuneOptions.file.empty() && !tune(options, tuneOptions, llvm::errs()))
    return 1;
  return compile(options, llvm::outs(), llvm::errs()) ? 0 : 1;
}
