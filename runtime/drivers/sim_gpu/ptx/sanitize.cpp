//===- sanitize.cpp - poison and races ------------------------------------===//
#include "sanitize.h"
#include "matrix.h"
#include "memory.h"

#include <cstring>

using namespace isthmus::simgpu::ptx;

Sanitizer::Sanitizer(Group &g) : group(g) {
  const Program &p = *g.program;
  rows.assign(g.warps.size(), std::vector<uint32_t>(p.rows, ~0u));
  predicates.assign(g.warps.size(), std::vector<uint32_t>(p.predicates, ~0u));
  cells.resize(g.shared.size());
  localPoison.assign(g.local.size(), true);
  warpEpochs.assign(g.warps.size(), 1);
}

bool Sanitizer::clean(Warp &w, const Inst &i, uint32_t mask, int32_t row,
                      const char *what) {
  uint32_t bad = poison(w, row) & mask;
  if (!bad)
    return true;
  w.fault(i, static_cast<uint32_t>(__builtin_ctz(bad)),
          std::string("uses an uninitialised value as ") + what);
  return false;
}

bool Sanitizer::before(Warp &w, const Inst &i, uint32_t mask) {
  if (i.guard != kNone)
    if (uint32_t bad = predicatePoison(w, i.guard) & w.now.mask) {
      w.fault(i, static_cast<uint32_t>(__builtin_ctz(bad)),
              "uses an uninitialised value as a condition");
      return false;
    }
  if (i.kind == Kind::branchTable)
    return clean(w, i, mask, i.s[0], "the number of a branch");
  if (i.kind != Kind::plain && i.kind != Kind::select)
    return true;
  uint32_t p = 0, each[3] = {};
  for (unsigned n = 0; n < i.sources; ++n) {
    uint32_t one = i.predicateSources >> n & 1 ? predicatePoison(w, i.s[n])
                                               : poison(w, i.s[n]);
    if (n < 3)
      each[n] = one;
    p |= one;
  }
  if (i.kind == Kind::select) {
    uint32_t first = w.predicateSource(i, 2);
    p = each[2] | (first & each[0]) | (~first & each[1]);
  } else if (i.predicateSources == 3 && i.predicateResult && i.sources == 2 &&
             std::strncmp(i.name, "xor", 3) != 0) {
    // One that decides alone hides the other.
    uint32_t a = w.predicateSource(i, 0), b = w.predicateSource(i, 1);
    bool isAnd = i.name[0] == 'a';
    uint32_t keepsA = isAnd ? a : ~a, keepsB = isAnd ? b : ~b;
    p = (each[0] & each[1]) | (each[0] & keepsB) | (each[1] & keepsA);
  }
  for (unsigned n = 0; n < i.results; ++n) {
    if (!i.predicateResult)
      setPoison(w, i.d[n], mask, p);
    else if (i.d[n] >= 0) {
      uint32_t &r = predicates[w.number][static_cast<uint32_t>(i.d[n])];
      r = (r & ~mask) | (p & mask);
    }
  }
  return true;
}

bool Sanitizer::shuffle(Warp &w, const Inst &i, uint32_t mask) {
  uint32_t from = poison(w, i.s[0]), p = 0;
  auto *b = w.source<uint32_t>(i, 1), *c = w.source<uint32_t>(i, 2);
  for (uint32_t m = mask; m; m &= m - 1) {
    auto l = static_cast<uint32_t>(__builtin_ctz(m));
    uint32_t j;
    shuffleSource(i.target, l, b[l], c[l], j);
    // A lane that does not take part gives nothing that one could use.
    p |= uint32_t(from >> (j & 31) & 1 || !(mask >> (j & 31) & 1)) << l;
  }
  setPoison(w, i.d[0], mask, p);
  if (i.results > 1 && i.d[1] >= 0)
    predicates[w.number][static_cast<uint32_t>(i.d[1])] &= ~mask;
  return true;
}

