//===- memory_tests.cpp - level 1: devices, memory, copies, fills ---------===//
#include "harness.h"

#include <algorithm>

using namespace isthmus::cts;

namespace {

void table(const Context &c) {
  const ist_driver &d = *c.driver;
  // Every slot up to here is required.
  constexpr size_t end = offsetof(ist_driver, kernel_get) + sizeof(void *);
  CTS_CHECK(d.struct_size >= end);
  for (const char *text : {d.name, d.vendor, d.formats})
    CTS_CHECK(text && *text);
  CTS_CHECK(!std::strchr(d.name, ':') && !std::strchr(d.vendor, ':'));
  const char *first = reinterpret_cast<const char *>(&d.enumerate);
  const char *behind = reinterpret_cast<const char *>(&d) + end;
  size_t slots = static_cast<size_t>(behind - first) / sizeof(void *);
  for (size_t i = 0; i < slots; ++i) {
    void *slot;
    std::memcpy(&slot, first + i * sizeof slot, sizeof slot);
    CTS_THAT(slot, "slot %zu of the table is NULL", i);
  }
}

void enumerate(const Context &c) {
  uint32_t count = 0, again = 0;
  CTS_OK(c.driver->enumerate(c.host, nullptr, 0, &count, &error));
  CTS_CHECK(count > c.index);
  std::vector<ist_identity> all(count + 1, ist_identity{});
  CTS_OK(c.driver->enumerate(c.host, all.data(), count, &again, &error));
  CTS_CHECK(again == count && !all.back().summary[0]);
  all.pop_back();
  for (const ist_identity &i : all) {
    CTS_CHECK(i.summary[0] &&
              strnlen(i.summary, sizeof i.summary) < sizeof i.summary);
    CTS_CHECK(strnlen(i.id, sizeof i.id) < sizeof i.id);
  }
}

void openUnknown(const Context &c) {
  ist_driver_device *device = nullptr;
  CTS_FAILS(c.driver->open(c.host, 12345, nullptr, &device, &error),
            IST_NOT_FOUND);
  CTS_CHECK(!device);
}

void openTwice(const Context &c) {
  Device a(c), b(c);
  Queue qa(a), qb(b);
  Memory ma = a.upload<uint32_t>(qa, {1, 2, 3});
  Memory mb = b.upload<uint32_t>(qb, {4, 5, 6});
  CTS_CHECK(
      (a.download<uint32_t>(qa, ma.at(), 3) == std::vector<uint32_t>{1, 2, 3}));
  CTS_CHECK(
      (b.download<uint32_t>(qb, mb.at(), 3) == std::vector<uint32_t>{4, 5, 6}));
}

void describe(const Context &c) {
  Device d(c);
  const ist_description &is = d.description;
  CTS_CHECK(is.summary && *is.summary);
  CTS_CHECK(is.alignment >= 64 && (is.alignment & (is.alignment - 1)) == 0);
  CTS_CHECK(is.max_grid > 0 && is.max_alloc > 0);
  CTS_CHECK(!is.fact_count || is.facts);
  for (size_t i = 0; i < is.fact_count; ++i)
    CTS_CHECK(is.facts[i].key && *is.facts[i].key && is.facts[i].value);
}

void memInfo(const Context &c) {
  Device d(c);
  uint64_t available = 0, total = 0;
  CTS_OK(d.driver->mem_info(d.handle, &available, &total, &error));
  CTS_CHECK(total > 0 && available <= total);
}

void allocSizes(const Context &c) {
  Device d(c);
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  std::vector<Memory> all;
  for (uint64_t bytes : {1ull, 2ull, 63ull, 64ull, 65ull, 4095ull, 4096ull,
                         4097ull, (1ull << 20) + 3, 48ull << 20})
    for (ist_memory_kind kind :
         {IST_MEMORY_KIND_DEVICE, IST_MEMORY_KIND_HOST_VISIBLE}) {
      all.push_back(d.alloc(bytes, kind));
      uint64_t at = all.back().at();
      CTS_CHECK(at && at % d.description.alignment == 0);
      CTS_CHECK(all.back().bytes() >= bytes);
      CTS_CHECK(kind == IST_MEMORY_KIND_DEVICE || all.back().host());
      ranges.push_back({at, at + bytes});
    }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i)
    CTS_THAT(ranges[i].first >= ranges[i - 1].second, "allocations overlap");
}

