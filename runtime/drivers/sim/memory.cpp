//===- memory.cpp - the simulated device's addresses ----------------------===//
//
// Device addresses are such that the processor faults on them (bits 48 to 62
// are not a copy of bit 63 on x86-64; other systems do not map them), or the
// host's, as the backend wants it. An allocation ends where a page without
// access begins, or close before, with bytes between whose value is checked.
//
//===----------------------------------------------------------------------===//
#include "backend.h"

#include <cerrno>
#include <sys/mman.h>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::sim;

namespace {

constexpr uint64_t kGap = 65536;
constexpr uint8_t kSlack = 0xa5, kFresh = 0xcb;
/// More than this is left as the system gives it.
constexpr uint64_t kMostFilled = 16 << 20;

uint64_t pageSize() { return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)); }

/// Where in its mapping an allocation's slack ends.
uint8_t *slackEnd(const Block &b) {
  return static_cast<uint8_t *>(b.mapping) + b.mapped - pageSize();
}

} // namespace

Block *ist_driver_device::find(uint64_t address, uint64_t bytes) const {
  size_t low = 0, high = blocks.size();
  while (low < high) { // the first whose address is larger
    size_t mid = (low + high) / 2;
    if (blocks[mid]->address <= address)
      low = mid + 1;
    else
      high = mid;
  }
  if (low == 0)
    return nullptr;
  // Imports of host addresses may lie in one another, so look further.
  for (; low-- > 0;) {
    Block *b = blocks[low];
    uint64_t offset = address - b->address;
    if (offset <= b->bytes && bytes <= b->bytes - offset)
      return b;
    if (!backend::hostAddresses)
      break;
  }
  return nullptr;
}

ist_status ist_driver_device::insert(Block block, Block **out,
                                     ist_error *error) {
  Block *b = make<Block>();
  if (!b || !blocks.push(b)) {
    destroy(b);
    return outOfMemory(error, sizeof *b, "a simulated allocation");
  }
  if (backend::hostAddresses)
    block.address = reinterpret_cast<uint64_t>(block.host);
  else
    nextAddress = alignUp(block.address + block.bytes + kGap, kGap);
  *b = block;
  for (size_t i = blocks.size() - 1;
       i > 0 && blocks[i - 1]->address > b->address; --i) {
    blocks[i] = blocks[i - 1];
    blocks[i - 1] = b;
  }
  count(counters.blocks);
  count(counters.bytes, static_cast<int64_t>(b->bytes));
  *out = b;
  return IST_OK;
}

ist_status ist_driver_device::alloc(uint64_t bytes, Block **out,
                                    ist_error *error) {
  if (bytes == 0)
    return breach(error, "alloc of 0 bytes");
  uint64_t most = options.max_alloc ? options.max_alloc : options.memory;
  if (bytes > most || bytes > options.memory - used)
    return fail(error, IST_RESOURCE_EXHAUSTED,
                "out of device memory: %llu bytes requested, %llu of %llu "
                "available%s; free some, or use smaller inputs",
                ull(bytes), ull(options.memory - used), ull(options.memory),
                bytes > most ? " (and one allocation may not be that large)"
                             : "");
  uint64_t page = pageSize(), align = options.alignment;
  uint64_t padded = alignUp(bytes, align);
  uint64_t mapped = alignUp(padded, page > align ? page : align) + page;
  // Alignments of more than a page are the mapping's luck: map more.
  uint64_t spare = align > page ? align : 0;
  void *m = ::mmap(nullptr, mapped + spare, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m == MAP_FAILED)
    return fail(error, IST_RESOURCE_EXHAUSTED,
                "out of device memory: %llu bytes requested, and the system "
                "has none for them: %s",
                ull(bytes), std::strerror(errno));
  Block b = {};
  b.mapping = m;
  b.mapped = mapped + spare;
  b.bytes = bytes;
  uint64_t end = reinterpret_cast<uint64_t>(slackEnd(b));
  ::mprotect(slackEnd(b), page, PROT_NONE);
  b.host = reinterpret_cast<uint8_t *>((end - padded) & ~(align - 1));
  b.address = nextAddress;
  std::memset(b.host, kFresh, bytes < kMostFilled ? bytes : kMostFilled);
  std::memset(b.host + bytes, kSlack,
              static_cast<size_t>(slackEnd(b) - (b.host + bytes)));
  ist_status s = insert(b, out, error);
  if (s)
    ::munmap(m, b.mapped);
  else
    used += bytes;
  return s;
}

ist_status ist_driver_device::importHost(const ist_import &import, Block **out,
                                         ist_error *error) {
  if (!options.import)
    return fail(error, IST_UNAVAILABLE,
                "this simulated device imports no host memory (import=0)");
  Block b = {};
  b.host = reinterpret_cast<uint8_t *>(import.memory);
  b.bytes = import.bytes;
  // As well aligned as the memory is, and no better.
  b.address = nextAddress + import.memory % kGap;
  b.readOnly = import.read_only;
  return insert(b, out, error);
}

ist_status ist_driver_device::importAddress(const ist_import &import,
                                            Block **out, ist_error *error) {
  Block *base = find(import.memory, import.bytes);
  if (!base)
    return fail(error, IST_UNAVAILABLE,
                "0x%llx and the %llu bytes from there are not memory of this "
                "device",
                ull(import.memory), ull(import.bytes));
  Block *b = make<Block>();
  if (!b)
    return outOfMemory(error, sizeof *b, "a simulated import");
  *b = {};
  b->base = base;
  b->address = import.memory;
  b->bytes = import.bytes;
  b->readOnly = import.read_only; // not followed: the base may be written
  ++base->pending;
  count(counters.blocks);
  *out = b;
  return IST_OK;
}

void ist_driver_device::free(Block *b) {
  if (b->base) {
    unhold(b->base);
    count(counters.blocks, -1);
    destroy(b);
    return;
  }
  if (b->freed) {
    breach(nullptr, "memory at 0x%llx is freed twice", ull(b->address));
    return;
  }
  if (b->mapping) {
    used -= b->bytes;
    for (uint8_t *p = b->host + b->bytes; p < slackEnd(*b); ++p)
      if (*p != kSlack) {
        breach(nullptr,
               "something wrote %llu bytes behind the %llu of memory at 0x%llx",
               ull(static_cast<uint64_t>(p - b->host) - b->bytes),
               ull(b->bytes), ull(b->address));
        break;
      }
  }
  size_t at = 0;
  while (blocks[at] != b)
    ++at;
  for (; at + 1 < blocks.size(); ++at)
    blocks[at] = blocks[at + 1];
  blocks.pop();
  count(counters.blocks, -1);
  count(counters.bytes, -static_cast<int64_t>(b->bytes));
  b->freed = true;
  if (b->pending == 0)
    release(b);
  else
    breach(nullptr,
           "memory at 0x%llx (%llu bytes) is freed while %u commands or "
           "imports use it",
           ull(b->address), ull(b->bytes), b->pending);
}

void ist_driver_device::unhold(Block *b) {
  if (--b->pending == 0 && b->freed)
    release(b);
}

void ist_driver_device::release(Block *b) {
  if (b->mapping)
    ::munmap(b->mapping, b->mapped);
  destroy(b);
}
