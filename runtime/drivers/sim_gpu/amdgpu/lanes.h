//===- lanes.h - operands and results of vector operations ------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An operation is a function of one lane's values. Its types say how many
// registers it reads, what modifiers mean and how the result is rounded:
//
//   op("v_add_f32", [](float a, float b) { return a + b; });
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_AMDGPU_LANES_H
#define ISTHMUS_SIM_GPU_AMDGPU_LANES_H

#include "numbers.h"
#include "wave.h"

#include <array>
#include <tuple>
#include <utility>

namespace isthmus::simgpu::amdgpu {

template <class T> struct Lane;
template <class T, Type Kind, unsigned Bits> struct PlainLane {
  static constexpr Type type = Kind;
  static constexpr unsigned bits = Bits;
  static constexpr bool isFloat = std::is_floating_point_v<T>;
  using Raw = std::conditional_t<Bits == 64, uint64_t, uint32_t>;
  static T load(Raw raw) {
    if constexpr (Bits == 16)
      return T(raw);
    else
      return bitcast<T>(raw);
  }
  static Raw store(T v, const Inst &) {
    if constexpr (Bits == 16)
      return uint16_t(v);
    else
      return bitcast<Raw>(v);
  }
};
template <> struct Lane<uint16_t> : PlainLane<uint16_t, Type::b16, 16> {};
template <> struct Lane<int16_t> : PlainLane<int16_t, Type::b16, 16> {};
template <> struct Lane<uint32_t> : PlainLane<uint32_t, Type::b32, 32> {};
template <> struct Lane<int32_t> : PlainLane<int32_t, Type::b32, 32> {};
template <> struct Lane<float> : PlainLane<float, Type::f32, 32> {};
template <> struct Lane<uint64_t> : PlainLane<uint64_t, Type::b64, 64> {};
template <> struct Lane<int64_t> : PlainLane<int64_t, Type::i64, 64> {};
template <> struct Lane<double> : PlainLane<double, Type::f64, 64> {};
template <> struct Lane<Half> {
  static constexpr Type type = Type::f16;
  static constexpr unsigned bits = 16;
  static constexpr bool isFloat = true;
  using Raw = uint32_t;
  static Half load(uint32_t raw) { return {halfToFloat(uint16_t(raw))}; }
  static uint32_t store(Half h, const Inst &) { return doubleToHalf(h.v); }
};
template <class T> struct Lane<Clamped<T>> : Lane<T> {
  static typename Lane<T>::Raw store(Clamped<T> c, const Inst &i) {
    using L = std::numeric_limits<T>;
    int64_t v = c.v;
    if (i.clamp)
      v = v < int64_t(L::min())   ? int64_t(L::min())
          : v > int64_t(L::max()) ? int64_t(L::max())
                                  : v;
    return Lane<T>::store(T(v), i);
  }
};

/// Bits of source `n`, one entry a lane, with SDWA, DPP and halves done but
/// neither sign modifier.
const uint32_t *words(Wave &w, const Inst &i, unsigned n, unsigned word,
                      uint32_t *temporary);
/// The same for what needs more than the register's row.
const uint32_t *specialWords(Wave &w, const Inst &i, unsigned n, unsigned word,
                             uint32_t *temporary);

inline const uint32_t *words(Wave &w, const Inst &i, unsigned n, unsigned word,
                             uint32_t *temporary) {
  const Operand &o = i.s[n];
  if (i.special)
    return specialWords(w, i, n, word, temporary);
  if (o.kind == Operand::vector)
    return w.row(o.index + word);
  uint32_t value = o.kind == Operand::scalar ? w.s[o.index + word]
                                             : uint32_t(o.bits >> 32 * word);
  for (unsigned l = 0; l < w.size; ++l)
    temporary[l] = value;
  return temporary;
}

template <class T>
inline void fetch(Wave &w, const Inst &i, unsigned n, T *out) {
  using L = Lane<T>;
  uint32_t low[kLanes], high[kLanes];
  const uint32_t *p = words(w, i, n, 0, low);
  const Operand &o = i.s[n];
  const unsigned size = w.size;
  if constexpr (L::bits == 64) {
    const uint32_t *q = words(w, i, n, 1, high);
    uint64_t clear = L::isFloat && o.abs ? ~(1ull << 63) : ~0ull;
    uint64_t flip = L::isFloat && o.neg ? 1ull << 63 : 0;
    for (unsigned l = 0; l < size; ++l)
      out[l] = L::load(((uint64_t(q[l]) << 32 | p[l]) & clear) ^ flip);
  } else {
    constexpr uint32_t sign = L::bits == 16 ? 0x8000 : 0x80000000;
    uint32_t clear = L::isFloat && o.abs ? ~sign : ~0u;
    uint32_t flip = L::isFloat && o.neg ? sign : 0;
    for (unsigned l = 0; l < size; ++l)
      out[l] = L::load((p[l] & clear) ^ flip);
    if constexpr (std::is_same_v<T, float>)
      if (w.flushIn)
        for (unsigned l = 0; l < size; ++l)
          out[l] = flush(out[l]);
  }
}

/// omod and clamp of a float.
template <class T> inline T modify(T v, const Inst &i) {
  if (i.omod)
    v = i.omod == 1 ? v * 2 : i.omod == 2 ? v * 4 : v / 2;
  if (i.clamp)
    v = v > 0 ? (v < 1 ? v : T(1)) : T(0); // NaN becomes 0
  return v;
}

/// Which lanes DPP lets write, into `w.dppLanes`; before the operation.
void prepareDpp(Wave &w, const Inst &i);
/// Writes 16 bits a lane as the operation and the instruction's modifiers say.
void store16(Wave &w, const Inst &i, const Operand &o, const uint32_t *values);
/// 32 bits a lane through SDWA's destination.
void storeSdwa(Wave &w, const Inst &i, const Operand &o,
               const uint32_t *values);

inline void store32(Wave &w, const Inst &i, const Operand &o,
                    const uint32_t *values, unsigned word = 0) {
  if (i.sdwa)
    return storeSdwa(w, i, o, values);
  uint32_t *to = w.row(o.index + word);
  const uint32_t *mask = w.execMask();
  for (unsigned l = 0; l < w.size; ++l)
    to[l] = (values[l] & mask[l]) | (to[l] & ~mask[l]);
}

template <class R>
inline void store(Wave &w, const Inst &i, const Operand &o, R *results) {
  using L = Lane<R>;
  const unsigned size = w.size;
  if constexpr (std::is_same_v<R, Half>) {
    if (i.omod || i.clamp)
      for (unsigned l = 0; l < size; ++l)
        results[l].v = modify(halfToFloat(doubleToHalf(results[l].v)), i);
  } else if constexpr (L::isFloat) {
    if (i.omod || i.clamp)
      for (unsigned l = 0; l < size; ++l)
        results[l] = modify(results[l], i);
  }
  if constexpr (std::is_same_v<R, float>)
    if (w.flushIn)
      for (unsigned l = 0; l < size; ++l)
        results[l] = flush(results[l]);
  uint32_t low[kLanes];
  if constexpr (L::bits == 64) {
    uint32_t high[kLanes];
    for (unsigned l = 0; l < size; ++l) {
      uint64_t raw = L::store(results[l], i);
      low[l] = uint32_t(raw);
      high[l] = uint32_t(raw >> 32);
    }
    store32(w, i, o, low);
    store32(w, i, o, high, 1);
  } else {
    for (unsigned l = 0; l < size; ++l)
      low[l] = L::store(results[l], i);
    if constexpr (L::bits == 16)
      store16(w, i, o, low);
    else
      store32(w, i, o, low);
  }
}

/// Results of captureless lambdas' types; F is one.
template <class F> const F &make() {
  // A captureless lambda has no state to look at.
  static const char nothing[sizeof(F)] = {};
  return *reinterpret_cast<const F *>(&nothing);
}

template <class F, class R, class... A, size_t... N>
void runLanes(Wave &w, const Inst &i, std::index_sequence<N...>) {
  std::tuple<std::array<A, kLanes>...> a;
  (fetch(w, i, N, std::get<N>(a).data()), ...);
  R results[kLanes];
  for (unsigned l = 0; l < w.size; ++l)
    results[l] = make<F>()(std::get<N>(a)[l]...);
  store(w, i, i.d[0], results);
}

template <class F, class R, class C, class... A> struct Signature {
  static void run(Wave &w, const Inst &i) {
    runLanes<F, R, A...>(w, i, std::index_sequence_for<A...>());
  }
  static Shape shape() {
    Shape s;
    s.results = 1;
    s.result[0] = Lane<R>::type;
    (void)std::initializer_list<int>{
        (s.source[s.sources++] = Lane<A>::type, 0)...};
    return s;
  }
};
template <class F, class R, class C, class... A>
Signature<F, R, C, A...> signature(R (C::*)(A...) const);

/// A vector operation of one result. `tied`: the last argument is what the
/// result's register held.
template <class F>
Operation vectorOp(F, Flow flow = Flow::any, bool tied = false) {
  using S = decltype(signature<F>(&F::operator()));
  Operation o;
  o.shape = S::shape();
  o.shape.tied = tied;
  o.run = S::run;
  o.flow = flow;
  return o;
}

} // namespace isthmus::simgpu::amdgpu

#endif // ISTHMUS_SIM_GPU_AMDGPU_LANES_H
