//===- ops_integer.cpp - integers, bits and predicates --------------------===//
//
// PTX ISA 9.7.1 (integer), 9.7.2 (extended precision is not here), 9.7.8 (logic
// and shifts), 9.7.6 (setp) and 9.7.7 (selp).
//
//===----------------------------------------------------------------------===//
#include "ops.h"

#include <type_traits>

using namespace isthmus::simgpu::ptx;

namespace {

template <typename T> using Unsigned = std::make_unsigned_t<T>;
/// 16-bit products must not become products of int.
template <typename T>
using Product = std::conditional_t<sizeof(T) < 4, uint32_t, Unsigned<T>>;
template <typename T> constexpr uint32_t kBits = sizeof(T) * 8;

ISTHMUS_OP2(Add, static_cast<T>(Unsigned<T>(a) + Unsigned<T>(b)))
ISTHMUS_OP2(Sub, static_cast<T>(Unsigned<T>(a) - Unsigned<T>(b)))
ISTHMUS_OP2(MulLo, static_cast<T>(Product<T>(a) * Product<T>(b)))
ISTHMUS_OP2(And, static_cast<T>(a &b))
ISTHMUS_OP2(Or, static_cast<T>(a | b))
ISTHMUS_OP2(Xor, static_cast<T>(a ^ b))
ISTHMUS_OP2(Min, a < b ? a : b)
ISTHMUS_OP2(Max, a < b ? b : a)
ISTHMUS_OP1(Not, static_cast<T>(~a))
ISTHMUS_OP1(Cnot, static_cast<T>(a == 0))
ISTHMUS_OP1(Neg, static_cast<T>(Unsigned<T>(0) - Unsigned<T>(a)))
ISTHMUS_OP1(Abs, a < 0 ? static_cast<T>(Unsigned<T>(0) - Unsigned<T>(a)) : a)
ISTHMUS_OP1(Move, a)
ISTHMUS_OP3(MadLo,
            static_cast<T>(Product<T>(a) * Product<T>(b) + Unsigned<T>(c)))

template <typename T> struct Wider;
template <> struct Wider<uint16_t> {
  using type = uint32_t;
};
template <> struct Wider<int16_t> {
  using type = int32_t;
};
template <> struct Wider<uint32_t> {
  using type = uint64_t;
};
template <> struct Wider<int32_t> {
  using type = int64_t;
};
template <> struct Wider<uint64_t> {
  using type = unsigned __int128;
};
template <> struct Wider<int64_t> {
  using type = __int128;
};
template <typename T> using Wide = typename Wider<T>::type;

ISTHMUS_OP2(MulHi, static_cast<T>((Wide<T>(a) * Wide<T>(b)) >> kBits<T>))
ISTHMUS_OP2(MulWide, (Wide<T>(a) * Wide<T>(b)))
ISTHMUS_OP3(MadHi,
            static_cast<T>(Unsigned<T>((Wide<T>(a) * Wide<T>(b)) >> kBits<T>) +
                           Unsigned<T>(c)))
struct MadWide {
  template <typename T> static Wide<T> apply(T a, T b, Wide<T> c) {
    return static_cast<Wide<T>>(Unsigned<Wide<T>>(Wide<T>(a) * Wide<T>(b)) +
                                Unsigned<Wide<T>>(c));
  }
};

/// By zero is unspecified: all ones, as the hardware has it.
struct Div {
  template <typename T> static T apply(T a, T b) {
    if (b == 0)
      return static_cast<T>(~T(0));
    if (std::is_signed<T>::value && b == T(-1))
      return Neg::apply(a);
    return static_cast<T>(a / b);
  }
};
struct Rem {
  template <typename T> static T apply(T a, T b) {
    if (b == 0)
      return a;
    if (std::is_signed<T>::value && b == T(-1))
      return 0;
    return static_cast<T>(a % b);
  }
};

/// Amounts above the width are the width.
struct Shl {
  template <typename T> static T apply(T a, uint32_t n) {
    return n >= kBits<T> ? T(0) : static_cast<T>(Unsigned<T>(a) << n);
  }
};
struct Shr {
  template <typename T> static T apply(T a, uint32_t n) {
    if (n >= kBits<T>)
      return std::is_signed<T>::value ? static_cast<T>(a >> (kBits<T> - 1))
                                      : T(0);
    return static_cast<T>(a >> n);
  }
};

struct Popc {
  template <typename T> static uint32_t apply(T a) {
    return static_cast<uint32_t>(__builtin_popcountll(a));
  }
};
struct Clz {
  template <typename T> static uint32_t apply(T a) {
    return a ? static_cast<uint32_t>(__builtin_clzll(a)) - (64 - kBits<T>)
             : kBits<T>;
  }
};
struct Brev {
  template <typename T> static T apply(T a) {
    T r = 0;
    for (uint32_t n = 0; n < kBits<T>; ++n)
      r |= static_cast<T>((a >> n & 1) << (kBits<T> - 1 - n));
    return r;
  }
};
/// Of the most significant bit that is not a copy of the sign.
struct Bfind {
  template <typename T> static uint32_t apply(T a) {
    auto u = static_cast<Unsigned<T>>(a < 0 ? ~a : a);
    return u ? 63 - static_cast<uint32_t>(__builtin_clzll(u)) : ~0u;
  }
};
struct Bfe {
  template <typename T> static T apply(T a, uint32_t pos, uint32_t len) {
    pos &= 255, len &= 255;
    uint32_t top = pos + len - 1 < kBits<T> ? pos + len - 1 : kBits<T> - 1;
    bool fill = std::is_signed<T>::value && len && (a >> top & 1);
    Unsigned<T> r = pos < kBits<T> ? Unsigned<T>(a) >> pos : 0;
    uint32_t have = pos < kBits<T> ? kBits<T> - pos : 0;
    uint32_t n = len < have ? len : have;
    if (n < kBits<T>) {
      Unsigned<T> low = (Unsigned<T>(1) << n) - 1;
      r = fill ? r | ~low : r & low;
    }
    return static_cast<T>(r);
  }
};

template <typename T> void bfi(Warp &w, const Inst &i, uint32_t mask) {
  auto *d = w.result<T>(i);
  auto *a = w.source<T>(i, 0), *b = w.source<T>(i, 1);
  auto *c = w.source<uint32_t>(i, 2), *n = w.source<uint32_t>(i, 3);
  each(mask, [=](uint32_t l) {
    uint32_t pos = c[l] & 255, len = n[l] & 255;
    T field = len < kBits<T> ? (T(1) << len) - 1 : ~T(0);
    T shifted = pos < kBits<T> ? field << pos : 0;
    d[l] = (b[l] & ~shifted) | ((pos < kBits<T> ? a[l] << pos : 0) & shifted);
  });
}

struct ShfLWrap {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t n) {
    n &= 31;
    return n ? b << n | a >> (32 - n) : b;
  }
};
struct ShfRWrap {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t n) {
    n &= 31;
    return n ? b << (32 - n) | a >> n : a;
  }
};
struct ShfLClamp {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t n) {
    return n >= 32 ? a : ShfLWrap::apply(a, b, n);
  }
};
struct ShfRClamp {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t n) {
    return n >= 32 ? b : ShfRWrap::apply(a, b, n);
  }
};

