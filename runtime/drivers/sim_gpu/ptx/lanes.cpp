//===- lanes.cpp - between lanes, and moves -------------------------------===//
//
// PTX ISA 9.7.9.6 (shfl.sync), 9.7.13.10 (vote.sync), 9.7.13.12 (activemask),
// 9.7.13.13 (redux.sync), 10 (special registers).
//
//===----------------------------------------------------------------------===//
#include "memory.h"
#include "warp.h"

using namespace isthmus::simgpu::ptx;

namespace {

template <typename F> void lanes(uint32_t mask, F f) {
  for (; mask; mask &= mask - 1)
    f(static_cast<uint32_t>(__builtin_ctz(mask)));
}

enum Shuffle : uint32_t { up, down, bfly, idx };

void shuffle(Warp &w, const Inst &i, uint32_t mask) {
  uint32_t from[kLanes];
  std::memcpy(from, w.source<uint32_t>(i, 0), sizeof from);
  auto *b = w.source<uint32_t>(i, 1), *c = w.source<uint32_t>(i, 2);
  auto *d = w.result<uint32_t>(i);
  uint32_t in = 0;
  lanes(mask, [&](uint32_t l) {
    uint32_t j;
    in |= uint32_t(shuffleSource(i.target, l, b[l], c[l], j)) << l;
    d[l] = from[j];
  });
  if (i.results > 1)
    w.setPredicate(i.d[1], mask, in);
}

enum Vote : uint32_t { all, any, uni };

void voteBallot(Warp &w, const Inst &i, uint32_t mask) {
  uint32_t p = w.predicateSource(i, 0) & mask;
  auto *d = w.result<uint32_t>(i);
  lanes(mask, [&](uint32_t l) { d[l] = p; });
}
void vote(Warp &w, const Inst &i, uint32_t mask) {
  uint32_t p = w.predicateSource(i, 0) & mask;
  bool r = i.target == all   ? p == mask
           : i.target == any ? p != 0
                             : p == 0 || p == mask;
  w.setPredicate(i.d[0], mask, r ? ~0u : 0);
}
void activeMask(Warp &w, const Inst &i, uint32_t mask) {
  auto *d = w.result<uint32_t>(i);
  lanes(mask, [&](uint32_t l) { d[l] = mask; });
}

enum Reduce : uint32_t { add, umin, umax, smin, smax, bitAnd, bitOr, bitXor };

void reduce(Warp &w, const Inst &i, uint32_t mask) {
  auto *a = w.source<uint32_t>(i, 0);
  uint32_t r = a[__builtin_ctz(mask)];
  lanes(mask & (mask - 1), [&](uint32_t l) {
    uint32_t v = a[l];
    auto sr = static_cast<int32_t>(r), sv = static_cast<int32_t>(v);
    switch (i.target) {
    case add:
      r += v;
      break;
    case umin:
      r = v < r ? v : r;
      break;
    case umax:
      r = v > r ? v : r;
      break;
    case smin:
      r = sv < sr ? v : r;
      break;
    case smax:
      r = sv > sr ? v : r;
      break;
    case bitAnd:
      r &= v;
      break;
    case bitOr:
      r |= v;
      break;
    default:
      r ^= v;
    }
  });
  auto *d = w.result<uint32_t>(i);
  lanes(mask, [&](uint32_t l) { d[l] = r; });
}

const Row rows[] = {
    {"shfl.sync.up.b32", "4=4444", shuffle, Kind::exchange, up},
    {"shfl.sync.down.b32", "4=4444", shuffle, Kind::exchange, down},
    {"shfl.sync.bfly.b32", "4=4444", shuffle, Kind::exchange, bfly},
    {"shfl.sync.idx.b32", "4=4444", shuffle, Kind::exchange, idx},
    {"vote.sync.ballot.b32", "4=p4", voteBallot, Kind::exchange},
    {"vote.sync.all.pred", "p=p4", vote, Kind::exchange, all},
    {"vote.sync.any.pred", "p=p4", vote, Kind::exchange, any},
    {"vote.sync.uni.pred", "p=p4", vote, Kind::exchange, uni},
    {"redux.sync.add.u32", "4=44", reduce, Kind::exchange, add},
    {"redux.sync.add.s32", "4=44", reduce, Kind::exchange, add},
    {"redux.sync.min.u32", "4=44", reduce, Kind::exchange, umin},
    {"redux.sync.max.u32", "4=44", reduce, Kind::exchange, umax},
    {"redux.sync.min.s32", "4=44", reduce, Kind::exchange, smin},
    {"redux.sync.max.s32", "4=44", reduce, Kind::exchange, smax},
    {"redux.sync.and.b32", "4=44", reduce, Kind::exchange, bitAnd},
    {"redux.sync.or.b32", "4=44", reduce, Kind::exchange, bitOr},
    {"redux.sync.xor.b32", "4=44", reduce, Kind::exchange, bitXor},
    {"bar.warp.sync", "=4", nothing, Kind::exchange},
    {"activemask.b32", "4=", activeMask},
};

} // namespace

