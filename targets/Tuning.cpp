//===- Tuning.cpp - choices that were measured ----------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/Tuning.h"
#include "targets/Target.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace isthmus;
using namespace llvm;

static constexpr StringRef kFirstLine = "isthmus tuning 1";

bool Tuning::read(const std::string &path, std::string &error) {
  auto file = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!file) {
    error = "cannot read " + path + ": " + file.getError().message();
    return false;
  }
  SmallVector<StringRef> lines;
  (*file)->getBuffer().split(lines, '\n');
  if (lines[0].rtrim() != kFirstLine) {
    error = path + ": its first line is not '" + kFirstLine.str() + "'";
    return false;
  }
  for (auto [i, line] : drop_begin(enumerate(lines))) {
    SmallVector<StringRef> words;
    SplitString(line.split('#').first, words, " \t\r");
    if (words.empty())
      continue;
    std::string place = path + ":" + std::to_string(i + 1);
    if (words.size() != 3) {
      error = place + ": not a target, what is chosen and a choice";
      return false;
    }
    answers[{words[0].str(), words[1].str()}] = {words[2].str(), place};
  }
  return true;
}

bool Tuning::append(const std::string &path, ArrayRef<std::string> lines,
                    std::string &error) {
  std::string text;
  if (auto old = MemoryBuffer::getFile(path))
    text = (*old)->getBuffer().str();
  if (text.empty())
    text = kFirstLine.str() + "\n";
  if (text.back() != '\n')
    text += '\n';
  for (const std::string &line : lines)
    text += line + "\n";
  Error failed = writeToOutput(path, [&](raw_ostream &out) {
    out << text;
    return Error::success();
  });
  if (!failed)
    return true;
  error = "cannot write " + path + ": " + toString(std::move(failed));
  return false;
}

unsigned Tuning::choose(StringRef target, const std::string &what,
                        std::vector<std::string> candidates) {
  unsigned taken = std::min<size_t>(proposed, candidates.size() - 1);
  auto found = answers.find({target.str(), what});
  if (found != answers.end()) {
    const Answer &answer = found->second;
    auto at = llvm::find(candidates, answer.choice);
    if (at != candidates.end())
      taken = at - candidates.begin();
    else
      complaints.insert(answer.place + ": " + what + " is not " +
                        answer.choice + " but one of " +
                        llvm::join(candidates, ", ") + "; " +
                        candidates[taken] + " is taken");
  }
  Question &question = asked[what];
  question.candidates = std::move(candidates);
  question.taken = taken;
  if (!kernel.empty())
    question.kernels.insert(kernel);
  return taken;
}

std::vector<std::string> Tuning::takeRefused() {
  std::vector<std::string> texts;
  for (const std::string &text : complaints)
    if (told.insert(text).second)
      texts.push_back(text);
  return texts;
}

unsigned isthmus::chooseTuned(const TargetInfo &info, const std::string &what,
                              std::vector<std::string> candidates) {
  return info.tuning
             ? info.tuning->choose(info.name, what, std::move(candidates))
             : 0;
}