/// Its default mode: four nibbles each name a byte of b:a, or its sign.
struct Prmt {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    uint64_t all = uint64_t(b) << 32 | a;
    uint32_t r = 0;
    for (uint32_t n = 0; n < 4; ++n) {
      uint32_t sel = c >> (4 * n) & 15;
      uint32_t byte = static_cast<uint32_t>(all >> (8 * (sel & 7))) & 255;
      if (sel & 8)
        byte = byte & 0x80 ? 255 : 0;
      r |= byte << (8 * n);
    }
    return r;
  }
};

void lop3(Warp &w, const Inst &i, uint32_t mask) {
  auto *d = w.result<uint32_t>(i);
  auto *a = w.source<uint32_t>(i, 0), *b = w.source<uint32_t>(i, 1),
       *c = w.source<uint32_t>(i, 2), *lut = w.source<uint32_t>(i, 3);
  each(mask, [=](uint32_t l) {
    uint32_t r = 0;
    for (uint32_t n = 0; n < 8; ++n)
      if (lut[l] >> n & 1)
        r |= (n & 4 ? a[l] : ~a[l]) & (n & 2 ? b[l] : ~b[l]) &
             (n & 1 ? c[l] : ~c[l]);
    d[l] = r;
  });
}

/// The low 16 or 32 bits of a product of 24-bit numbers are mul.lo's.
template <bool Signed> struct Dp4a {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    for (int n = 0; n < 32; n += 8)
      c += Signed ? static_cast<uint32_t>(int8_t(a >> n) * int8_t(b >> n))
                  : (a >> n & 255) * (b >> n & 255);
    return c;
  }
};