void allocTooMuch(const Context &c) {
  Device d(c);
  for (uint64_t bytes : {d.description.max_alloc + 1, UINT64_MAX / 2,
                         UINT64_MAX - 1, UINT64_MAX}) {
    if (bytes <= d.description.max_alloc)
      continue;
    ist_driver_memory m = {}, untouched = {};
    CTS_FAILS(
        d.driver->alloc(d.handle, IST_MEMORY_KIND_DEVICE, bytes, &m, &error),
        IST_RESOURCE_EXHAUSTED);
    CTS_CHECK(std::memcmp(&m, &untouched, sizeof m) == 0);
  }
  d.alloc(1); // and the device lives
}

void allocAgain(const Context &c) {
  Device d(c);
  Queue q(d);
  for (uint32_t i = 0; i < 300; ++i) {
    Memory m = d.alloc(1 << 16);
    q.fill(m.at(), static_cast<uint8_t>(i), 1 << 16);
    q.finish();
  }
}

void hostVisible(const Context &c) {
  Device d(c);
  Queue q(d);
  std::vector<uint32_t> data = noise(5000, 1);
  Memory a = d.visible(20000), b = d.alloc(20000), to = d.visible(20000);
  std::memcpy(a.host(), data.data(), 20000);
  q.copy(b.at(), a.at(), 20000);
  q.copy(to.at(), b.at(), 20000);
  q.finish();
  CTS_CHECK(std::memcmp(to.host(), data.data(), 20000) == 0);
  // Kernels use it too.
  const Kernel scale = d.kernels().scale;
  q.launch(scale, groups(5000),
           {5000, 3, in(a.at(), 20000), out(to.at(), 20000)});
  q.finish();
  for (size_t i = 0; i < 5000; ++i)
    CTS_CHECK(to.host<uint32_t>()[i] == data[i] * 3 + 1);
}

void importHost(const Context &c) {
  Device d(c);
  Queue q(d);
  std::vector<uint32_t> data = noise(4096, 2), back(4096);
  for (size_t skip : {0, 1, 16}) {
    size_t n = 4096 - skip;
    Memory from =
        d.import(IST_IMPORT_HOST,
                 reinterpret_cast<uint64_t>(data.data() + skip), n * 4, true);
    Memory to = d.import(IST_IMPORT_HOST,
                         reinterpret_cast<uint64_t>(back.data() + skip), n * 4);
    Memory m = d.alloc(n * 4);
    q.copy(m.at(), from.at(), n * 4);
    q.launch(d.kernels().scale, groups(n),
             {n, 5, in(m.at(), n * 4), out(to.at(), n * 4)});
    q.finish();
    for (size_t i = skip; i < n; ++i)
      CTS_CHECK(back[i] == data[i] * 5 + 1);
  }
}

void importAddress(const Context &c) {
  Device d(c);
  Queue q(d);
  Memory m = d.upload(q, noise(1000, 3));
  Memory part = d.import(IST_IMPORT_ADDRESS, m.at(400), 1200);
  CTS_CHECK(part.at() == m.at(400));
  std::vector<uint32_t> expected = noise(1000, 3);
  expected.erase(expected.begin(), expected.begin() + 100);
  expected.resize(300);
  CTS_CHECK(d.download<uint32_t>(q, part.at(), 300) == expected);
}