bool Sanitizer::together(Warp &w, const Inst &i, uint32_t mask) {
  if (i.kind == Kind::matrix) {
    if (i.run != loadMatrix)
      matrix(w, i);
    return true;
  }
  if (!clean(w, i, mask, i.s[i.sources - 1], "the lanes that take part"))
    return false;
  if (std::strncmp(i.name, "shfl", 4) == 0)
    return shuffle(w, i, mask);
  if (!i.results) { // bar.warp.sync
    ++warpEpochs[w.number];
    return true;
  }
  uint32_t p =
      i.predicateSources & 1 ? predicatePoison(w, i.s[0]) : poison(w, i.s[0]);
  p = p & mask ? ~0u : 0;
  if (!i.predicateResult)
    setPoison(w, i.d[0], mask, p);
  else if (i.d[0] >= 0) {
    uint32_t &r = predicates[w.number][static_cast<uint32_t>(i.d[0])];
    r = (r & ~mask) | (p & mask);
  }
  return true;
}

/// An element of D is poison when one of its row of A, its column of B or its
/// own of C is.
void Sanitizer::matrix(Warp &w, const Inst &i) {
  const Mma &s = mmas[i.target];
  bool a[16] = {}, b[8] = {}, c[16][8] = {};
  auto registersOf = [](uint32_t held, Element type) {
    return type == Element::f64 ? held : held * bitsOf(type) / 32;
  };
  auto isPoison = [&](unsigned first, Element type, uint32_t l, uint32_t e) {
    uint32_t per = type == Element::f64 ? 1 : 32 / bitsOf(type);
    return (poison(w, i.s[first + e / per]) >> l & 1) != 0;
  };
  unsigned firstB = registersOf(heldOfA(s), s.a),
           firstC = firstB + registersOf(heldOfB(s), s.b);
  for (uint32_t l = 0; l < kLanes; ++l) {
    for (uint32_t e = 0; e < heldOfA(s); ++e)
      a[placeOfA(s, l, e).row] |= isPoison(0, s.a, l, e);
    for (uint32_t e = 0; e < heldOfB(s); ++e)
      b[placeOfB(s, l, e).column] |= isPoison(firstB, s.b, l, e);
    for (uint32_t e = 0; e < heldOfC(s); ++e) {
      Place p = placeOfC(s, l, e);
      c[p.row][p.column] |= isPoison(firstC, s.c, l, e);
    }
  }
  uint32_t per = s.c == Element::f16 ? 2 : 1;
  for (uint32_t r = 0; r < i.results; ++r) {
    uint32_t p = 0;
    for (uint32_t l = 0; l < kLanes; ++l)
      for (uint32_t e = r * per; e < (r + 1) * per; ++e) {
        Place at = placeOfC(s, l, e);
        p |= uint32_t(a[at.row] || b[at.column] || c[at.row][at.column]) << l;
      }
    setPoison(w, i.d[r], ~0u, p);
  }
}

// --- memory ---

bool Sanitizer::sharedOffset(const uint8_t *host, uint64_t &offset) const {
  offset = static_cast<uint64_t>(host - group.shared.data());
  return host >= group.shared.data() && offset < group.shared.size();
}

/// Whether what `thread` did is before what a lane does now.
bool Sanitizer::ordered(const Warp &w, uint32_t lane, uint32_t thread,
                        uint32_t at, uint32_t warpAt) const {
  return at != epoch || thread == w.number * kLanes + lane ||
         (thread / kLanes == w.number && warpAt != warpEpochs[w.number]);
}

bool Sanitizer::race(Warp &w, const Inst &i, uint32_t lane, uint64_t offset,
                     const char *first, uint32_t other, const char *second) {
  w.fault(i, lane,
          std::string(second) + " shared memory + " + std::to_string(offset) +
              ", which thread " + std::to_string(other) + " " + first +
              " with no barrier between: a race");
  return false;
}