// --- predicates ---

template <typename Op> void predicates(Warp &w, const Inst &i, uint32_t mask) {
  uint32_t a = w.predicateSource(i, 0);
  uint32_t b = i.sources > 1 ? w.predicateSource(i, 1) : 0;
  w.setPredicate(i.d[0], mask, Op::apply(a, b));
}
ISTHMUS_OP2(First, (static_cast<void>(b), a))
ISTHMUS_OP2(NotFirst, (static_cast<void>(b), ~a))

template <typename T> void select(Warp &w, const Inst &i, uint32_t mask) {
  auto *d = w.result<T>(i);
  auto *a = w.source<T>(i, 0), *b = w.source<T>(i, 1);
  uint32_t p = w.predicateSource(i, 2);
  each(mask, [=](uint32_t l) { d[l] = p >> l & 1 ? a[l] : b[l]; });
}

ISTHMUS_OP2(Eq, a == b)
ISTHMUS_OP2(Ne, a != b)
ISTHMUS_OP2(Lt, a < b)
ISTHMUS_OP2(Le, a <= b)
ISTHMUS_OP2(Gt, a > b)
ISTHMUS_OP2(Ge, a >= b)

#define UNSIGNED2(name, Op)                                                    \
  {name ".u16", "2=22", binary<Op, uint16_t, uint16_t>},                       \
      {name ".u32", "4=44", binary<Op, uint32_t, uint32_t>}, {                 \
    name ".u64", "8=88", binary<Op, uint64_t, uint64_t>                        \
  }
#define SIGNED2(name, Op)                                                      \
  {name ".s16", "2=22", binary<Op, int16_t, int16_t>},                         \
      {name ".s32", "4=44", binary<Op, int32_t, int32_t>}, {                   \
    name ".s64", "8=88", binary<Op, int64_t, int64_t>                          \
  }
#define INTEGER2(name, Op) UNSIGNED2(name, Op), SIGNED2(name, Op)
#define BITS2(name, Op)                                                        \
  {name ".b16", "2=22", binary<Op, uint16_t, uint16_t>},                       \
      {name ".b32", "4=44", binary<Op, uint32_t, uint32_t>}, {                 \
    name ".b64", "8=88", binary<Op, uint64_t, uint64_t>                        \
  }
#define MOVE(type, shape, T) {"mov." type, shape, unary<Move, T, T>}
#define COMPARE(name, Op, type, shape, T)                                      \
  {"setp." name "." type, shape, compare<Op, T>}
#define COMPARE_UNSIGNED(name, Op)                                             \
  COMPARE(name, Op, "u16", "p=22", uint16_t),                                  \
      COMPARE(name, Op, "u32", "p=44", uint32_t),                              \
      COMPARE(name, Op, "u64", "p=88", uint64_t)
#define COMPARE_INTEGERS(name, Op)                                             \
  COMPARE_UNSIGNED(name, Op), COMPARE(name, Op, "s16", "p=22", int16_t),       \
      COMPARE(name, Op, "s32", "p=44", int32_t),                               \
      COMPARE(name, Op, "s64", "p=88", int64_t)
#define COMPARE_BITS(name, Op)                                                 \
  COMPARE(name, Op, "b16", "p=22", uint16_t),                                  \
      COMPARE(name, Op, "b32", "p=44", uint32_t),                              \
      COMPARE(name, Op, "b64", "p=88", uint64_t)
#define SELECT(type, shape, T) {"selp." type, shape, select<T>, Kind::select}

