//===- memory.cpp - addresses, loads and stores ---------------------------===//
#include "memory.h"

#include "../banks.h"
#include "sanitize.h"

#include <algorithm>

using namespace isthmus::simgpu;
using namespace isthmus::simgpu::ptx;

namespace {

/// Calls f(lane) for the lanes of a mask.
template <typename F> void lanes(uint32_t mask, F f) {
  for (; mask; mask &= mask - 1)
    f(static_cast<uint32_t>(__builtin_ctz(mask)));
}

bool fits(uint64_t at, uint64_t bytes, uint64_t size) {
  return at <= size && bytes <= size - at;
}

std::string decimal(uint64_t n) { return std::to_string(n); }

std::string bytesAt(bool write, uint64_t bytes, const std::string &where) {
  return std::string(write ? "writes " : "reads ") + decimal(bytes) +
         " bytes at " + where;
}

bool sharedAddress(Warp &w, const Inst &i, uint32_t lane, uint64_t offset,
                   uint32_t bytes, bool write, uint8_t **host) {
  std::vector<uint8_t> &shared = w.group->shared;
  if (!fits(offset, bytes, shared.size())) {
    w.fault(i, lane,
            bytesAt(write, bytes, "shared memory + " + decimal(offset)) +
                ", of which there are " + decimal(shared.size()));
    return false;
  }
  *host = shared.data() + offset;
  return true;
}

bool paramAddress(Warp &w, const Inst &i, uint32_t lane, uint64_t offset,
                  uint32_t bytes, bool write, uint8_t **host) {
  if (!fits(offset, bytes, w.group->program->paramBytes)) {
    w.fault(i, lane,
            bytesAt(write, bytes, "the parameters + " + decimal(offset)) +
                ", of which there are " +
                decimal(w.group->program->paramBytes));
    return false;
  }
  // Only ever read.
  *host = const_cast<uint8_t *>(w.group->launch->args) + offset;
  return true;
}

bool localAddress(Warp &w, const Inst &i, uint32_t lane, uint64_t offset,
                  uint32_t bytes, bool write, uint8_t **host) {
  if (!fits(offset, bytes, w.group->program->localBytes)) {
    w.fault(i, lane,
            bytesAt(write, bytes, "local memory + " + decimal(offset)) +
                ", of which there are " +
                decimal(w.group->program->localBytes));
    return false;
  }
  *host = w.group->localOf(w, lane) + offset;
  return true;
}

/// What lies in a buffer is read, the rest is garbage.
bool edgeOf(Warp &w, uint32_t lane, uint64_t address, uint32_t bytes,
            uint8_t **host) {
  const Range *r = w.group->find(address, 1, false);
  if (!r || bytes > sizeof w.edges[0].bytes)
    return false;
  Edge &e = w.edges[lane];
  e.valid = static_cast<uint32_t>(r->address + r->bytes - address);
  std::memset(e.bytes, 0xcb, sizeof e.bytes);
  std::memcpy(e.bytes, reinterpret_cast<const void *>(address), e.valid);
  *host = e.bytes;
  return true;
}

bool globalAddress(Warp &w, const Inst &i, uint32_t lane, uint64_t address,
                   uint32_t bytes, bool write, uint8_t **host) {
  if (!w.group->find(address, bytes, write)) {
    if (!write && edgeOf(w, lane, address, bytes, host))
      return true;
    w.fault(i, lane, w.group->describe(address, bytes, write));
    return false;
  }
  *host = reinterpret_cast<uint8_t *>(address);
  return true;
}

bool genericAddress(Warp &w, const Inst &i, uint32_t lane, uint64_t address,
                    uint32_t bytes, bool write, uint8_t **host) {
  uint64_t window = address >> 56 << 56;
  if (window == kSharedWindow)
    return sharedAddress(w, i, lane, address - window, bytes, write, host);
  if (window == kLocalWindow)
    return localAddress(w, i, lane, address - window, bytes, write, host);
  return globalAddress(w, i, lane, address, bytes, write, host);
}

void count(Warp &w, Space space, uint32_t mask, const uint64_t *address,
           uint32_t bytes, bool write) {
  uint64_t all = uint64_t(__builtin_popcount(mask)) * bytes;
  Counters &c = *w.group->counters;
  if (space == Space::shared)
    countShared(w, mask, address, bytes, write);
  else if (space != Space::local && space != Space::param)
    (write ? c.globalWritten : c.globalRead) += all;
}

} // namespace