/// In every direction, odd sizes and places; neighbours stay.
void copies(const Context &c) {
  Device d(c);
  Queue q(d);
  constexpr uint64_t room = (1 << 18) + 256;
  Memory a = d.alloc(room), b = d.alloc(room), v = d.visible(room),
         w = d.visible(room);
  std::vector<uint32_t> data = noise(room / 4, 4);
  const uint64_t sizes[] = {1, 2, 3, 7, 64, 1000, 4097, 1 << 18};
  const uint64_t offsets[] = {0, 1, 5, 63, 128};
  for (int direction = 0; direction < 4; ++direction) {
    const Memory &from = direction & 1 ? a : v, &to = direction & 2 ? b : w;
    for (uint64_t bytes : sizes)
      for (uint64_t source : offsets) {
        uint64_t target = offsets[(bytes + source) % 5];
        d.write(q, from.at(), data.data(), room);
        q.fill(to.at(), 0x11, room);
        q.copy(to.at(target), from.at(source), bytes);
        std::vector<uint8_t> got = d.download<uint8_t>(q, to.at(), room);
        std::vector<uint8_t> expected(room, 0x11);
        std::memcpy(expected.data() + target,
                    reinterpret_cast<char *>(data.data()) + source, bytes);
        CTS_THAT(got == expected,
                 "copy of %llu bytes from offset %llu to offset %llu, %s to %s",
                 static_cast<unsigned long long>(bytes),
                 static_cast<unsigned long long>(source),
                 static_cast<unsigned long long>(target),
                 direction & 1 ? "device" : "host visible",
                 direction & 2 ? "device" : "host visible");
      }
  }
}

void copyWithin(const Context &c) {
  Device d(c);
  Queue q(d);
  Memory m = d.upload(q, noise(1000, 5));
  q.copy(m.at(2000), m.at(), 2000);
  std::vector<uint32_t> got = d.download<uint32_t>(q, m.at(), 1000);
  CTS_CHECK(std::equal(got.begin(), got.begin() + 500, got.begin() + 500));
}

void nothing(const Context &c) {
  Device d(c);
  Queue q(d);
  Memory m = d.upload<uint32_t>(q, {7});
  q.copy(m.at(), m.at(), 0);
  q.copy(64, 64, 0);
  q.fill(m.at(), 1, 0);
  q.fill(64, 1, 0);
  CTS_CHECK(d.download<uint32_t>(q, m.at(), 1)[0] == 7);
}

void fills(const Context &c) {
  Device d(c);
  Queue q(d);
  Memory m = d.alloc(70000);
  for (uint64_t bytes : {1, 2, 3, 4, 5, 8, 31, 4099, 65536})
    for (uint64_t offset : {0, 1, 2, 3, 4, 77}) {
      uint8_t value = static_cast<uint8_t>(bytes * 7 + offset);
      q.fill(m.at(), 0xee, 70000);
      q.fill(m.at(offset), value, bytes);
      std::vector<uint8_t> expected(70000, 0xee);
      std::fill_n(expected.begin() + static_cast<long>(offset), bytes, value);
      CTS_THAT(d.download<uint8_t>(q, m.at(), 70000) == expected,
               "fill of %d bytes at offset %d", static_cast<int>(bytes),
               static_cast<int>(offset));
    }
}

} // namespace

const std::vector<Test> &isthmus::cts::memoryTests() {
  static const std::vector<Test> tests = {
      {1, "table", table},
      {1, "enumerate", enumerate},
      {1, "open.unknown", openUnknown},
      {1, "open.twice", openTwice},
      {1, "describe", describe},
      {1, "mem_info", memInfo},
      {1, "alloc.sizes", allocSizes},
      {1, "alloc.too-much", allocTooMuch},
      {1, "alloc.again", allocAgain},
      {1, "alloc.host-visible", hostVisible},
      {1, "import.host", importHost},
      {1, "import.address", importAddress},
      {1, "copy.directions", copies},
      {1, "copy.within", copyWithin},
      {1, "copy.nothing", nothing},
      {1, "fill", fills},
  };
  return tests;
}