const Row rows[] = {
    INTEGER2("add", Add),
    INTEGER2("sub", Sub),
    INTEGER2("mul.lo", MulLo),
    INTEGER2("mul.hi", MulHi),
    INTEGER2("div", Div),
    INTEGER2("rem", Rem),
    INTEGER2("min", Min),
    INTEGER2("max", Max),
    BITS2("and", And),
    BITS2("or", Or),
    BITS2("xor", Xor),
    {"mul.wide.u16", "4=22", binary<MulWide, uint32_t, uint16_t>},
    {"mul.wide.s16", "4=22", binary<MulWide, int32_t, int16_t>},
    {"mul.wide.u32", "8=44", binary<MulWide, uint64_t, uint32_t>},
    {"mul.wide.s32", "8=44", binary<MulWide, int64_t, int32_t>},
    {"mad.lo.u16", "2=222", ternary<MadLo, uint16_t, uint16_t>},
    {"mad.lo.s16", "2=222", ternary<MadLo, int16_t, int16_t>},
    {"mad.lo.u32", "4=444", ternary<MadLo, uint32_t, uint32_t>},
    {"mad.lo.s32", "4=444", ternary<MadLo, int32_t, int32_t>},
    {"mad.lo.u64", "8=888", ternary<MadLo, uint64_t, uint64_t>},
    {"mad.lo.s64", "8=888", ternary<MadLo, int64_t, int64_t>},
    {"mad.hi.u32", "4=444", ternary<MadHi, uint32_t, uint32_t>},
    {"mad.hi.s32", "4=444", ternary<MadHi, int32_t, int32_t>},
    {"mad.hi.u64", "8=888", ternary<MadHi, uint64_t, uint64_t>},
    {"mad.hi.s64", "8=888", ternary<MadHi, int64_t, int64_t>},
    {"mad.wide.u16", "4=224",
     ternary<MadWide, uint32_t, uint16_t, uint16_t, uint32_t>},
    {"mad.wide.s16", "4=224",
     ternary<MadWide, int32_t, int16_t, int16_t, int32_t>},
    {"mad.wide.u32", "8=448",
     ternary<MadWide, uint64_t, uint32_t, uint32_t, uint64_t>},
    {"mad.wide.s32", "8=448",
     ternary<MadWide, int64_t, int32_t, int32_t, int64_t>},
    {"not.b16", "2=2", unary<Not, uint16_t, uint16_t>},
    {"not.b32", "4=4", unary<Not, uint32_t, uint32_t>},
    {"not.b64", "8=8", unary<Not, uint64_t, uint64_t>},
    {"cnot.b32", "4=4", unary<Cnot, uint32_t, uint32_t>},
    {"cnot.b64", "8=8", unary<Cnot, uint64_t, uint64_t>},
    {"neg.s16", "2=2", unary<Neg, int16_t, int16_t>},
    {"neg.s32", "4=4", unary<Neg, int32_t, int32_t>},
    {"neg.s64", "8=8", unary<Neg, int64_t, int64_t>},
    {"abs.s16", "2=2", unary<Abs, int16_t, int16_t>},
    {"abs.s32", "4=4", unary<Abs, int32_t, int32_t>},
    {"abs.s64", "8=8", unary<Abs, int64_t, int64_t>},
    {"shl.b16", "2=24", binary<Shl, uint16_t, uint16_t, uint32_t>},
    {"shl.b32", "4=44", binary<Shl, uint32_t, uint32_t, uint32_t>},
    {"shl.b64", "8=84", binary<Shl, uint64_t, uint64_t, uint32_t>},
    {"shr.u16", "2=24", binary<Shr, uint16_t, uint16_t, uint32_t>},
    {"shr.u32", "4=44", binary<Shr, uint32_t, uint32_t, uint32_t>},
    {"shr.u64", "8=84", binary<Shr, uint64_t, uint64_t, uint32_t>},
    {"shr.b16", "2=24", binary<Shr, uint16_t, uint16_t, uint32_t>},
    {"shr.b32", "4=44", binary<Shr, uint32_t, uint32_t, uint32_t>},
    {"shr.b64", "8=84", binary<Shr, uint64_t, uint64_t, uint32_t>},
    {"shr.s16", "2=24", binary<Shr, int16_t, int16_t, uint32_t>},
    {"shr.s32", "4=44", binary<Shr, int32_t, int32_t, uint32_t>},
    {"shr.s64", "8=84", binary<Shr, int64_t, int64_t, uint32_t>},
    {"popc.b32", "4=4", unary<Popc, uint32_t, uint32_t>},
    {"popc.b64", "4=8", unary<Popc, uint32_t, uint64_t>},
    {"clz.b32", "4=4", unary<Clz, uint32_t, uint32_t>},
    {"clz.b64", "4=8", unary<Clz, uint32_t, uint64_t>},
    {"brev.b32", "4=4", unary<Brev, uint32_t, uint32_t>},
    {"brev.b64", "8=8", unary<Brev, uint64_t, uint64_t>},
    {"bfind.u32", "4=4", unary<Bfind, uint32_t, uint32_t>},
    {"bfind.s32", "4=4", unary<Bfind, uint32_t, int32_t>},
    {"bfind.u64", "4=8", unary<Bfind, uint32_t, uint64_t>},
    {"bfind.s64", "4=8", unary<Bfind, uint32_t, int64_t>},
    {"bfe.u32", "4=444", ternary<Bfe, uint32_t, uint32_t, uint32_t, uint32_t>},
    {"bfe.s32", "4=444", ternary<Bfe, int32_t, int32_t, uint32_t, uint32_t>},
    {"bfe.u64", "8=844", ternary<Bfe, uint64_t, uint64_t, uint32_t, uint32_t>},
    {"bfe.s64", "8=844", ternary<Bfe, int64_t, int64_t, uint32_t, uint32_t>},
    {"bfi.b32", "4=4444", bfi<uint32_t>},
    {"bfi.b64", "8=8844", bfi<uint64_t>},
    {"shf.l.wrap.b32", "4=444", ternary<ShfLWrap, uint32_t, uint32_t>},
    {"shf.r.wrap.b32", "4=444", ternary<ShfRWrap, uint32_t, uint32_t>},
    {"shf.l.clamp.b32", "4=444", ternary<ShfLClamp, uint32_t, uint32_t>},
    {"shf.r.clamp.b32", "4=444", ternary<ShfRClamp, uint32_t, uint32_t>},
    {"prmt.b32", "4=444", ternary<Prmt, uint32_t, uint32_t>},
    {"lop3.b32", "4=4444", lop3},
    {"dp4a.u32.u32", "4=444", ternary<Dp4a<false>, uint32_t, uint32_t>},
    {"dp4a.s32.s32", "4=444", ternary<Dp4a<true>, uint32_t, uint32_t>},
    MOVE("b16", "2=2", uint16_t),
    MOVE("u16", "2=2", uint16_t),
    MOVE("s16", "2=2", uint16_t),
    MOVE("f16", "2=2", uint16_t),
    MOVE("bf16", "2=2", uint16_t),
    MOVE("b32", "4=4", uint32_t),
    MOVE("u32", "4=4", uint32_t),
    MOVE("s32", "4=4", uint32_t),
    MOVE("f32", "4=4", uint32_t),
    MOVE("b64", "8=8", uint64_t),
    MOVE("u64", "8=8", uint64_t),
    MOVE("s64", "8=8", uint64_t),
    MOVE("f64", "8=8", uint64_t),
    // Nothing is stored in another form in another space; windows are decoded.
    {"and.pred", "p=pp", predicates<And>},
    {"or.pred", "p=pp", predicates<Or>},
    {"xor.pred", "p=pp", predicates<Xor>},
    {"not.pred", "p=p", predicates<NotFirst>},
    {"mov.pred", "p=p", predicates<First>},
    SELECT("b16", "2=22p", uint16_t),
    SELECT("u16", "2=22p", uint16_t),
    SELECT("s16", "2=22p", uint16_t),
    SELECT("f16", "2=22p", uint16_t),
    SELECT("b32", "4=44p", uint32_t),
    SELECT("u32", "4=44p", uint32_t),
    SELECT("s32", "4=44p", uint32_t),
    SELECT("f32", "4=44p", uint32_t),
    SELECT("b64", "8=88p", uint64_t),
    SELECT("u64", "8=88p", uint64_t),
    SELECT("s64", "8=88p", uint64_t),
    SELECT("f64", "8=88p", uint64_t),
    COMPARE_BITS("eq", Eq),
    COMPARE_BITS("ne", Ne),
    COMPARE_INTEGERS("eq", Eq),
    COMPARE_INTEGERS("ne", Ne),
    COMPARE_INTEGERS("lt", Lt),
    COMPARE_INTEGERS("le", Le),
    COMPARE_INTEGERS("gt", Gt),
    COMPARE_INTEGERS("ge", Ge),
    COMPARE_UNSIGNED("lo", Lt),
    COMPARE_UNSIGNED("ls", Le),
    COMPARE_UNSIGNED("hi", Gt),
    COMPARE_UNSIGNED("hs", Ge),
};

} // namespace

namespace isthmus::simgpu::ptx::ISTHMUS_PTX_ISA {
Table integerRows() { return {rows, sizeof rows / sizeof *rows}; }
} // namespace isthmus::simgpu::ptx::ISTHMUS_PTX_ISA
