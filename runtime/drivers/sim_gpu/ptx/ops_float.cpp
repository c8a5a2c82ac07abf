//===- ops_float.cpp - floating point -------------------------------------===//
//
// PTX ISA 9.7.3 (f32, f64), 9.7.4 (f16, bf16) and 9.7.6 (setp). Rounding is to
// nearest even, once. Results of f32 that are not a number are 0x7fffffff, as
// 9.7.3 has it. `.approx` functions are computed in double and rounded to f32:
// nearer to the truth than the hardware's.
//
//===----------------------------------------------------------------------===//
#include "ops.h"

using namespace isthmus::simgpu::ptx;

namespace {

inline float canonical(float v) {
  return v == v ? v : bitsAs<float>(0x7fffffffu);
}
inline double canonical(double v) { return v; }

ISTHMUS_OP2(Add, canonical(a + b))
ISTHMUS_OP2(Sub, canonical(a - b))
ISTHMUS_OP2(Mul, canonical(a *b))
ISTHMUS_OP2(Div, canonical(a / b))
ISTHMUS_OP3(Fma, canonical(std::fma(a, b, c)))
ISTHMUS_OP1(Rcp, canonical(T(1) / a))
ISTHMUS_OP1(Sqrt, canonical(std::sqrt(a)))
ISTHMUS_OP1(Abs, std::fabs(a))
ISTHMUS_OP1(Neg, -a)
ISTHMUS_OP1(Rsqrt, canonical(static_cast<T>(1 / std::sqrt(double(a)))))
ISTHMUS_OP1(Sin, canonical(static_cast<T>(std::sin(double(a)))))
ISTHMUS_OP1(Cos, canonical(static_cast<T>(std::cos(double(a)))))
ISTHMUS_OP1(Lg2, canonical(static_cast<T>(std::log2(double(a)))))
ISTHMUS_OP1(Ex2, canonical(static_cast<T>(std::exp2(double(a)))))
ISTHMUS_OP1(Tanh, canonical(static_cast<T>(std::tanh(double(a)))))
/// The sign is the first source's.
ISTHMUS_OP2(CopySign, std::copysign(b, a))

// One that is not a number gives the other; -0 is less than +0.
struct Min {
  template <typename T> static T apply(T a, T b) {
    if (a != a)
      return canonical(b);
    if (b != b)
      return a;
    return a < b || (a == b && std::signbit(a)) ? a : b;
  }
};
struct Max {
  template <typename T> static T apply(T a, T b) {
    if (a != a)
      return canonical(b);
    if (b != b)
      return a;
    return a > b || (a == b && !std::signbit(a)) ? a : b;
  }
};
/// .NaN: one that is not a number is the result.
template <typename Op> struct OrNaN {
  template <typename T> static T apply(T a, T b) {
    return a != a || b != b ? canonical(a + b) : Op::apply(a, b);
  }
};

/// .ftz: subnormal inputs and results are zeros of their sign.
inline float flush(float v) {
  return std::fabs(v) < 0x1p-126f ? std::copysign(0.0f, v) : v;
}
template <typename Op> struct Ftz {
  static float apply(float a) { return flush(Op::apply(flush(a))); }
  static float apply(float a, float b) {
    return flush(Op::apply(flush(a), flush(b)));
  }
  static float apply(float a, float b, float c) {
    return flush(Op::apply(flush(a), flush(b), flush(c)));
  }
};
template <typename Op> struct FtzTest {
  static bool apply(float a, float b) { return Op::apply(flush(a), flush(b)); }
};
template <typename Op> struct Sat {
  template <typename... T> static float apply(T... v) {
    float r = Op::apply(v...);
    return r > 0 ? (r < 1 ? r : 1) : 0; // what is not a number is 0
  }
};

// --- 16 bits: N is Half or Bfloat ---

template <typename Op, typename N> struct Narrow1 {
  static uint16_t apply(uint16_t a) {
    return N::of(Op::apply(N{a}.value())).bits;
  }
};
/// Sums and products of 16-bit floats, rounded to f32 and again, are those
/// rounded once: f32 has more than twice the digits.
template <typename Op, typename N> struct Narrow2 {
  static uint16_t apply(uint16_t a, uint16_t b) {
    return N::of(double(Op::apply(double(N{a}.value()), double(N{b}.value()))))
        .bits;
  }
};
template <typename N> struct NarrowFma {
  static uint16_t apply(uint16_t a, uint16_t b, uint16_t c) {
    return N::of(fmaForNarrow(N{a}.value(), N{b}.value(), N{c}.value())).bits;
  }
};
template <typename N> struct NarrowFmaRelu {
  static uint16_t apply(uint16_t a, uint16_t b, uint16_t c) {
    uint16_t r = NarrowFma<N>::apply(a, b, c);
    return r & 0x8000 ? 0 : r;
  }
};
struct NarrowAbs {
  static uint16_t apply(uint16_t a) { return a & 0x7fff; }
};
struct NarrowNeg {
  static uint16_t apply(uint16_t a) { return a ^ 0x8000; }
};

/// Both halves of a 32-bit register.
template <typename Op> struct Pair {
  static uint32_t apply(uint32_t a) {
    return uint32_t(Op::apply(uint16_t(a >> 16))) << 16 |
           Op::apply(uint16_t(a));
  }
  static uint32_t apply(uint32_t a, uint32_t b) {
    return uint32_t(Op::apply(uint16_t(a >> 16), uint16_t(b >> 16))) << 16 |
           Op::apply(uint16_t(a), uint16_t(b));
  }
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    return uint32_t(Op::apply(uint16_t(a >> 16), uint16_t(b >> 16),
                              uint16_t(c >> 16)))
               << 16 |
           Op::apply(uint16_t(a), uint16_t(b), uint16_t(c));
  }
};

