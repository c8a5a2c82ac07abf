//===- Ops/Einsum.cpp - Einsum --------------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"

#include <map>

using namespace mlir;
using namespace isthmus;

namespace {
// A letter, or 256 + i for the i-th dim of the ellipsis from the right.
using Labels = SmallVector<int>;

struct Operand {
  ImportValue *value;
  Labels labels;
};
} // namespace

static constexpr int kEllipsis = 256;
static constexpr int kDots = -1;

/// "ab...c" with the dots as one kDots; nothing when it is not well-formed.
static std::optional<Labels> parseTerm(StringRef term) {
  Labels out;
  bool dots = false;
  while (!term.empty()) {
    if (term.consume_front("...")) {
      if (dots)
        return std::nullopt;
      dots = true;
      out.push_back(kDots);
    } else if (llvm::isAlpha(term.front())) {
      out.push_back(term.front());
      term = term.drop_front();
    } else {
      return std::nullopt;
    }
  }
  return out;
}

/// The dots as `count` labels.
static Labels spell(ArrayRef<int> labels, int64_t count) {
  Labels out;
  for (int l : labels)
    if (l == kDots)
      for (int64_t i = count; i > 0; --i)
        out.push_back(kEllipsis + i - 1);
    else
      out.push_back(l);
  return out;
}

static Labels sharedFirst(ArrayRef<int> labels, ArrayRef<int> l,
                          ArrayRef<int> r) {
  Labels out;
  for (bool want : {true, false})
    for (int x : labels)
      if ((llvm::is_contained(l, x) && llvm::is_contained(r, x)) == want)
        out.push_back(x);
  return out;
}

