//===- ops.h - functions over lanes ---------------------------------------===//
//
// Included by the files of functions, which are compiled twice: for any
// processor of this architecture, and (ISA is another name then) for one with
// wide vectors and fused multiply-add.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_PTX_OPS_H
#define ISTHMUS_SIM_GPU_PTX_OPS_H

#include "numbers.h"
#include "warp.h"

#ifndef ISTHMUS_PTX_ISA
#define ISTHMUS_PTX_ISA any
#endif

namespace isthmus::simgpu::ptx {
namespace {

/// The loop that becomes vector code when all lanes take part.
template <typename F> inline void each(uint32_t mask, F f) {
  if (mask == ~0u) {
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#endif
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      f(lane);
  } else {
    for (; mask; mask &= mask - 1)
      f(static_cast<uint32_t>(__builtin_ctz(mask)));
  }
}

template <typename Op, typename D, typename A>
void unary(Warp &w, const Inst &i, uint32_t mask) {
  auto *d = w.result<D>(i);
  auto *a = w.source<A>(i, 0);
  each(mask, [=](uint32_t l) { d[l] = Op::apply(a[l]); });
}
template <typename Op, typename D, typename A, typename B = A>
void binary(Warp &w, const Inst &i, uint32_t mask) {
  auto *d = w.result<D>(i);
  auto *a = w.source<A>(i, 0);
  auto *b = w.source<B>(i, 1);
  each(mask, [=](uint32_t l) { d[l] = Op::apply(a[l], b[l]); });
}
template <typename Op, typename D, typename A, typename B = A, typename C = A>
void ternary(Warp &w, const Inst &i, uint32_t mask) {
  auto *d = w.result<D>(i);
  auto *a = w.source<A>(i, 0);
  auto *b = w.source<B>(i, 1);
  auto *c = w.source<C>(i, 2);
  each(mask, [=](uint32_t l) { d[l] = Op::apply(a[l], b[l], c[l]); });
}

/// setp: PTX ISA 9.7.6. The detail is how the comparison is combined with the
/// third source: 0 not at all, 1 and, 2 or, 3 xor.
template <typename Op, typename T>
void compare(Warp &w, const Inst &i, uint32_t mask) {
  auto *a = w.source<T>(i, 0);
  auto *b = w.source<T>(i, 1);
  uint32_t bit[kLanes] = {};
  each(mask, [&](uint32_t l) { bit[l] = Op::apply(a[l], b[l]) ? 1 : 0; });
  uint32_t r = 0;
  for (uint32_t l = 0; l < kLanes; ++l)
    r |= bit[l] << l;
  uint32_t p = r, q = ~r;
  if (i.target) {
    uint32_t c = w.predicateSource(i, 2);
    auto combine = [&](uint32_t v) {
      return i.target == 1 ? v & c : i.target == 2 ? v | c : v ^ c;
    };
    p = combine(r);
    q = combine(~r);
  }
  w.setPredicate(i.d[0], mask, p);
  if (i.results > 1)
    w.setPredicate(i.d[1], mask, q);
}

#define ISTHMUS_OP1(name, expression)                                          \
  struct name {                                                                \
    template <typename T> static auto apply(T a) { return (expression); }      \
  };
#define ISTHMUS_OP2(name, expression)                                          \
  struct name {                                                                \
    template <typename T> static auto apply(T a, T b) { return (expression); } \
  };
#define ISTHMUS_OP3(name, expression)                                          \
  struct name {                                                                \
    template <typename T> static auto apply(T a, T b, T c) {                   \
      return (expression);                                                     \
    }                                                                          \
  };

} // namespace
} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_OPS_H
