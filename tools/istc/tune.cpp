//===- tune.cpp - measures what plans choose between ----------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "tools/istc/tune.h"

#include "model.h"
#include "targets/Target.h"

#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <chrono>

using namespace isthmus;
using namespace isthmus::tools;

namespace {

/// Another candidate must be so much faster than the guess, or noise would be
/// written down.
constexpr double kWorthIt = 0.97;
/// Seconds that a candidate is run for, and calls, at least.
constexpr double kSeconds = 1;
constexpr unsigned kCalls = 9, kMostCalls = 301;

using Clock = std::chrono::steady_clock;

/// Seconds by kernel, one a call, of two candidates.
struct Pair {
  std::vector<double> guess, other;
};

/// The fastest call is the one that was disturbed least.
double fastest(const std::vector<double> &v) {
  return *std::min_element(v.begin(), v.end());
}

using Questions = std::map<std::string, Tuning::Question>;

/// Tunes one target.
class Tuner {
public:
  Tuner(const CompileOptions &base, const std::string &target,
        const TuneOptions &tuning, llvm::raw_ostream &errors)
      : options(base), output(base.output), tuning(tuning), errors(errors) {
    options.targets = {target};
    options.stage = Stage::artifact;
    options.remarks = false;
    options.dumpDir.clear();
  }
  bool run();

private:
  /// What one of the questions' candidates did.
  struct Best {
    double ratio = 1, seconds = 0, guess = 0;
    std::string choice;
  };
  bool fail(const std::string &text) {
    errors << "error: IST-C0012: " << options.targets[0] << ": " << text
           << "\n";
    return false;
  }
  bool compileTo(const std::string &path);
  bool load(RandomCall &candidate, const std::string &path);
  bool time(RandomCall &candidate, bool profile,
            std::map<std::string, double> &seconds);
  bool compare(RandomCall &guess, RandomCall &other, bool profile,
               std::map<std::string, Pair> &seconds);
  bool keep(RandomCall &guess, const Questions &open,
            const std::map<std::string, Best> &best);
  bool measure(RandomCall &guess, const std::string &path,
               const Questions &open, std::map<std::string, Best> &best);

  CompileOptions options;
  std::string name, output; // of the target, of what the user asked for
  const TuneOptions &tuning;
  llvm::raw_ostream &errors;
};

} // namespace

/// Loads the candidate at `path`.
bool Tuner::load(RandomCall &candidate, const std::string &path) {
  Failure failure;
  if (candidate.prepare(path, tuning.device, IST_BEST_VARIANT, "main",
                        tuning.shapes, /*seed=*/0, failure))
    return true;
  return fail("cannot run here: " + failure.message +
              "; tune on a machine that can, and give the file to --tuning");
}

/// Calls it once; seconds by kernel with `profile`, else of the call as "".
bool Tuner::time(RandomCall &candidate, bool profile,
                 std::map<std::string, double> &seconds) {
  Failure failure;
  ist_error e = {};
  ist_session *session = candidate.session.get();
  const Model &model = candidate.model;
  if (profile && ist_session_set_profiling(session, 1, &e))
    return fail(e.message);
  auto start = Clock::now();
  if (!candidate.call(failure))
    return fail("a call failed: " + failure.message);
  if (!profile) {
    seconds[""] = std::chrono::duration<double>(Clock::now() - start).count();
    return true;
  }
  for (uint32_t i = 0; i < model.info.launch_count; ++i) {
    ist_launch_profile p;
    ist_launch_info l;
    ist_kernel_info k;
    if (ist_session_profile(session, model.index, i, &p, &e) ||
        ist_program_launch(model.program.get(), model.index, i, &l, &e) ||
        ist_program_kernel(model.program.get(), l.kernel, &k, &e))
      return fail(e.message);
    if (p.count)
      seconds[k.name] += static_cast<double>(p.nanoseconds) * 1e-9;
  }
  return true;
}

bool Tuner::compileTo(const std::string &path) {
  options.output = path;
  options.tuning->forget();
  return compile(options, llvm::nulls(), errors);
}