Table isthmus::simgpu::ptx::otherRows() {
  return {rows, sizeof rows / sizeof *rows};
}

/// The lane that `lane` reads, as the ISA's pseudocode computes it; true when
/// it is in range.
bool isthmus::simgpu::ptx::shuffleSource(uint32_t mode, uint32_t lane,
                                         uint32_t b, uint32_t c, uint32_t &j) {
  uint32_t segment = c >> 8 & 31, bound = c & 31, value = b & 31;
  uint32_t most = (lane & segment) | (bound & ~segment), least = lane & segment;
  bool in = false;
  switch (mode) {
  case up:
    j = lane - value;
    in = static_cast<int32_t>(j) >= static_cast<int32_t>(most);
    break;
  case down:
    j = lane + value;
    in = j <= most;
    break;
  case bfly:
    j = lane ^ value;
    in = j <= most;
    break;
  default:
    j = least | (value & ~segment);
    in = j <= most;
  }
  if (!in)
    j = lane;
  return in;
}

void isthmus::simgpu::ptx::nothing(Warp &, const Inst &, uint32_t) {}

void isthmus::simgpu::ptx::readSpecial(Warp &w, const Inst &i, uint32_t mask) {
  auto *d = w.result<uint32_t>(i);
  const Launch &launch = *w.group->launch;
  auto which = static_cast<SpecialRegister>(i.target);
  lanes(mask, [&](uint32_t l) {
    switch (which) {
    case SpecialRegister::tid:
      d[l] = w.number * kLanes + l;
      break;
    case SpecialRegister::ntid:
      d[l] = launch.threads;
      break;
    case SpecialRegister::ctaid:
      d[l] = w.group->number;
      break;
    case SpecialRegister::nctaid:
      d[l] = launch.groups;
      break;
    case SpecialRegister::laneid:
      d[l] = l;
      break;
    case SpecialRegister::warpid:
      d[l] = w.number;
      break;
    case SpecialRegister::nwarpid:
      d[l] = static_cast<uint32_t>(w.group->warps.size());
      break;
    case SpecialRegister::zero:
      d[l] = 0;
      break;
    case SpecialRegister::one:
      d[l] = 1;
      break;
    case SpecialRegister::maskEq:
      d[l] = 1u << l;
      break;
    case SpecialRegister::maskLe:
      d[l] = (2u << l) - 1;
      break;
    case SpecialRegister::maskLt:
      d[l] = (1u << l) - 1;
      break;
    case SpecialRegister::maskGe:
      d[l] = ~((1u << l) - 1);
      break;
    case SpecialRegister::maskGt:
      d[l] = ~((2u << l) - 1);
      break;
    }
  });
}

/// {lo, hi} to one register; the first is the lowest.
void isthmus::simgpu::ptx::packVector(Warp &w, const Inst &i, uint32_t mask) {
  uint8_t value[kLanes][8] = {};
  for (unsigned n = 0; n < i.sources; ++n) {
    auto *a = w.source<uint8_t>(i, n);
    lanes(mask, [&](uint32_t l) {
      std::memcpy(value[l] + n * i.bytes, a + l * i.bytes, i.bytes);
    });
  }
  auto *d = w.result<uint8_t>(i);
  lanes(mask, [&](uint32_t l) {
    std::memcpy(d + l * i.resultBytes, value[l], i.resultBytes);
  });
}

void isthmus::simgpu::ptx::unpackVector(Warp &w, const Inst &i, uint32_t mask) {
  uint8_t value[kLanes][8];
  auto *a = w.source<uint8_t>(i, 0);
  lanes(mask, [&](uint32_t l) {
    std::memcpy(value[l], a + l * i.sourceBytes, i.sourceBytes);
  });
  for (unsigned n = 0; n < i.results; ++n) {
    auto *d = w.result<uint8_t>(i, n);
    uint32_t stride = i.bytes; // of a sink, too: nobody reads it
    lanes(mask, [&](uint32_t l) {
      std::memcpy(d + l * stride, value[l] + n * i.bytes, i.bytes);
    });
  }
}

void isthmus::simgpu::ptx::copy4(Warp &w, const Inst &i, uint32_t mask) {
  auto *d = w.result<uint32_t>(i);
  auto *a = w.source<uint32_t>(i, 0);
  lanes(mask, [&](uint32_t l) { d[l] = a[l]; });
}
void isthmus::simgpu::ptx::copy8(Warp &w, const Inst &i, uint32_t mask) {
  auto *d = w.result<uint64_t>(i);
  auto *a = w.source<uint64_t>(i, 0);
  lanes(mask, [&](uint32_t l) { d[l] = a[l]; });
}
