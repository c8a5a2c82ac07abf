//===- Tuning.h - choices that were measured -------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Where a plan picks one of several ways that compute the same bits in
// different times, it asks `choose` with its own guess first. Without a tuning
// the guess is taken; nothing is ever timed while compiling. A tuning is a text
// file, made by `istc --tune` or by hand, whose lines are
//
//   <target> <what is chosen> <choice>   # a comment
//
// after a first line `isthmus tuning 1`. Of lines for the same target and thing
// the last one counts.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_TARGETS_TUNING_H
#define ISTHMUS_TARGETS_TUNING_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace isthmus {

struct TargetInfo;

/// Not thread safe: plans are made on one thread.
class Tuning {
public:
  /// Something that was chosen: its candidates, the plan's guess first, which
  /// one was taken, and the kernels that it is in.
  struct Question {
    std::vector<std::string> candidates;
    unsigned taken = 0;
    std::set<std::string> kernels;
  };

  /// Adds the lines of the file at `path`; `error` names what is wrong in which
  /// line.
  bool read(const std::string &path, std::string &error);
  /// Adds `lines` to the file at `path`, which need not exist, as one step.
  static bool append(const std::string &path, llvm::ArrayRef<std::string> lines,
                     std::string &error);

  /// Index into `candidates`, none of which has a space, of the one to take.
  unsigned choose(llvm::StringRef target, const std::string &what,
                  std::vector<std::string> candidates);
  /// What is asked from now on is for this kernel ("": for none).
  void setKernel(llvm::StringRef name) { kernel = name.str(); }

  /// Takes candidate `index` of everything that no line answers, or the last.
  void propose(unsigned index) { proposed = index; }
  /// Everything asked so far, by what is chosen; forget() to compile anew.
  const std::map<std::string, Question> &questions() const { return asked; }
  void forget() { asked.clear(); }
  bool isAnswered(llvm::StringRef target, const std::string &what) const {
    return answers.count({target.str(), what});
  }
  void answer(llvm::StringRef target, const std::string &what,
              const std::string &choice) {
    answers[{target.str(), what}] = {choice, ""};
  }
  /// One text for each line that was not followed, and why; each is told once.
  std::vector<std::string> takeRefused();

private:
  struct Answer {
    std::string choice, place; // "file:line"
  };
  std::map<std::pair<std::string, std::string>, Answer> answers;
  std::map<std::string, Question> asked;
  std::set<std::string> complaints, told;
  std::string kernel;
  unsigned proposed = 0;
};

/// The candidate to take for `what` on the target, or 0 without a tuning.
unsigned chooseTuned(const TargetInfo &info, const std::string &what,
                     std::vector<std::string> candidates);

} // namespace isthmus

#endif // ISTHMUS_TARGETS_TUNING_H