const Range *Group::find(uint64_t address, uint64_t bytes, bool write) {
  auto has = [&](const Range &r) {
    return address >= r.address && fits(address - r.address, bytes, r.bytes) &&
           (r.write || !write);
  };
  if (lastRange && has(*lastRange))
    return lastRange;
  for (size_t n = 0; n < launch->rangeCount; ++n)
    if (has(launch->ranges[n]))
      return lastRange = &launch->ranges[n];
  for (const Range &r : staticRanges)
    if (has(r))
      return &r;
  return nullptr;
}

std::string Group::describe(uint64_t address, uint64_t bytes,
                            bool write) const {
  // The buffer that it lies in, or the nearest one.
  const Range *best = nullptr;
  uint64_t distance = 1 << 20;
  for (size_t n = 0; n < launch->rangeCount; ++n) {
    const Range &r = launch->ranges[n];
    uint64_t d = address < r.address ? r.address - address
                 : address < r.address + r.bytes
                     ? 0
                     : address - r.address - r.bytes + 1;
    if (d < distance) {
      distance = d;
      best = &r;
    }
  }
  if (!best)
    return bytesAt(write, bytes, "address " + decimal(address)) +
           ", which is in no buffer of the launch";
  std::string buffer =
      "buffer " + decimal(static_cast<uint64_t>(best - launch->ranges));
  bool before = address < best->address;
  std::string where =
      buffer + (before ? " - " : " + ") +
      decimal(before ? best->address - address : address - best->address);
  if (!before && fits(address - best->address, bytes, best->bytes))
    return bytesAt(write, bytes, where) + ", which is only read";
  return bytesAt(write, bytes, where) + ", which has " + decimal(best->bytes) +
         " bytes";
}

/// Every lane's address; those of other lanes than the mask's are one of its.
static void computeAddresses(const Warp &w, const Inst &i, uint32_t mask,
                             unsigned source, uint64_t *address) {
  auto offset = static_cast<uint64_t>(i.offset);
  if (i.sourceBytes == 8) {
    auto *a = w.source<uint64_t>(i, source);
    for (uint32_t l = 0; l < kLanes; ++l)
      address[l] = a[l] + offset;
  } else {
    auto *a = w.source<uint32_t>(i, source);
    for (uint32_t l = 0; l < kLanes; ++l)
      address[l] = static_cast<uint32_t>(a[l] + offset);
  }
  if (mask != ~0u) {
    uint64_t one = address[__builtin_ctz(mask)];
    for (uint32_t l = 0; l < kLanes; ++l)
      address[l] = mask >> l & 1 ? address[l] : one;
  }
}

bool ptx::addressesOf(Warp &w, const Inst &i, uint32_t mask, unsigned source,
                      uint32_t bytes, bool write, uint64_t *address,
                      uint8_t **host) {
  Group &g = *w.group;
  if (g.sanitizer && !g.sanitizer->clean(w, i, mask, i.s[source], "an address"))
    return false;
  computeAddresses(w, i, mask, source, address);
  uint64_t low = address[0], high = low, bits = 0;
  for (uint32_t l = 0; l < kLanes; ++l) {
    low = address[l] < low ? address[l] : low;
    high = address[l] > high ? address[l] : high;
    bits |= address[l];
  }
  if (bits & (bytes - 1)) {
    auto lane = static_cast<uint32_t>(__builtin_ctz(mask));
    while (!(address[lane] & (bytes - 1)))
      ++lane; // one of the mask's, as the others' are copies
    w.fault(i, lane,
            std::string(write ? "writes " : "reads ") + decimal(bytes) +
                " bytes at address " + decimal(address[lane]) +
                ", which is not a multiple of them");
    return false;
  }
  // All lanes in one buffer, most of the time.
  uint64_t spread = high - low, base = 0;
  bool all = spread < UINT32_MAX;
  if (i.space == Space::global)
    all = all && g.find(low, spread + bytes, write);
  else if (i.space == Space::shared) {
    all = all && fits(low, spread + bytes, g.shared.size());
    base = reinterpret_cast<uint64_t>(g.shared.data());
  } else {
    all = false;
  }
  if (all) {
    for (uint32_t l = 0; l < kLanes; ++l)
      host[l] = reinterpret_cast<uint8_t *>(base + address[l]);
    return true;
  }
  auto resolve = i.space == Space::global   ? globalAddress
                 : i.space == Space::shared ? sharedAddress
                 : i.space == Space::local  ? localAddress
                 : i.space == Space::param  ? paramAddress
                                            : genericAddress;
  for (uint32_t m = mask; m; m &= m - 1) {
    auto l = static_cast<uint32_t>(__builtin_ctz(m));
    if (!resolve(w, i, l, address[l], bytes, write, &host[l]))
      return false;
  }
  return true;
}