/// Calls both by turns; who is first alternates.
bool Tuner::compare(RandomCall &guess, RandomCall &other, bool profile,
                    std::map<std::string, Pair> &seconds) {
  auto begin = Clock::now();
  auto spent = [&] {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  for (unsigned i = 0; i < kMostCalls && (i < kCalls || spent() < kSeconds);
       ++i)
    for (bool second : {false, true}) {
      bool isOther = second != (i % 2 == 1);
      std::map<std::string, double> times;
      if (!time(isOther ? other : guess, profile, times))
        return false;
      for (auto &[name, t] : times)
        (isOther ? seconds[name].other : seconds[name].guess).push_back(t);
    }
  return true;
}

/// Times the candidates that were proposed last against the guesses.
bool Tuner::measure(RandomCall &guess, const std::string &path,
                    const Questions &open, std::map<std::string, Best> &best) {
  RandomCall other;
  std::map<std::string, Pair> seconds;
  if (!load(other, path) || !compare(guess, other, /*profile=*/true, seconds))
    return false;
  for (auto &[what, question] : options.tuning->questions()) {
    Best now;
    for (const std::string &kernel : question.kernels) {
      // Equal kernels are one; the others' names do not come up.
      auto found = seconds.find(kernel);
      if (found == seconds.end() || found->second.guess.empty() ||
          found->second.other.empty())
        continue;
      now.guess += fastest(found->second.guess);
      now.seconds += fastest(found->second.other);
    }
    if (now.guess <= 0 || !open.count(what))
      continue;
    now.ratio = now.seconds / now.guess;
    now.choice = question.candidates[question.taken];
    Best &so = best[what];
    if (so.choice.empty() || now.ratio < so.ratio)
      so = now;
  }
  return true;
}

bool Tuner::run() {
  Tuning &choices = *options.tuning;
  TargetInfo info;
  std::string error;
  if (!findTarget(options.targets[0], info, error)) {
    errors << "error: IST-C0007: " << error << "\n";
    return false;
  }
  name = info.name;
  std::string guessPath = output + ".guess", otherPath = output + ".other";
  llvm::FileRemover removeGuess(guessPath), removeOther(otherPath);
  choices.propose(0);
  if (!compileTo(guessPath))
    return false;
  Questions open;
  unsigned most = 0;
  for (const auto &[what, question] : choices.questions())
    if (!question.kernels.empty() && question.candidates.size() > 1 &&
        !choices.isAnswered(name, what)) {
      open[what] = question;
      most = std::max<unsigned>(most, question.candidates.size());
    }
  if (open.empty()) {
    errors << "tune: " << name << ": nothing left to choose\n";
    return true;
  }
  RandomCall guess;
  if (!load(guess, guessPath))
    return false;
  std::map<std::string, Best> best;
  for (unsigned i = 1; i < most; ++i) {
    errors << "tune: " << name << ": candidate " << i << " of " << most - 1
           << "\n";
    choices.propose(i);
    bool good = compileTo(otherPath) && measure(guess, otherPath, open, best);
    choices.propose(0);
    if (!good)
      return false;
  }
  return keep(guess, open, best);
}

/// Writes down what was better, if all of it together is better too.
bool Tuner::keep(RandomCall &guess, const Questions &open,
                 const std::map<std::string, Best> &best) {
  Tuning &choices = *options.tuning;
  std::vector<std::string> lines;
  unsigned changed = 0;
  for (auto &[what, question] : open) {
    auto found = best.find(what);
    // A kernel that these sizes never launch was not measured.
    if (found == best.end())
      continue;
    const Best &b = found->second;
    const std::string &first = question.candidates[0];
    bool better = b.ratio < kWorthIt;
    std::string choice = better ? b.choice : first;
    std::string line = name + " " + what + " " + choice;
    if (better)
      line += llvm::formatv("  # {0:f1} us, {1} takes {2:f1}", b.seconds * 1e6,
                            first, b.guess * 1e6);
    else
      line += llvm::formatv("  # {0:f1} us, no other one takes less",
                            b.guess * 1e6);
    lines.push_back(line);
    changed += better;
    choices.answer(name, what, choice);
  }
  errors << "tune: " << name << ": " << lines.size() << " choices measured, "
         << changed << " better than the guess\n";
  if (changed) {
    std::string path = output + ".other";
    RandomCall all;
    std::map<std::string, Pair> seconds;
    if (!compileTo(path) || !load(all, path) ||
        !compare(guess, all, /*profile=*/false, seconds))
      return false;
    double before = fastest(seconds[""].guess),
           now = fastest(seconds[""].other);
    errors << llvm::formatv(
        "tune: {0}: a call takes {1:f3} ms, {2:f3} ms before ({3:f2})\n", name,
        now * 1e3, before * 1e3, now / before);
    // If they are no faster together, what was measured was noise.
    if (now >= before) {
      errors << "tune: " << name << ": so the guesses are kept\n";
      lines.clear();
      for (auto &[what, _] : best) {
        const std::string &first = open.at(what).candidates[0];
        choices.answer(name, what, first);
        lines.push_back(name + " " + what + " " + first);
      }
    }
  }
  std::string error;
  if (Tuning::append(tuning.file, lines, error))
    return true;
  errors << "error: IST-C0010: " << error << "\n";
  return false;
}

bool isthmus::tune(const CompileOptions &options, const TuneOptions &tuning,
                   llvm::raw_ostream &errors) {
  std::vector<std::string> targets = options.targets;
  if (targets.empty())
    targets.push_back("cpu:native");
  for (const std::string &target : targets)
    if (!Tuner(options, target, tuning, errors).run())
      return false;
  options.tuning->forget();
  return true;
}