// --- comparisons: ordered ones are false, the others true where one is not a
// number ---
ISTHMUS_OP2(Eq, a == b)
ISTHMUS_OP2(Ne, a<b || a> b)
ISTHMUS_OP2(Lt, a < b)
ISTHMUS_OP2(Le, a <= b)
ISTHMUS_OP2(Gt, a > b)
ISTHMUS_OP2(Ge, a >= b)
ISTHMUS_OP2(Equ, !(a < b || a > b))
ISTHMUS_OP2(Neu, a != b)
ISTHMUS_OP2(Ltu, !(a >= b))
ISTHMUS_OP2(Leu, !(a > b))
ISTHMUS_OP2(Gtu, !(a <= b))
ISTHMUS_OP2(Geu, !(a < b))
ISTHMUS_OP2(Num, a == a && b == b)
ISTHMUS_OP2(Nan, a != a || b != b)
template <typename Op, typename N> struct NarrowTest {
  static bool apply(uint16_t a, uint16_t b) {
    return Op::apply(N{a}.value(), N{b}.value());
  }
};

#define F32_1(name, Op)                                                        \
  {name ".f32", "4=4", unary<Op, float, float>}, {                             \
    name ".ftz.f32", "4=4", unary<Ftz<Op>, float, float>                       \
  }
#define F32_2(name, Op)                                                        \
  {name ".f32", "4=44", binary<Op, float, float>},                             \
      {name ".ftz.f32", "4=44", binary<Ftz<Op>, float, float>},                \
      {name ".sat.f32", "4=44", binary<Sat<Op>, float, float>}, {              \
    name ".ftz.sat.f32", "4=44", binary<Sat<Ftz<Op>>, float, float>            \
  }
#define F32_3(name, Op)                                                        \
  {name ".f32", "4=444", ternary<Op, float, float>},                           \
      {name ".ftz.f32", "4=444", ternary<Ftz<Op>, float, float>}, {            \
    name ".sat.f32", "4=444", ternary<Sat<Op>, float, float>                   \
  }
#define F64_1(name, Op) {name ".f64", "8=8", unary<Op, double, double>}
#define F64_2(name, Op) {name ".f64", "8=88", binary<Op, double, double>}
#define BOTH_2(name, Op) F32_2(name, Op), F64_2(name, Op)
#define NARROW_1(name, type, Op)                                               \
  {name "." type, "2=2", unary<Op, uint16_t, uint16_t>}, {                     \
    name "." type "x2", "4=4", unary<Pair<Op>, uint32_t, uint32_t>             \
  }
#define NARROW_2(name, type, Op, N)                                            \
  {name "." type, "2=22", binary<Narrow2<Op, N>, uint16_t, uint16_t>}, {       \
    name "." type "x2", "4=44",                                                \
        binary<Pair<Narrow2<Op, N>>, uint32_t, uint32_t>                       \
  }
#define NARROW_3(name, type, Op)                                               \
  {name "." type, "2=222", ternary<Op, uint16_t, uint16_t>}, {                 \
    name "." type "x2", "4=444", ternary<Pair<Op>, uint32_t, uint32_t>         \
  }
#define NARROW_BOTH_2(name, Op)                                                \
  NARROW_2(name, "f16", Op, Half), NARROW_2(name, "bf16", Op, Bfloat)