void ptx::countShared(Warp &w, uint32_t mask, const uint64_t *offset,
                      uint32_t bytes, bool write) {
  Counters &c = *w.group->counters;
  (write ? c.sharedWritten : c.sharedRead) +=
      uint64_t(__builtin_popcount(mask)) * bytes;
  c.bankConflicts += bankConflicts(offset, mask, bytes);
}

// --- loads and stores ---

template <typename T> static T bitsAt(const uint8_t *p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <typename M, typename D>
static void gather(D *d, uint8_t *const *host, uint32_t mask, uint32_t at) {
  auto one = [=](uint32_t l) {
    M v;
    std::memcpy(&v, host[l] + at, sizeof v);
    d[l] = static_cast<D>(v);
  };
  if (mask == ~0u)
    for (uint32_t l = 0; l < kLanes; ++l)
      one(l);
  else
    lanes(mask, one);
}
template <typename M>
static void gatherTo(Warp &w, const Inst &i, unsigned n, uint8_t *const *host,
                     uint32_t mask) {
  uint32_t at = n * i.bytes;
  if (i.resultBytes == 2)
    gather<M>(w.result<uint16_t>(i, n), host, mask, at);
  else if (i.resultBytes == 4)
    gather<M>(w.result<uint32_t>(i, n), host, mask, at);
  else
    gather<M>(w.result<uint64_t>(i, n), host, mask, at);
}

void ptx::load(Warp &w, const Inst &i, uint32_t mask) {
  uint64_t address[kLanes];
  uint8_t *host[kLanes];
  uint32_t bytes = uint32_t(i.bytes) * i.results;
  if (!addressesOf(w, i, mask, 0, bytes, false, address, host))
    return;
  count(w, i.space, mask, address, bytes, false);
  if (Sanitizer *s = w.group->sanitizer)
    for (unsigned n = 0; n < i.results; ++n) {
      uint32_t poison = 0;
      lanes(mask, [&](uint32_t l) {
        poison |= uint32_t(s->read(w, i, l, host[l] + n * i.bytes, i.bytes))
                  << l;
      });
      s->setPoison(w, i.d[n], mask, poison);
    }
  for (unsigned n = 0; n < i.results; ++n) {
    bool sign = i.target;
    if (i.bytes == 1)
      (sign ? gatherTo<int8_t> : gatherTo<uint8_t>)(w, i, n, host, mask);
    else if (i.bytes == 2)
      (sign ? gatherTo<int16_t> : gatherTo<uint16_t>)(w, i, n, host, mask);
    else if (i.bytes == 4)
      (sign ? gatherTo<int32_t> : gatherTo<uint32_t>)(w, i, n, host, mask);
    else
      gatherTo<uint64_t>(w, i, n, host, mask);
  }
}

void ptx::store(Warp &w, const Inst &i, uint32_t mask) {
  uint64_t address[kLanes];
  uint8_t *host[kLanes];
  uint32_t count_ = i.sources - 1u, bytes = i.bytes * count_;
  if (!addressesOf(w, i, mask, 0, bytes, true, address, host))
    return;
  count(w, i.space, mask, address, bytes, true);
  for (unsigned n = 0; n < count_; ++n) {
    auto *data = w.source<uint8_t>(i, n + 1);
    lanes(mask, [&](uint32_t l) {
      const uint8_t *from = data + l * i.resultBytes;
      uint8_t *to = host[l] + n * i.bytes;
      if (Sanitizer *s = w.group->sanitizer) {
        bool poison = s->poison(w, i.s[n + 1]) >> l & 1;
        if (w.group->failed || !s->write(w, i, l, to, from, i.bytes, poison))
          return;
      }
      // As one access, so that other workgroups see no half of it.
      if (i.bytes == 4)
        __atomic_store_n(reinterpret_cast<uint32_t *>(to),
                         bitsAt<uint32_t>(from), __ATOMIC_RELAXED);
      else
        std::memcpy(to, from, i.bytes);
    });
  }
}

/// The same for all lanes.
void ptx::loadParam(Warp &w, const Inst &i, uint32_t mask) {
  const uint8_t *from = w.group->launch->args + i.offset;
  for (unsigned n = 0; n < i.results; ++n, from += i.bytes) {
    uint64_t v = 0;
    std::memcpy(&v, from, i.bytes);
    if (i.target && i.bytes < 8 && v >> (8 * i.bytes - 1))
      v |= ~uint64_t(0) << (8 * i.bytes);
    uint8_t *d = w.result<uint8_t>(i, n);
    lanes(mask, [&](uint32_t l) {
      std::memcpy(d + l * i.resultBytes, &v, i.resultBytes);
    });
  }
}

// --- cp.async ---

void ptx::copyToShared(Warp &w, const Inst &i, uint32_t mask) {
  Inst to = i, from = i;
  to.space = Space::shared;
  from.offset = static_cast<int32_t>(i.target);
  from.sourceBytes = 8;
  uint64_t toAddress[kLanes], fromAddress[kLanes];
  uint8_t *host[kLanes];
  if (!addressesOf(w, to, mask, 0, i.bytes, true, toAddress, host))
    return;
  const uint32_t *read = i.sources > 2 ? w.source<uint32_t>(i, 2) : nullptr;
  uint32_t reading = 0;
  lanes(mask, [&](uint32_t l) { reading |= uint32_t(!read || read[l]) << l; });
  if (reading &&
      !addressesOf(w, from, reading, 1, i.bytes, false, fromAddress, host))
    return;
  w.group->counters->globalRead +=
      uint64_t(__builtin_popcount(reading)) * i.bytes;
  countShared(w, mask, toAddress, i.bytes, true);
  lanes(mask, [&](uint32_t l) {
    auto n = read ? std::min<uint32_t>(read[l], i.bytes) : i.bytes;
    w.copies.push_back(
        {static_cast<uint32_t>(toAddress[l]), n ? fromAddress[l] : 0, i.bytes,
         static_cast<uint8_t>(n), static_cast<uint8_t>(l), w.copyGroups[l]});
    if (Sanitizer *s = w.group->sanitizer)
      s->begin(w, i, l, static_cast<uint32_t>(toAddress[l]), i.bytes);
  });
}

void ptx::commitCopies(Warp &w, const Inst &, uint32_t mask) {
  lanes(mask, [&](uint32_t l) { ++w.copyGroups[l]; });
}

void ptx::waitCopies(Warp &w, const Inst &i, uint32_t mask) {
  lanes(mask, [&](uint32_t l) {
    // wait_all: those that were not committed, too.
    auto n = static_cast<int64_t>(w.copyGroups[l]);
    land(w, i, l,
         i.offset < 0   ? UINT32_MAX
         : n > i.offset ? static_cast<uint32_t>(n - i.offset)
                        : 0);
  });
}

void ptx::land(Warp &w, const Inst &i, uint32_t lane, uint32_t before) {
  auto last =
      std::remove_if(w.copies.begin(), w.copies.end(), [&](const AsyncCopy &c) {
        if (c.lane != lane || c.group >= before)
          return false;
        uint8_t bytes[16] = {};
        std::memcpy(bytes, reinterpret_cast<const void *>(c.from), c.read);
        uint8_t *to = w.group->shared.data() + c.to;
        if (Sanitizer *s = w.group->sanitizer)
          s->write(w, i, lane, to, bytes, c.bytes, false);
        std::memcpy(to, bytes, c.bytes);
        return true;
      });
  w.copies.erase(last, w.copies.end());
}

void ptx::toGeneric(Warp &w, const Inst &i, uint32_t mask) {
  uint64_t window = i.space == Space::shared  ? kSharedWindow
                    : i.space == Space::local ? kLocalWindow
                                              : 0;
  auto *d = w.result<uint64_t>(i);
  auto *a = w.source<uint64_t>(i, 0);
  lanes(mask, [&](uint32_t l) { d[l] = a[l] + window; });
}
void ptx::fromGeneric(Warp &w, const Inst &i, uint32_t mask) {
  uint64_t window = i.space == Space::shared  ? kSharedWindow
                    : i.space == Space::local ? kLocalWindow
                                              : 0;
  auto *d = w.result<uint64_t>(i);
  auto *a = w.source<uint64_t>(i, 0);
  lanes(mask, [&](uint32_t l) { d[l] = a[l] - window; });
}
