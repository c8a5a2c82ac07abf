//===- matrix.cpp - MFMA and WMMA -----------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lanes.h"

using namespace isthmus::simgpu::amdgpu;

namespace {
// How a matrix lies over lanes and registers.
//   mfma: CDNA3 ISA, chapter 7: a lane holds K*M/64 neighbours of a row of A;
//         the result lies in groups of four rows.
//   wmma11: RDNA3 ISA, 7.9: A and B are held twice, once per half of the wave;
//         the result's rows alternate between the halves.
//   wmma12: RDNA4 ISA, 7.12: halves of K, and eight rows, per half of the wave.
enum class Layout { mfma, wmma11, wmma12 };
enum class Element { f16, bf16, f32, f64, i8, i32 };

unsigned bitsOf(Element e) {
  switch (e) {
  case Element::i8:
    return 8;
  case Element::f16:
  case Element::bf16:
    return 16;
  case Element::f64:
    return 64;
  default:
    return 32;
  }
}

/// Element `n` of a lane's registers from `first` on.
double element(const Wave &w, unsigned first, unsigned l, unsigned n, Element e,
               bool isSigned) {
  unsigned bits = bitsOf(e), at = n * bits;
  const uint32_t *v = w.v + size_t(first + at / 32) * kLanes;
  uint32_t raw = v[l] >> at % 32;
  switch (e) {
  case Element::f16:
    return halfToFloat(uint16_t(raw));
  case Element::bf16:
    return bfloatToFloat(uint16_t(raw));
  case Element::f32:
    return bitcast<float>(raw);
  case Element::f64:
    return bitcast<double>(uint64_t(v[kLanes + l]) << 32 | raw);
  case Element::i8:
    return isSigned ? double(int8_t(raw)) : double(raw & 0xff);
  case Element::i32:
    return double(int32_t(raw));
  }
  return 0;
}
bool elementPoison(const Wave &w, unsigned first, unsigned l, unsigned n,
                   Element e) {
  unsigned bits = bitsOf(e), at = n * bits;
  const uint32_t *v = w.vPoison + size_t(first + at / 32) * kLanes;
  uint64_t mask = bits >= 32 ? ~0u : (1u << bits) - 1;
  return (v[l] >> at % 32 & mask) || (bits == 64 && v[kLanes + l]);
}

template <Layout L, unsigned M, unsigned K, Element In, Element Out>
struct Matrix {
  static constexpr unsigned N = M, wave = L == Layout::mfma ? 64 : 32;
  static constexpr unsigned perLane = L == Layout::wmma11 ? K : K * M / wave;
  static constexpr unsigned results = M * N / wave;
  static constexpr bool twice = L == Layout::wmma11;

  static unsigned depth(unsigned l, unsigned e) {
    return twice ? e : perLane * (l / M) + e;
  }
  static unsigned rowOf(unsigned l, unsigned r) {
    if (L == Layout::wmma11)
      return 2 * r + l / 16;
    if (L == Layout::wmma12)
      return 8 * (l / 16) + r;
    if (Out == Element::f64)
      return 4 * r + l / N;
    return r / 4 * 4 * (wave / N) + 4 * (l / N) + r % 4;
  }
  /// Which element of a lane's registers result `r` is: gfx11 spreads 16-bit
  /// results over registers, in one half of each.
  static unsigned slot(const Inst &i, unsigned r) {
    return bitsOf(Out) == 16 && L == Layout::wmma11 ? 2 * r + i.s[2].half : r;
  }