static LogicalResult einsum(NodeContext &c) {
  std::string equation = c.stringAttr("equation", "");
  llvm::erase_if(equation, [](char ch) { return ch == ' '; });
  StringRef text = equation;
  bool hasOutput = text.contains("->");
  auto [left, right] = text.split("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (int64_t(terms.size()) != c.numInputs())
    return c.invalid("the equation has another number of terms than inputs");
  DType type = c.in(0).dtype;
  if (type == DType::i1)
    return c.invalid("inputs must be numbers");
  DType wide = accumulatorType(type);
  SmallVector<Operand> operands;
  SmallVector<Labels> parsed;
  int64_t dots = 0; // dims of the longest ellipsis
  bool anyDots = false;
  for (auto [i, term] : llvm::enumerate(terms)) {
    if (!c.has(i) || failed(c.requireSameType(0, i)))
      return c.failed ? failure() : c.invalid("an input is missing");
    auto labels = parseTerm(term);
    if (!labels)
      return c.invalid("the equation is not well-formed");
    int64_t rest = c.in(i).rank() - int64_t(labels->size());
    if (llvm::is_contained(*labels, kDots)) {
      anyDots = true;
      rest += 1;
      if (rest < 0)
        return c.invalid("input " + Twine(i) + " has too few dims");
      dots = std::max(dots, rest);
      *labels = spell(*labels, rest);
    } else if (rest != 0) {
      return c.invalid("input " + Twine(i) + " has another rank than its term");
    }
    parsed.push_back(*labels);
  }
  Labels result;
  if (hasOutput) {
    auto labels = parseTerm(right);
    if (!labels)
      return c.invalid("the equation is not well-formed");
    result = spell(*labels, dots);
  } else {
    // The ellipsis, then what occurs once, sorted.
    if (anyDots)
      result = spell({kDots}, dots);
    for (int l = 0; l < 256; ++l) {
      int64_t n = 0;
      for (const Labels &p : parsed)
        n += llvm::count(p, l);
      if (n == 1)
        result.push_back(l);
    }
  }
  // The size of each label: what is not a 1 that broadcasts.
  std::map<int, OpFoldResult> size;
  for (auto [i, labels] : llvm::enumerate(parsed))
    for (auto [k, l] : llvm::enumerate(labels)) {
      OpFoldResult s = c.in(i).sizes[k];
      auto it = size.find(l);
      if (it == size.end() || IndexMath::known(it->second) == 1) {
        size[l] = s;
        continue;
      }
      if (IndexMath::known(s) == 1)
        continue;
      if (failed(c.check(c.idx.eq(it->second, s),
                         "dims with one label differ in size")))
        return failure();
      if (IndexMath::known(s))
        it->second = s;
    }
  for (auto [k, l] : llvm::enumerate(result))
    if (!size.count(l) || llvm::is_contained(ArrayRef(result).take_front(k), l))
      return c.invalid("the output has a label twice or one of no input");

  MLIRContext *context = c.b.getContext();
  // Reads `o` in loops named `loops`.
  auto access = [&](const Operand &o, ArrayRef<int> loops) {
    Access a{o.value, {}};
    for (auto [k, l] : llvm::enumerate(o.labels)) {
      bool one = o.value->dim(k) == 1 && IndexMath::known(size[l]) != 1;
      a.at.push_back(one ? getAffineConstantExpr(0, context)
                         : getAffineDimExpr(
                               llvm::find(loops, l) - loops.begin(), context));
    }
    return a;
  };
  auto sizesOf = [&](ArrayRef<int> labels) {
    Sizes out;
    for (int l : labels)
      out.push_back(size[l]);
    return out;
  };
  // Diagonals first: then every label occurs once per operand.
  for (auto [i, labels] : llvm::enumerate(parsed)) {
    Labels unique;
    for (int l : labels)
      if (!llvm::is_contained(unique, l))
        unique.push_back(l);
    Operand o{&c.in(i), labels};
    if (unique.size() != labels.size())
      o = {generic(c, access(o, unique), sizesOf(unique), type,
                   [](OpBuilder &, Location, ValueRange a) { return a[0]; }),
           unique};
    operands.push_back(o);
  }

  while (operands.size() > 1) {
    Operand l = operands[0], r = operands[1];
    bool isLast = operands.size() == 2;
    // Kept: what comes after. The result's order if this is the last step, else
    // as they are, with shared ones first.
    Labels keep, sum;
    auto needed = [&](int label) {
      if (llvm::is_contained(result, label))
        return true;
      for (const Operand &o : ArrayRef(operands).drop_front(2))
        if (llvm::is_contained(o.labels, label))
          return true;
      return false;
    };
    Labels all = l.labels;
    for (int label : r.labels)
      if (!llvm::is_contained(all, label))
        all.push_back(label);
    for (int label : all)
      (needed(label) ? keep : sum).push_back(label);
    if (isLast)
      keep = result;
    else
      keep = sharedFirst(keep, l.labels, r.labels);
    Labels loops = keep;
    llvm::append_range(loops, sum);
    ImportValue *y =
        contract(c, access(l, loops), access(r, loops), sizesOf(loops),
                 keep.size(), isLast ? type : wide);
    operands.erase(operands.begin());
    operands[0] = {y, keep};
  }
  Operand &last = operands[0];
  if (last.labels == result && last.value->dtype == type && c.numInputs() > 1)
    return c.result(last.value);
  // One input: sum what the result does not have, then order the rest.
  SmallVector<int64_t> over;
  Labels rest;
  for (auto [k, l] : llvm::enumerate(last.labels))
    if (llvm::is_contained(result, l))
      rest.push_back(l);
    else
      over.push_back(k);
  ImportValue *y = last.value;
  if (!over.empty())
    y = reduce(c, *y, over, sumReduction(c, type));
  y = castTo(c, *y, type);
  SmallVector<int64_t> perm;
  for (int l : result)
    perm.push_back(llvm::find(rest, l) - rest.begin());
  if (!llvm::is_sorted(perm))
    y = transpose(c, *y, perm);
  return c.result(y);
}

namespace isthmus {
void registerEinsumOps(Registry &r) { r.add("Einsum", 1, einsum, 12); }
} // namespace isthmus
