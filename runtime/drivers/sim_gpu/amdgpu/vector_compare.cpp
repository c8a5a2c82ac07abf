//===- vector_compare.cpp - comparisons of vector operations --------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lanes.h"

using namespace isthmus::simgpu::amdgpu;

/// One bit per active lane; the other lanes' bits become 0.
template <class T, class F> static void compare(Wave &w, const Inst &i) {
  T a[kLanes], b[kLanes];
  fetch(w, i, 0, a);
  fetch(w, i, 1, b);
  uint64_t bits = 0;
  for (unsigned l = 0; l < w.size; ++l)
    bits |= uint64_t(make<F>()(a[l], b[l])) << l;
  bits &= w.exec() & w.dppLanes;
  for (unsigned n = 0; n < i.results; ++n)
    w.setMask(i.d[n].index, bits);
}

/// Which kinds of number: bit 0 signaling NaN, 1 quiet NaN, then -inf, -normal,
/// -denormal, -0, +0, +denormal, +normal, +inf.
template <class T> static unsigned classOf(T x) {
  bool s = std::signbit(x);
  switch (std::fpclassify(x)) {
  case FP_NAN:
    return isSignaling(x) ? 0 : 1;
  case FP_INFINITE:
    return s ? 2 : 9;
  case FP_NORMAL:
    return s ? 3 : 8;
  case FP_SUBNORMAL:
    return s ? 4 : 7;
  default:
    return s ? 5 : 6;
  }
}
static unsigned classOf(Half h) {
  if (std::isnan(h.v))
    return 1;
  float x = float(h.v);
  if (x != 0 && std::fabs(x) < 0x1p-14f)
    return x < 0 ? 4 : 7;
  return classOf(x);
}

template <class T, class F> static Operation compareOp(F) {
  Operation o;
  o.shape.results = 1;
  o.shape.result[0] = Type::mask;
  o.shape.sources = 2;
  o.shape.source[0] = o.shape.source[1] = Lane<T>::type;
  o.run = compare<T, F>;
  o.flow = Flow::compare;
  return o;
}

template <class T>
static void addCompares(OperationTable &t, const std::string &type) {
  auto op = [&](const char *name, auto f) {
    t["v_cmp_" + std::string(name) + "_" + type] = compareOp<T>(f);
  };
  op("f", [](T, T) { return false; });
  op("lt", [](T a, T b) { return a < b; });
  op("eq", [](T a, T b) { return a == b; });
  op("le", [](T a, T b) { return a <= b; });
  op("gt", [](T a, T b) { return a > b; });
  op("ge", [](T a, T b) { return a >= b; });
  op("t", [](T, T) { return true; });
  if constexpr (!Lane<T>::isFloat) {
    op("ne", [](T a, T b) { return a != b; });
  } else {
    op("tru", [](T, T) { return true; });
    op("lg", [](T a, T b) { return a < b || a > b; });
    op("o", [](T a, T b) { return a == a && b == b; });
    op("u", [](T a, T b) { return !(a == a && b == b); });
    op("nge", [](T a, T b) { return !(a >= b); });
    op("nlg", [](T a, T b) { return !(a < b || a > b); });
    op("ngt", [](T a, T b) { return !(a > b); });
    op("nle", [](T a, T b) { return !(a <= b); });
    op("neq", [](T a, T b) { return !(a == b); });
    op("nlt", [](T a, T b) { return !(a < b); });
  }
}

template <class T> static void compareClass(Wave &w, const Inst &i) {
  T a[kLanes];
  uint32_t b[kLanes];
  fetch(w, i, 0, a);
  fetch(w, i, 1, b);
  uint64_t bits = 0;
  for (unsigned l = 0; l < w.size; ++l)
    bits |= uint64_t(b[l] >> classOf(a[l]) & 1) << l;
  bits &= w.exec() & w.dppLanes;
  for (unsigned n = 0; n < i.results; ++n)
    w.setMask(i.d[n].index, bits);
}
template <class T> static Operation classOp() {
  Operation o = compareOp<T>([](T, T) { return false; });
  o.shape.source[1] = Type::b32;
  o.run = compareClass<T>;
  return o;
}

void isthmus::simgpu::amdgpu::addVectorCompare(OperationTable &t) {
  OperationTable own;
  addCompares<uint16_t>(own, "u16");
  addCompares<int16_t>(own, "i16");
  addCompares<Half>(own, "f16");
  addCompares<uint32_t>(own, "u32");
  addCompares<int32_t>(own, "i32");
  addCompares<float>(own, "f32");
  addCompares<uint64_t>(own, "u64");
  addCompares<int64_t>(own, "i64");
  addCompares<double>(own, "f64");
  own["v_cmp_class_f16"] = classOp<Half>();
  own["v_cmp_class_f32"] = classOp<float>();
  own["v_cmp_class_f64"] = classOp<double>();
  for (auto &[name, operation] : own) {
    t[name] = operation;
    // Writes exec; on gfx9 what it names as well. See decode.cpp.
    t["v_cmpx" + name.substr(5)] = operation;
  }
}
