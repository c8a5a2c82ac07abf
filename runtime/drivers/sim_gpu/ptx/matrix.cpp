//===- matrix.cpp - mma.sync and ldmatrix ---------------------------------===//
//
// PTX ISA 9.7.14.5. A result of floats is the sum of the products and C in
// double, rounded once: the order in which the hardware adds, and how it rounds
// between, are not specified. Integers are exact and wrap, or saturate.
//
//===----------------------------------------------------------------------===//
#include "matrix.h"
#include "memory.h"
#include "numbers.h"
#include "sanitize.h"

using namespace isthmus::simgpu::ptx;

const Mma isthmus::simgpu::ptx::mmas[] = {
    {16, 8, 8, Element::f16, Element::f16, Element::f32},
    {16, 8, 8, Element::f16, Element::f16, Element::f16},
    {16, 8, 16, Element::f16, Element::f16, Element::f32},
    {16, 8, 16, Element::f16, Element::f16, Element::f16},
    {16, 8, 8, Element::bf16, Element::bf16, Element::f32},
    {16, 8, 16, Element::bf16, Element::bf16, Element::f32},
    {16, 8, 4, Element::tf32, Element::tf32, Element::f32},
    {16, 8, 8, Element::tf32, Element::tf32, Element::f32},
    {16, 8, 16, Element::s8, Element::s8, Element::s32},
    {16, 8, 32, Element::s8, Element::s8, Element::s32},
    {16, 8, 16, Element::u8, Element::s8, Element::s32},
    {16, 8, 32, Element::u8, Element::s8, Element::s32},
    {16, 8, 16, Element::s8, Element::u8, Element::s32},
    {16, 8, 32, Element::s8, Element::u8, Element::s32},
    {16, 8, 16, Element::u8, Element::u8, Element::s32},
    {16, 8, 32, Element::u8, Element::u8, Element::s32},
    {16, 8, 16, Element::s8, Element::s8, Element::s32, true},
    {16, 8, 32, Element::s8, Element::s8, Element::s32, true},
    {8, 8, 4, Element::f64, Element::f64, Element::f64},
};