  static void run(Wave &w, const Inst &i) {
    if (w.size != wave)
      return w.fail(i, "a matrix operation of " + std::to_string(wave) +
                           " lanes in a wave of " + std::to_string(w.size));
    // The units do not ask exec, but what made their operands did.
    uint64_t all = wave == 64 ? ~0ull : (1ull << wave) - 1;
    if (w.poisonOn && (w.exec() & all) != all)
      return w.fail(i,
                    "multiplies where some lanes are off: their operands may "
                    "be older than the others'");
    double a[M][K], b[K][N], sum[M][N] = {};
    unsigned lanes = twice ? 16 : wave;
    for (unsigned l = 0; l < lanes; ++l)
      for (unsigned e = 0; e < perLane; ++e) {
        unsigned k = depth(l, e);
        // neg_lo and neg_hi: of integers the sign, of floats which to negate.
        auto read = [&](const Operand &o) {
          double v = element(w, o.index, l, e, In, o.neg || L == Layout::mfma);
          bool flip = In != Element::i8 && (e & 1 ? o.negHigh : o.neg);
          return flip ? -v : v;
        };
        a[l % M][k] = read(i.s[0]);
        b[k][l % N] = read(i.s[1]);
      }
    for (unsigned m = 0; m < M; ++m)
      for (unsigned k = 0; k < K; ++k)
        for (unsigned n = 0; n < N; ++n)
          sum[m][n] += a[m][k] * b[k][n];
    if (w.poisonOn)
      flow(w, i);
    // Results may overlap the addends: LLVM lets those of four registers.
    double result[wave][results];
    for (unsigned l = 0; l < wave; ++l)
      for (unsigned r = 0; r < results; ++r)
        result[l][r] = sum[rowOf(l, r)][l % N] + addend(w, i, l, r);
    for (unsigned l = 0; l < wave; ++l)
      for (unsigned r = 0; r < results; ++r)
        write(w, i, l, r, result[l][r]);
  }

  static double addend(const Wave &w, const Inst &i, unsigned l, unsigned r) {
    const Operand &c = i.s[2];
    double add;
    if (c.kind == Operand::vector)
      add = element(w, c.index, l, slot(i, r), Out, true);
    else
      add = Out == Element::i32   ? double(int32_t(c.bits))
            : Out == Element::f64 ? bitcast<double>(c.bits)
            : bitsOf(Out) == 16   ? c.number
                                  : double(bitcast<float>(uint32_t(c.bits)));
    if (Out != Element::i32 && L != Layout::mfma) {
      if (c.negHigh)
        add = std::fabs(add);
      if (c.neg)
        add = -add;
    }
    return add;
  }

  static void write(Wave &w, const Inst &i, unsigned l, unsigned r, double v) {
    unsigned at = slot(i, r) * bitsOf(Out);
    uint32_t *to = w.row(i.d[0].index + at / 32) + l;
    if (Out == Element::f64) {
      uint64_t raw = bitcast<uint64_t>(v);
      to[0] = uint32_t(raw);
      to[kLanes] = uint32_t(raw >> 32);
    } else if (Out == Element::i32) {
      auto wide = int64_t(v);
      if (i.clamp)
        wide = std::min<int64_t>(std::max<int64_t>(wide, INT32_MIN), INT32_MAX);
      *to = uint32_t(wide);
    } else if (Out == Element::f32) {
      *to = bitcast<uint32_t>(float(v));
    } else {
      uint16_t raw =
          Out == Element::f16 ? doubleToHalf(v) : floatToBfloat(float(v));
      *to = (*to & ~(0xffffu << at % 32)) | uint32_t(raw) << at % 32;
    }
  }