bool Sanitizer::read(Warp &w, const Inst &i, uint32_t lane, const uint8_t *host,
                     uint32_t bytes, bool atomic) {
  uint64_t offset;
  bool bad = false;
  const Edge &edge = w.edges[lane];
  if (host >= edge.bytes && host < edge.bytes + sizeof edge.bytes)
    return host >=
           edge.bytes + edge.valid; // bytes of a word are not told apart
  if (!sharedOffset(host, offset)) {
    auto local = static_cast<uint64_t>(host - group.local.data());
    if (host >= group.local.data() && local < group.local.size())
      for (uint32_t n = 0; n < bytes; ++n)
        bad |= localPoison[local + n];
    return bad;
  }
  uint32_t thread = w.number * kLanes + lane;
  for (uint64_t n = offset; n < offset + bytes; ++n) {
    Cell &c = cells[n];
    bad |= c.poison;
    if (c.underWay) {
      w.fault(i, lane,
              "reads shared memory + " + std::to_string(n) +
                  ", to which a cp.async of thread " +
                  std::to_string(c.writer) + " is under way");
      return true;
    }
    if (atomic)
      continue;
    if (c.written && !ordered(w, lane, c.writer, c.written, c.writtenWarp)) {
      race(w, i, lane, n, "wrote", c.writer, "reads");
      return true;
    }
    if (c.read == epoch && c.reader != thread)
      c.manyReaders = true;
    else
      c.manyReaders = c.manyReaders && c.read == epoch;
    c.read = epoch;
    c.readWarp = warpEpochs[w.number];
    c.reader = static_cast<uint16_t>(thread);
  }
  return bad;
}

bool Sanitizer::write(Warp &w, const Inst &i, uint32_t lane,
                      const uint8_t *host, const uint8_t *value, uint32_t bytes,
                      bool poisoned, bool atomic) {
  uint64_t offset;
  if (!sharedOffset(host, offset)) {
    auto local = static_cast<uint64_t>(host - group.local.data());
    if (host >= group.local.data() && local < group.local.size()) {
      for (uint32_t n = 0; n < bytes; ++n)
        localPoison[local + n] = poisoned;
      return true;
    }
    if (poisoned)
      w.fault(i, lane, "writes an uninitialised value");
    return !poisoned;
  }
  uint32_t thread = w.number * kLanes + lane;
  for (uint64_t n = offset; n < offset + bytes; ++n) {
    Cell &c = cells[n];
    bool own = c.underWay && c.writer == thread &&
               std::strncmp(i.name, "cp.async", 8) == 0;
    if (c.underWay && !own) {
      w.fault(i, lane,
              "writes shared memory + " + std::to_string(n) +
                  ", to which a cp.async of thread " +
                  std::to_string(c.writer) + " is under way");
      return false;
    }
    // The same value from two threads is the same whoever comes first.
    bool same = value && group.shared[n] == value[n - offset] && !c.poison;
    if (!atomic && !own && c.written && !same &&
        !ordered(w, lane, c.writer, c.written, c.writtenWarp))
      return race(w, i, lane, n, "wrote", c.writer, "writes");
    if (!atomic && c.read == epoch && !same &&
        (c.manyReaders || !ordered(w, lane, c.reader, c.read, c.readWarp)))
      return race(w, i, lane, n, "read", c.reader, "writes");
    c.underWay = false;
    c.poison = poisoned;
    if (atomic)
      continue;
    c.written = epoch;
    c.writtenWarp = warpEpochs[w.number];
    c.writer = static_cast<uint16_t>(thread);
  }
  return true;
}

void Sanitizer::begin(Warp &w, const Inst &i, uint32_t lane, uint32_t to,
                      uint32_t bytes) {
  uint32_t thread = w.number * kLanes + lane;
  for (uint64_t n = to; n < uint64_t(to) + bytes; ++n) {
    Cell &c = cells[n];
    if (c.underWay && c.writer != thread) {
      w.fault(i, lane,
              "copies to shared memory + " + std::to_string(n) +
                  ", to which a cp.async of thread " +
                  std::to_string(c.writer) + " is under way");
      return;
    }
    if (c.written && !ordered(w, lane, c.writer, c.written, c.writtenWarp)) {
      race(w, i, lane, n, "wrote", c.writer, "copies to");
      return;
    }
    if (c.read == epoch &&
        (c.manyReaders || !ordered(w, lane, c.reader, c.read, c.readWarp))) {
      race(w, i, lane, n, "read", c.reader, "copies to");
      return;
    }
    c.underWay = true;
    c.poison = false;
    c.writer = static_cast<uint16_t>(thread);
  }
}