uint32_t isthmus::simgpu::ptx::bitsOf(Element e) {
  switch (e) {
  case Element::s8:
  case Element::u8:
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

Place isthmus::simgpu::ptx::placeOfA(const Mma &mma, uint32_t lane,
                                     uint32_t i) {
  uint32_t g = lane / 4, t = lane % 4;
  // A register holds `per` neighbours of one row; registers alternate between
  // the rows g and g + 8, then go on 4 * per columns further right.
  uint32_t per = 32 / bitsOf(mma.a);
  if (mma.a == Element::f64)
    return {g, t};
  uint32_t r = i / per;
  return {g + (r % 2 ? 8 : 0), t * per + i % per + r / 2 * 4 * per};
}

Place isthmus::simgpu::ptx::placeOfB(const Mma &mma, uint32_t lane,
                                     uint32_t i) {
  uint32_t g = lane / 4, t = lane % 4;
  if (mma.b == Element::f64)
    return {t, g};
  uint32_t per = 32 / bitsOf(mma.b), r = i / per;
  return {t * per + i % per + r * 4 * per, g};
}

Place isthmus::simgpu::ptx::placeOfC(const Mma &, uint32_t lane, uint32_t i) {
  return {lane / 4 + (i / 2 ? 8 : 0), lane % 4 * 2 + i % 2};
}

namespace {

/// Element `e` of a lane's fragment that begins at source `first`.
double readElement(const Warp &w, const Inst &i, unsigned first, Element type,
                   uint32_t lane, uint32_t e) {
  if (type == Element::f64)
    return w.source<double>(i, first + e)[lane];
  uint32_t per = 32 / bitsOf(type);
  uint32_t word = w.source<uint32_t>(i, first + e / per)[lane];
  uint32_t v = word >> (e % per * bitsOf(type));
  switch (type) {
  case Element::f16:
    return Half{uint16_t(v)}.value();
  case Element::bf16:
    return Bfloat{uint16_t(v)}.value();
  case Element::tf32: // the hardware does not look at the lowest 13 bits
    return bitsAs<float>(v & ~0x1fffu);
  case Element::f32:
    return bitsAs<float>(v);
  case Element::s8:
    return int8_t(v);
  case Element::u8:
    return uint8_t(v);
  default:
    return int32_t(v);
  }
}

void writeElement(Warp &w, const Inst &i, Element type, uint32_t lane,
                  uint32_t e, double v, bool saturate) {
  switch (type) {
  case Element::f64:
    w.result<double>(i, e)[lane] = v;
    break;
  case Element::f32: {
    auto f = static_cast<float>(v);
    w.result<uint32_t>(i, e)[lane] = f == f ? bitsAs<uint32_t>(f) : 0x7fffffffu;
    break;
  }
  case Element::f16:
    w.result<uint16_t>(i, e / 2)[lane * 2 + e % 2] = Half::of(v).bits;
    break;
  default: {
    auto n = static_cast<int64_t>(v); // exact: far below 2^53
    if (saturate)
      n = n > INT32_MAX ? INT32_MAX : n < INT32_MIN ? INT32_MIN : n;
    w.result<uint32_t>(i, e)[lane] = static_cast<uint32_t>(n);
  }
  }
}

uint32_t registersOf(uint32_t held, Element type) {
  return type == Element::f64 ? held : held * bitsOf(type) / 32;
}

void mma(Warp &w, const Inst &i, uint32_t) {
  const Mma &s = mmas[i.target];
  double a[16][32], b[8][32], c[16][8]; // b by column
  unsigned firstB = registersOf(heldOfA(s), s.a),
           firstC = firstB + registersOf(heldOfB(s), s.b);
  for (uint32_t l = 0; l < kLanes; ++l) {
    for (uint32_t e = 0; e < heldOfA(s); ++e) {
      Place p = placeOfA(s, l, e);
      a[p.row][p.column] = readElement(w, i, 0, s.a, l, e);
    }
    for (uint32_t e = 0; e < heldOfB(s); ++e) {
      Place p = placeOfB(s, l, e);
      b[p.column][p.row] = readElement(w, i, firstB, s.b, l, e);
    }
    for (uint32_t e = 0; e < heldOfC(s); ++e) {
      Place p = placeOfC(s, l, e);
      c[p.row][p.column] = readElement(w, i, firstC, s.c, l, e);
    }
  }
  for (uint32_t m = 0; m < s.m; ++m)
    for (uint32_t n = 0; n < s.n; ++n)
      for (uint32_t k = 0; k < s.k; ++k)
        c[m][n] += a[m][k] * b[n][k];
  for (uint32_t l = 0; l < kLanes; ++l)
    for (uint32_t e = 0; e < heldOfC(s); ++e) {
      Place p = placeOfC(s, l, e);
      writeElement(w, i, s.c, l, e, c[p.row][p.column], s.saturate);
    }
}

#define MMA(name, shape, n)                                                    \
  {"mma.sync.aligned." name, shape, mma, Kind::matrix, n}
const Row rows[] = {
    MMA("m16n8k8.row.col.f32.f16.f16.f32", "4444=4444444", 0),
    MMA("m16n8k8.row.col.f16.f16.f16.f16", "44=44444", 1),
    MMA("m16n8k16.row.col.f32.f16.f16.f32", "4444=4444444444", 2),
    MMA("m16n8k16.row.col.f16.f16.f16.f16", "44=44444444", 3),
    MMA("m16n8k8.row.col.f32.bf16.bf16.f32", "4444=4444444", 4),
    MMA("m16n8k16.row.col.f32.bf16.bf16.f32", "4444=4444444444", 5),
    MMA("m16n8k4.row.col.f32.tf32.tf32.f32", "4444=4444444", 6),
    MMA("m16n8k8.row.col.f32.tf32.tf32.f32", "4444=4444444444", 7),
    MMA("m16n8k16.row.col.s32.s8.s8.s32", "4444=4444444", 8),
    MMA("m16n8k32.row.col.s32.s8.s8.s32", "4444=4444444444", 9),
    MMA("m16n8k16.row.col.s32.u8.s8.s32", "4444=4444444", 10),
    MMA("m16n8k32.row.col.s32.u8.s8.s32", "4444=4444444444", 11),
    MMA("m16n8k16.row.col.s32.s8.u8.s32", "4444=4444444", 12),
    MMA("m16n8k32.row.col.s32.s8.u8.s32", "4444=4444444444", 13),
    MMA("m16n8k16.row.col.s32.u8.u8.s32", "4444=4444444", 14),
    MMA("m16n8k32.row.col.s32.u8.u8.s32", "4444=4444444444", 15),
    MMA("m16n8k16.row.col.satfinite.s32.s8.s8.s32", "4444=4444444", 16),
    MMA("m16n8k32.row.col.satfinite.s32.s8.s8.s32", "4444=4444444444", 17),
    MMA("m8n8k4.row.col.f64.f64.f64.f64", "88=8888", 18),
};

} // namespace

Table isthmus::simgpu::ptx::matrixRows() {
  return {rows, sizeof rows / sizeof *rows};
}

/// PTX ISA 9.7.14.5.15: lanes 8 m to 8 m + 7 give the addresses of the rows of
/// matrix m; a lane gets elements 2 t and 2 t + 1 of row g, or (.trans) of
/// column g.
void isthmus::simgpu::ptx::loadMatrix(Warp &w, const Inst &i, uint32_t) {
  uint64_t address[kLanes];
  uint8_t *host[kLanes];
  uint32_t rowLanes = i.results == 4 ? ~0u : (1u << (8 * i.results)) - 1;
  if (!addressesOf(w, i, rowLanes, 0, 16, false, address, host))
    return;
  countShared(w, rowLanes, address, 16, false);
  Sanitizer *s = w.group->sanitizer;
  for (uint32_t m = 0; m < i.results; ++m) {
    uint16_t v[8][8];
    bool poisoned[8][8] = {};
    for (uint32_t r = 0; r < 8; ++r) {
      std::memcpy(v[r], host[m * 8 + r], 16);
      for (uint32_t c = 0; s && c < 8; ++c)
        poisoned[r][c] = s->read(w, i, m * 8 + r, host[m * 8 + r] + 2 * c, 2);
    }
    auto *d = w.result<uint32_t>(i, m);
    uint32_t poison = 0;
    for (uint32_t l = 0; l < kLanes; ++l) {
      uint32_t g = l / 4, t = l % 4 * 2;
      if (i.target) {
        d[l] = v[t][g] | uint32_t(v[t + 1][g]) << 16;
        poison |= uint32_t(poisoned[t][g] || poisoned[t + 1][g]) << l;
      } else {
        d[l] = v[g][t] | uint32_t(v[g][t + 1]) << 16;
        poison |= uint32_t(poisoned[g][t] || poisoned[g][t + 1]) << l;
      }
    }
    if (s)
      s->setPoison(w, i.d[m], ~0u, poison);
  }
}