  /// A result is poison if its row of A, its column of B or its addend is.
  static void flow(Wave &w, const Inst &i) {
    bool rows[M] = {}, columns[N] = {};
    for (unsigned l = 0; l < (twice ? 16 : wave); ++l)
      for (unsigned e = 0; e < perLane; ++e) {
        rows[l % M] |= elementPoison(w, i.s[0].index, l, e, In);
        columns[l % N] |= elementPoison(w, i.s[1].index, l, e, In);
      }
    bool poison[kLanes][results];
    for (unsigned l = 0; l < wave; ++l)
      for (unsigned r = 0; r < results; ++r)
        poison[l][r] = rows[rowOf(l, r)] || columns[l % N] ||
                       (i.s[2].kind == Operand::vector &&
                        elementPoison(w, i.s[2].index, l, slot(i, r), Out));
    for (unsigned l = 0; l < wave; ++l)
      for (unsigned r = 0; r < results; ++r) {
        unsigned at = slot(i, r) * bitsOf(Out);
        uint32_t field = bitsOf(Out) == 16 ? 0xffffu << at % 32 : ~0u;
        for (unsigned k = 0; k < std::max(bitsOf(Out) / 32, 1u); ++k) {
          uint32_t &p = w.poisonRow(i.d[0].index + at / 32 + k)[l];
          p = (p & ~field) | (poison[l][r] ? field : 0);
        }
      }
  }
};

template <class M> void add(OperationTable &t, const std::string &name) {
  Operation o;
  o.kind = Class::matrix;
  o.flow = Flow::none;
  o.shape.results = 1;
  o.shape.sources = 3;
  o.shape.result[0] = Type::any;
  o.shape.source[0] = o.shape.source[1] = Type::any;
  o.shape.source[2] = Type::any;
  o.run = M::run;
  t[name] = o;
}
} // namespace

void isthmus::simgpu::amdgpu::addMatrix(OperationTable &t) {
  using E = Element;
  constexpr Layout mfma = Layout::mfma;
  add<Matrix<mfma, 16, 16, E::f16, E::f32>>(t, "v_mfma_f32_16x16x16_f16");
  add<Matrix<mfma, 32, 8, E::f16, E::f32>>(t, "v_mfma_f32_32x32x8_f16");
  add<Matrix<mfma, 16, 16, E::bf16, E::f32>>(t, "v_mfma_f32_16x16x16_bf16");
  add<Matrix<mfma, 32, 8, E::bf16, E::f32>>(t, "v_mfma_f32_32x32x8_bf16");
  add<Matrix<mfma, 16, 4, E::f32, E::f32>>(t, "v_mfma_f32_16x16x4_f32");
  add<Matrix<mfma, 32, 2, E::f32, E::f32>>(t, "v_mfma_f32_32x32x2_f32");
  add<Matrix<mfma, 16, 32, E::i8, E::i32>>(t, "v_mfma_i32_16x16x32_i8");
  add<Matrix<mfma, 32, 16, E::i8, E::i32>>(t, "v_mfma_i32_32x32x16_i8");
  add<Matrix<mfma, 16, 4, E::f64, E::f64>>(t, "v_mfma_f64_16x16x4_f64");
  // Two generations of one name: see decode.cpp.
  auto both = [&](const std::string &name, auto eleven, auto twelve) {
    add<decltype(eleven)>(t, name);
    add<decltype(twelve)>(t, name + "@gfx12");
  };
  constexpr Layout w11 = Layout::wmma11, w12 = Layout::wmma12;
  both("v_wmma_f32_16x16x16_f16", Matrix<w11, 16, 16, E::f16, E::f32>(),
       Matrix<w12, 16, 16, E::f16, E::f32>());
  both("v_wmma_f32_16x16x16_bf16", Matrix<w11, 16, 16, E::bf16, E::f32>(),
       Matrix<w12, 16, 16, E::bf16, E::f32>());
  both("v_wmma_f16_16x16x16_f16", Matrix<w11, 16, 16, E::f16, E::f16>(),
       Matrix<w12, 16, 16, E::f16, E::f16>());
  both("v_wmma_bf16_16x16x16_bf16", Matrix<w11, 16, 16, E::bf16, E::bf16>(),
       Matrix<w12, 16, 16, E::bf16, E::bf16>());
  both("v_wmma_i32_16x16x16_iu8", Matrix<w11, 16, 16, E::i8, E::i32>(),
       Matrix<w12, 16, 16, E::i8, E::i32>());
}
