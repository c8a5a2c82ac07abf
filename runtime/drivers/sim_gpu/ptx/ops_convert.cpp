//===- ops_convert.cpp - cvt ----------------------------------------------===//
//
// PTX ISA 9.7.9, cvt. Registers may be wider than what is converted: sources
// are cut, results extended by their type's sign. A float that is no integer's
// becomes the nearest one, what is not a number 0.
//
//===----------------------------------------------------------------------===//
#include "ops.h"

#include <limits>
#include <type_traits>

using namespace isthmus::simgpu::ptx;

namespace {

/// Through 64 bits, since the registers' widths and the types' are apart.
template <typename Op> void convert(Warp &w, const Inst &i, uint32_t mask) {
  uint64_t in[kLanes], out[kLanes] = {};
  auto read = [&](auto *a) {
    for (uint32_t l = 0; l < kLanes; ++l)
      in[l] = a[l];
  };
  if (i.sourceBytes == 2)
    read(w.source<uint16_t>(i, 0));
  else if (i.sourceBytes == 4)
    read(w.source<uint32_t>(i, 0));
  else
    read(w.source<uint64_t>(i, 0));
  each(mask, [&](uint32_t l) { out[l] = Op::apply(in[l]); });
  auto write = [&](auto *d) {
    using D = std::remove_reference_t<decltype(*d)>;
    each(mask, [&](uint32_t l) { d[l] = static_cast<D>(out[l]); });
  };
  if (i.resultBytes == 2)
    write(w.result<uint16_t>(i));
  else if (i.resultBytes == 4)
    write(w.result<uint32_t>(i));
  else
    write(w.result<uint64_t>(i));
}

// How each type lies in 64 bits.
template <typename T> struct Code {
  static T get(uint64_t v) { return static_cast<T>(v); }
  static uint64_t put(T v) { return static_cast<uint64_t>(v); }
};
template <> struct Code<float> {
  static float get(uint64_t v) { return bitsAs<float>(uint32_t(v)); }
  static uint64_t put(float v) {
    return v == v ? bitsAs<uint32_t>(v) : 0x7fffffffu;
  }
};
template <> struct Code<double> {
  static double get(uint64_t v) { return bitsAs<double>(v); }
  static uint64_t put(double v) { return bitsAs<uint64_t>(v); }
};
template <> struct Code<Half> {
  static float get(uint64_t v) { return Half{uint16_t(v)}.value(); }
  static uint64_t put(double v) { return Half::of(v).bits; }
};
template <> struct Code<Bfloat> {
  static float get(uint64_t v) { return Bfloat{uint16_t(v)}.value(); }
  static uint64_t put(double v) { return Bfloat::of(v).bits; }
};

template <typename D, typename S> struct Cast {
  static uint64_t apply(uint64_t v) {
    return Code<D>::put(static_cast<D>(Code<S>::get(v)));
  }
};
template <typename D, typename S> struct Saturate {
  static uint64_t apply(uint64_t v) {
    auto s = static_cast<__int128>(Code<S>::get(v));
    auto low = static_cast<__int128>(std::numeric_limits<D>::min()),
         high = static_cast<__int128>(std::numeric_limits<D>::max());
    return Code<D>::put(static_cast<D>(s < low ? low : s > high ? high : s));
  }
};

// rni, rzi, rmi, rpi
ISTHMUS_OP1(Nearest, std::nearbyint(a))
ISTHMUS_OP1(Zero, std::trunc(a))
ISTHMUS_OP1(Down, std::floor(a))
ISTHMUS_OP1(Up, std::ceil(a))

template <typename D, typename S, typename Round> struct ToInteger {
  static uint64_t apply(uint64_t v) {
    double f = Round::apply(static_cast<double>(Code<S>::get(v)));
    // Of limits that are no doubles the next one is beyond the type.
    const double low = static_cast<double>(std::numeric_limits<D>::min()),
                 high = static_cast<double>(std::numeric_limits<D>::max());
    if (f != f)
      return 0;
    if (f < low)
      return Code<D>::put(std::numeric_limits<D>::min());
    if (f >= high)
      return Code<D>::put(std::numeric_limits<D>::max());
    return Code<D>::put(static_cast<D>(f));
  }
};
/// Integers of 64 bits are more than double holds, and a second rounding to 16
/// bits cannot see it where long double is wider; elsewhere they are finite in
/// no f16, and ties of bf16 are broken by what double dropped.
template <typename N, typename S> struct NarrowOfInteger {
  static uint64_t apply(uint64_t v) {
    S s = Code<S>::get(v);
    auto d = static_cast<double>(s);
    // To odd: the integer lies between d and its neighbour.
    auto back = static_cast<__int128>(d);
    if (back != static_cast<__int128>(s)) {
      auto bits = bitsAs<uint64_t>(d);
      bool more = (static_cast<__int128>(s) > back) == (d > 0);
      if (!(bits & 1))
        d = bitsAs<double>(more ? bits + 1 : bits - 1);
    }
    return N::of(d).bits;
  }
};
template <typename D, typename S> struct ToFloat { // and between floats
  static uint64_t apply(uint64_t v) {
    return Code<D>::put(static_cast<D>(Code<S>::get(v)));
  }
};
template <typename D, typename S> struct ToNarrow {
  static uint64_t apply(uint64_t v) { return Code<D>::put(Code<S>::get(v)); }
};
template <typename D, typename S> struct ToNarrowZero {
  static uint64_t apply(uint64_t v) {
    return D::of(Code<S>::get(v), Rounding::zero).bits;
  }
};
template <typename T, typename Round> struct ToWhole {
  static uint64_t apply(uint64_t v) {
    return Code<T>::put(Round::apply(Code<T>::get(v)));
  }
};
template <typename Op> struct Ftz { // f32 to anything
  static uint64_t apply(uint64_t v) {
    uint32_t f = uint32_t(v);
    return Op::apply(f & 0x7f800000 ? f : f & 0x80000000);
  }
};
template <typename Op> struct FtzResult { // to f32
  static uint64_t apply(uint64_t v) {
    auto f = static_cast<uint32_t>(Op::apply(v));
    return f & 0x7f800000 ? f : f & 0x80000000;
  }
};
struct SatF32 {
  static uint64_t apply(uint64_t v) {
    float f = Code<float>::get(v);
    return Code<float>::put(f > 0 ? (f < 1 ? f : 1) : 0);
  }
};
struct Tf32 {
  static uint32_t apply(uint32_t f) { return toTf32(f); }
};
template <typename N> struct Relu {
  static uint16_t of(float v) {
    uint16_t r = N::of(v).bits;
    return (r & 0x8000) && !(r == 0x7fff) ? 0 : r;
  }
};
template <typename N> struct Plain {
  static uint16_t of(float v) { return N::of(v).bits; }
};
/// The first source becomes the upper half.
template <typename N> struct Pack {
  static uint32_t apply(float a, float b) {
    return uint32_t(N::of(a)) << 16 | N::of(b);
  }
};

struct CastLane {
  template <typename A> static A apply(A a) { return a; }
};

#define INTEGERS(X, ...)                                                       \
  X("u8", uint8_t, __VA_ARGS__), X("s8", int8_t, __VA_ARGS__),                 \
      X("u16", uint16_t, __VA_ARGS__), X("s16", int16_t, __VA_ARGS__),         \
      X("u32", uint32_t, __VA_ARGS__), X("s32", int32_t, __VA_ARGS__),         \
      X("u64", uint64_t, __VA_ARGS__), X("s64", int64_t, __VA_ARGS__)
#define INTEGERS2(X, ...)                                                      \
  X("u8", uint8_t, __VA_ARGS__), X("s8", int8_t, __VA_ARGS__),                 \
      X("u16", uint16_t, __VA_ARGS__), X("s16", int16_t, __VA_ARGS__),         \
      X("u32", uint32_t, __VA_ARGS__), X("s32", int32_t, __VA_ARGS__),         \
      X("u64", uint64_t, __VA_ARGS__), X("s64", int64_t, __VA_ARGS__)
#define INT_INT(d, D, s, S)                                                    \
  {"cvt." d "." s, "*=*", convert<Cast<D, S>>}, {                              \
    "cvt.sat." d "." s, "*=*", convert<Saturate<D, S>>                         \
  }
#define ALL_TO(s, S) INTEGERS2(INT_INT, s, S)
#define ALL_TO_(s, S, unused) ALL_TO(s, S)
#define TO_INT(d, D, s, S)                                                     \
  {"cvt.rni." d "." s, "*=*", convert<ToInteger<D, S, Nearest>>},              \
      {"cvt.rzi." d "." s, "*=*", convert<ToInteger<D, S, Zero>>},             \
      {"cvt.rmi." d "." s, "*=*", convert<ToInteger<D, S, Down>>},             \
      {"cvt.rpi." d "." s, "*=*", convert<ToInteger<D, S, Up>>}, {             \
    "cvt.rzi.sat." d "." s, "*=*", convert<ToInteger<D, S, Zero>>              \
  }
#define FTZ_TO_INT(d, D, unused)                                               \
  {"cvt.rni.ftz." d ".f32", "*=*",                                             \
   convert<Ftz<ToInteger<D, float, Nearest>>>},                                \
  {                                                                            \
    "cvt.rzi.ftz." d ".f32", "*=*", convert<Ftz<ToInteger<D, float, Zero>>>    \
  }
#define OF_INT(s, S, unused)                                                   \
  {"cvt.rn.f32." s, "*=*", convert<ToFloat<float, S>>},                        \
      {"cvt.rn.f64." s, "*=*", convert<ToFloat<double, S>>},                   \
      {"cvt.rn.f16." s, "*=*", convert<NarrowOfInteger<Half, S>>}, {           \
    "cvt.rn.bf16." s, "*=*", convert<NarrowOfInteger<Bfloat, S>>               \
  }
#define WHOLE(t, T)                                                            \
  {"cvt.rni." t "." t, "*=*", convert<ToWhole<T, Nearest>>},                   \
      {"cvt.rzi." t "." t, "*=*", convert<ToWhole<T, Zero>>},                  \
      {"cvt.rmi." t "." t, "*=*", convert<ToWhole<T, Down>>}, {                \
    "cvt.rpi." t "." t, "*=*", convert<ToWhole<T, Up>>                         \
  }

const Row rows[] = {
    // What compilers write most, lane by lane.
    {"cvt.u64.u32", "8=4", unary<CastLane, uint64_t, uint32_t>},
    {"cvt.s64.s32", "8=4", unary<CastLane, int64_t, int32_t>},
    {"cvt.u32.u64", "4=8", unary<CastLane, uint32_t, uint64_t>},
    {"cvt.u16.u32", "2=4", unary<CastLane, uint16_t, uint32_t>},
    {"cvt.u32.u16", "4=2", unary<CastLane, uint32_t, uint16_t>},
    {"cvt.rn.f32.s32", "4=4", unary<CastLane, float, int32_t>},
    INTEGERS(ALL_TO_, 0),
    INTEGERS(TO_INT, "f16", Half),
    INTEGERS(TO_INT, "bf16", Bfloat),
    INTEGERS(TO_INT, "f32", float),
    INTEGERS(TO_INT, "f64", double),
    INTEGERS(FTZ_TO_INT, 0),
    INTEGERS(OF_INT, 0),
    WHOLE("f16", Half),
    WHOLE("bf16", Bfloat),
    WHOLE("f32", float),
    WHOLE("f64", double),
    {"cvt.f32.f16", "*=*", convert<ToFloat<float, Half>>},
    {"cvt.ftz.f32.f16", "*=*", convert<FtzResult<ToFloat<float, Half>>>},
    {"cvt.f64.f16", "*=*", convert<ToFloat<double, Half>>},
    {"cvt.f32.bf16", "*=*", convert<ToFloat<float, Bfloat>>},
    {"cvt.f64.bf16", "*=*", convert<ToFloat<double, Bfloat>>},
    {"cvt.f64.f32", "*=*", convert<ToFloat<double, float>>},
    {"cvt.ftz.f64.f32", "*=*", convert<Ftz<ToFloat<double, float>>>},
    {"cvt.rn.f32.f64", "*=*", convert<ToFloat<float, double>>},
    {"cvt.rn.ftz.f32.f64", "*=*", convert<FtzResult<ToFloat<float, double>>>},
    {"cvt.rn.f16.f32", "*=*", convert<ToNarrow<Half, float>>},
    {"cvt.rz.f16.f32", "*=*", convert<ToNarrowZero<Half, float>>},
    {"cvt.rn.ftz.f16.f32", "*=*", convert<Ftz<ToNarrow<Half, float>>>},
    {"cvt.rn.f16.f64", "*=*", convert<ToNarrow<Half, double>>},
    {"cvt.rn.bf16.f32", "*=*", convert<ToNarrow<Bfloat, float>>},
    {"cvt.rz.bf16.f32", "*=*", convert<ToNarrowZero<Bfloat, float>>},
    {"cvt.rn.bf16.f64", "*=*", convert<ToNarrow<Bfloat, double>>},
    {"cvt.rn.bf16.f16", "*=*", convert<ToNarrow<Bfloat, Half>>},
    {"cvt.sat.f32.f32", "*=*", convert<SatF32>},
    {"cvt.ftz.f32.f32", "*=*", convert<Ftz<ToFloat<float, float>>>},
    {"cvt.rna.tf32.f32", "4=4", unary<Tf32, uint32_t, uint32_t>},
    {"cvt.rn.f16x2.f32", "4=44", binary<Pack<Plain<Half>>, uint32_t, float>},
    {"cvt.rn.bf16x2.f32", "4=44", binary<Pack<Plain<Bfloat>>, uint32_t, float>},
    {"cvt.rn.relu.f16x2.f32", "4=44",
     binary<Pack<Relu<Half>>, uint32_t, float>},
    {"cvt.rn.relu.bf16x2.f32", "4=44",
     binary<Pack<Relu<Bfloat>>, uint32_t, float>},
};

} // namespace

namespace isthmus::simgpu::ptx::ISTHMUS_PTX_ISA {
Table convertRows() { return {rows, sizeof rows / sizeof *rows}; }
} // namespace isthmus::simgpu::ptx::ISTHMUS_PTX_ISA