#define COMPARE(name, Op)                                                      \
  {"setp." name ".f32", "p=44", compare<Op, float>},                           \
      {"setp." name ".ftz.f32", "p=44", compare<FtzTest<Op>, float>},          \
      {"setp." name ".f64", "p=88", compare<Op, double>},                      \
      {"setp." name ".f16", "p=22", compare<NarrowTest<Op, Half>, uint16_t>},  \
  {                                                                            \
    "setp." name ".bf16", "p=22", compare<NarrowTest<Op, Bfloat>, uint16_t>    \
  }

const Row rows[] = {
    BOTH_2("add", Add),
    BOTH_2("add.rn", Add),
    BOTH_2("sub", Sub),
    BOTH_2("sub.rn", Sub),
    BOTH_2("mul", Mul),
    BOTH_2("mul.rn", Mul),
    BOTH_2("min", Min),
    BOTH_2("max", Max),
    BOTH_2("min.NaN", OrNaN<Min>),
    BOTH_2("max.NaN", OrNaN<Max>),
    BOTH_2("div.rn", Div),
    F32_2("div.full", Div),
    F32_2("div.approx", Div),
    BOTH_2("copysign", CopySign),
    F32_3("fma.rn", Fma),
    F32_3("mad.rn", Fma),
    {"fma.rn.f64", "8=888", ternary<Fma, double, double>},
    {"mad.rn.f64", "8=888", ternary<Fma, double, double>},
    F32_1("abs", Abs),
    F32_1("neg", Neg),
    F64_1("abs", Abs),
    F64_1("neg", Neg),
    F32_1("rcp.rn", Rcp),
    F64_1("rcp.rn", Rcp),
    F32_1("rcp.approx", Rcp),
    F32_1("sqrt.rn", Sqrt),
    F64_1("sqrt.rn", Sqrt),
    F32_1("sqrt.approx", Sqrt),
    F32_1("rsqrt.approx", Rsqrt),
    F64_1("rsqrt.approx", Rsqrt),
    F32_1("sin.approx", Sin),
    F32_1("cos.approx", Cos),
    F32_1("lg2.approx", Lg2),
    F32_1("ex2.approx", Ex2),
    F32_1("tanh.approx", Tanh),
    NARROW_1("abs", "f16", NarrowAbs),
    NARROW_1("abs", "bf16", NarrowAbs),
    NARROW_1("neg", "f16", NarrowNeg),
    NARROW_1("neg", "bf16", NarrowNeg),
    {"ex2.approx.f16", "2=2", unary<Narrow1<Ex2, Half>, uint16_t, uint16_t>},
    {"tanh.approx.f16", "2=2", unary<Narrow1<Tanh, Half>, uint16_t, uint16_t>},
    NARROW_BOTH_2("add", Add),
    NARROW_BOTH_2("add.rn", Add),
    NARROW_BOTH_2("sub", Sub),
    NARROW_BOTH_2("sub.rn", Sub),
    NARROW_BOTH_2("mul", Mul),
    NARROW_BOTH_2("mul.rn", Mul),
    NARROW_BOTH_2("min", Min),
    NARROW_BOTH_2("max", Max),
    NARROW_BOTH_2("min.NaN", OrNaN<Min>),
    NARROW_BOTH_2("max.NaN", OrNaN<Max>),
    NARROW_3("fma.rn", "f16", NarrowFma<Half>),
    NARROW_3("fma.rn", "bf16", NarrowFma<Bfloat>),
    NARROW_3("fma.rn.relu", "f16", NarrowFmaRelu<Half>),
    NARROW_3("fma.rn.relu", "bf16", NarrowFmaRelu<Bfloat>),
    COMPARE("eq", Eq),
    COMPARE("ne", Ne),
    COMPARE("lt", Lt),
    COMPARE("le", Le),
    COMPARE("gt", Gt),
    COMPARE("ge", Ge),
    COMPARE("equ", Equ),
    COMPARE("neu", Neu),
    COMPARE("ltu", Ltu),
    COMPARE("leu", Leu),
    COMPARE("gtu", Gtu),
    COMPARE("geu", Geu),
    COMPARE("num", Num),
    COMPARE("nan", Nan),
};

} // namespace

namespace isthmus::simgpu::ptx::ISTHMUS_PTX_ISA {
Table floatRows() { return {rows, sizeof rows / sizeof *rows}; }
} // namespace isthmus::simgpu::ptx::ISTHMUS_PTX_ISA
