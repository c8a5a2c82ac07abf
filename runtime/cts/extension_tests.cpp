//===- extension_tests.cpp - level 3: extensions, native handles ----------===//
#include "harness.h"

using namespace isthmus::cts;

namespace {

void unknownExtension(const Context &c) {
  Device d(c);
  CTS_CHECK(!d.driver->extension(d.handle, "no-such-extension"));
  CTS_CHECK(!d.driver->extension(d.handle, ""));
}

void unknownNative(const Context &c) {
  int something = 0;
  ist_native native = {sizeof native, "no-such-kind", &something};
  ist_driver_device *device = nullptr;
  CTS_FAILS(c.driver->open(c.host, c.index, &native, &device, &error),
            IST_UNAVAILABLE);
  CTS_CHECK(!device);
  Device d(c);
  ist_driver_queue *queue = nullptr;
  CTS_FAILS(d.driver->queue_create(d.handle, &native, &queue, &error),
            IST_UNAVAILABLE);
  CTS_CHECK(!queue);
}

/// An extension of the device's, or Lacking.
template <typename T> const T *extension(Device &d, const char *name) {
  auto *t = static_cast<const T *>(d.driver->extension(d.handle, name));
  if (!t)
    throw Lacking{"no extension \"" + std::string(name) + "\""};
  CTS_CHECK(t->struct_size >= sizeof *t);
  return t;
}

//===----------------------------------------------------------------------===//
// Native handles, captures
//===----------------------------------------------------------------------===//

/// A queue over another's native one: what both are given is in one order.
void exportedQueue(const Context &c) {
  Device d(c);
  auto *t = extension<ist_native_extension>(d, IST_EXTENSION_NATIVE);
  Queue q(d);
  ist_native native = {sizeof native, nullptr, nullptr};
  CTS_OK(t->queue(q.handle, &native, &error));
  CTS_CHECK(native.kind && native.handle);
  ist_driver_queue *same = nullptr;
  CTS_OK(d.driver->queue_create(d.handle, &native, &same, &error));
  constexpr uint64_t bytes = 1 << 16;
  Memory x = d.alloc(bytes), y = d.alloc(bytes), z = d.alloc(bytes);
  for (uint8_t i = 1; i < 20; ++i) {
    q.fill(x.at(), i, bytes);
    CTS_OK(d.driver->copy(same, y.at(), x.at(), bytes, &error));
    q.copy(z.at(), y.at(), bytes);
    CTS_OK(d.driver->fill(same, x.at(), 0, bytes, &error));
    CTS_CHECK(d.download<uint8_t>(q, z.at(), bytes) ==
              std::vector<uint8_t>(bytes, i));
  }
  // Ending it leaves the queue alone.
  d.driver->queue_destroy(same);
  q.fill(x.at(), 77, bytes);
  CTS_CHECK(d.download<uint8_t>(q, x.at(), bytes) ==
            std::vector<uint8_t>(bytes, 77));
}

/// A device over another's native context: its memory is there.
void exportedContext(const Context &c) {
  Device d(c);
  auto *t = extension<ist_native_extension>(d, IST_EXTENSION_NATIVE);
  ist_native native = {sizeof native, nullptr, nullptr};
  ist_error error = {};
  int status = t->device(d.handle, &native, &error);
  if (status == IST_UNAVAILABLE)
    throw Lacking{error.message};
  CTS_CHECK(status == IST_OK && native.kind && native.handle);
  ist_driver_device *same = nullptr;
  CTS_OK(c.driver->open(c.host, c.index, &native, &same, &error));
  ist_driver_memory m = {};
  CTS_OK(c.driver->alloc(same, IST_MEMORY_KIND_DEVICE, 4096, &m, &error));
  Queue q(d);
  {
    Memory borrowed = d.import(IST_IMPORT_ADDRESS, m.address, 4096);
    q.fill(borrowed.at(), 9, 4096);
    CTS_CHECK(d.download<uint8_t>(q, borrowed.at(), 4096) ==
              std::vector<uint8_t>(4096, 9));
  }
  c.driver->free(same, &m);
  c.driver->close(same);
}

/// Nobody records what a queue of our own is given.
void notCapturing(const Context &c) {
  Device d(c);
  auto *t = extension<ist_capture_extension>(d, IST_EXTENSION_CAPTURE);
  Queue q(d);
  uint32_t out = 7;
  CTS_OK(t->capturing(q.handle, &out, &error));
  CTS_CHECK(out == 0);
}

//===----------------------------------------------------------------------===//
// Pools
//===----------------------------------------------------------------------===//

/// Memory comes, is used and goes, and nobody waits meanwhile.
void poolsInOrder(const Context &c) {
  Device d(c);
  auto *t = extension<ist_pool_extension>(d, IST_EXTENSION_POOL);
  Queue q(d), other(d);
  constexpr uint64_t count = 60, words = 3000;
  std::vector<uint32_t> data = noise(words, 5);
  Memory x = d.upload(q, data), y = d.alloc(4 * words * count);
  Semaphore s(d);
  for (uint64_t i = 0; i < count; ++i) {
    ist_driver_memory m = {};
    CTS_OK(t->alloc(q.handle, 4 * words + 256 * i, &m, &error));
    CTS_CHECK(m.address % d.description.alignment == 0 &&
              m.bytes >= 4 * words + 256 * i);
    q.launch(d.kernels().scale, groups(words),
             {words, i, in(x.at(), 4 * words), out(m.address, 4 * words)});
    // Another queue takes it over, behind a point.
    q.submit({}, {s.point(2 * i + 1)});
    other.submit({s.point(2 * i + 1)}, {});
    other.copy(y.at(4 * words * i), m.address, 4 * words);
    other.submit({}, {s.point(2 * i + 2)});
    q.submit({s.point(2 * i + 2)}, {});
    CTS_OK(t->free(q.handle, &m, &error));
  }
  q.finish();
  std::vector<uint32_t> got = d.download<uint32_t>(q, y.at(), words * count);
  for (size_t i = 0; i < got.size(); ++i)
    CTS_THAT(got[i] == data[i % words] * static_cast<uint32_t>(i / words) + 1,
             "element %zu of round %zu", i % words, i / words);
}

/// The table's free ends such memory too, and there is not more than there is.
void poolsAndTheTable(const Context &c) {
  Device d(c);
  auto *t = extension<ist_pool_extension>(d, IST_EXTENSION_POOL);
  Queue q(d);
  ist_driver_memory m = {};
  CTS_OK(t->alloc(q.handle, 5000, &m, &error));
  q.fill(m.address, 3, 5000);
  CTS_CHECK(d.download<uint8_t>(q, m.address, 5000) ==
            std::vector<uint8_t>(5000, 3));
  d.driver->free(d.handle, &m);
  uint64_t available = 0, total = 0;
  CTS_OK(d.driver->mem_info(d.handle, &available, &total, &error));
  ist_driver_memory none = {};
  CTS_FAILS(t->alloc(q.handle, 2 * total, &none, &error),
            IST_RESOURCE_EXHAUSTED);
  CTS_CHECK(!none.bytes);
}

//===----------------------------------------------------------------------===//
// Peers
//===----------------------------------------------------------------------===//

void peerCopies(const Context &c) {
  Device d(c);
  auto *t = extension<ist_peer_extension>(d, IST_EXTENSION_PEER);
  uint32_t count = 0;
  CTS_OK(c.driver->enumerate(c.host, nullptr, 0, &count, &error));
  if (count < 2)
    throw Lacking{"there is one device only"};
  Context second = c;
  second.index = c.index ? 0 : 1;
  Device from(second);
  Queue q(d), there(from);
  constexpr uint64_t words = 5000;
  std::vector<uint32_t> data = noise(words, 6);
  Memory x = from.upload(there, data), y = d.alloc(4 * words);
  // In the queue's order, and of no bytes as well.
  q.fill(y.at(), 1, 4 * words);
  CTS_OK(t->copy(q.handle, y.at(), from.handle, x.at(), 4 * words, &error));
  q.fill(y.at(), 2, 4);
  CTS_OK(t->copy(q.handle, y.at(), from.handle, x.at(), 0, &error));
  std::vector<uint32_t> got = d.download<uint32_t>(q, y.at(), words);
  data[0] = 0x02020202;
  CTS_CHECK(got == data);
}

//===----------------------------------------------------------------------===//
// Timestamps
//===----------------------------------------------------------------------===//

void timestamps(const Context &c) {
  Device d(c);
  auto *t = extension<ist_timestamp_extension>(d, IST_EXTENSION_TIMESTAMP);
  Queue q(d);
  Memory word = d.upload<uint32_t>(q, {1});
  ist_driver_timestamp *at[3] = {};
  for (auto &each : at)
    CTS_OK(t->create(d.handle, &each, &error));
  for (int round = 0; round < 3; ++round) {
    auto spin = [&](int times) {
      for (int i = 0; i < times; ++i)
        q.launch(d.kernels().spin, 1, {2000, inout(word.at(), 4)});
    };
    CTS_OK(t->record(q.handle, at[0], &error));
    spin(1);
    CTS_OK(t->record(q.handle, at[1], &error));
    spin(60);
    CTS_OK(t->record(q.handle, at[2], &error));
    q.finish();
    uint64_t one = 0, many = 0, all = 0;
    CTS_OK(t->elapsed(at[0], at[1], &one, &error));
    CTS_OK(t->elapsed(at[1], at[2], &many, &error));
    CTS_OK(t->elapsed(at[0], at[2], &all, &error));
    CTS_THAT(many > one && all >= many && all + 2000 >= one + many &&
                 one + many + 2000 >= all,
             "1 launch takes %llu ns, 60 take %llu, all of them %llu",
             static_cast<unsigned long long>(one),
             static_cast<unsigned long long>(many),
             static_cast<unsigned long long>(all));
  }
  for (auto &each : at)
    t->destroy(each);
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

/// A matrix of u32, and the boxes of 4 rows of 16 that the suite's kernel
/// `tile` copies from it: zeros where there is no matrix.
struct Matrix {
  static constexpr uint32_t boxRows = 4, boxColumns = 16;
  static constexpr uint64_t boxBytes = 4 * boxRows * boxColumns;
  Matrix(Device &d, Queue &q, uint64_t rows, uint64_t columns, uint32_t seed)
      : rows(rows), columns(columns), data(noise(rows * columns, seed)),
        memory(d.upload(q, data)) {}
  ist_tile tile() const {
    ist_tile t = {};
    t.address = memory.at();
    t.rank = 2;
    t.dtype = IST_U32;
    t.dims[0] = columns;
    t.dims[1] = rows;
    t.strides[0] = 4;
    t.strides[1] = 4 * columns;
    t.box[0] = boxColumns;
    t.box[1] = boxRows;
    return t;
  }
  std::vector<uint32_t> box(uint64_t row, uint64_t column,
                            uint64_t visibleRows) const {
    std::vector<uint32_t> all;
    for (uint64_t i = row; i < row + boxRows; ++i)
      for (uint64_t j = column; j < column + boxColumns; ++j)
        all.push_back(i < visibleRows && j < columns ? data[i * columns + j]
                                                     : 0);
    return all;
  }
  uint64_t rows, columns;
  std::vector<uint32_t> data;
  Memory memory;
};

/// A launch of `tile`.
struct TileLaunch {
  TileLaunch(const Kernel &kernel, const ist_tile &tile, uint64_t row,
             uint64_t column, const Memory &y)
      : tile(tile),
        base(kernel, 1, {0, column, row, out(y.at(), Matrix::boxBytes)}) {
    base.launch.tiles = &this->tile;
    base.launch.tile_count = 1;
  }
  ist_tile tile;
  Launch base;
};

void tiles(const Context &c) {
  Device d(c);
  extension<ist_tile_extension>(d, IST_EXTENSION_TILE);
  Kernel kernel = d.tileKernel();
  Queue q(d);
  Matrix m(d, q, 50, 36, 8);
  Memory y = d.alloc(Matrix::boxBytes);
  for (uint64_t row : {0, 7, 48, 60})
    for (uint64_t column : {0, 20, 32}) {
      TileLaunch l(kernel, m.tile(), row, column, y);
      CTS_OK(d.driver->launch(q.handle, &l.base.launch, &error));
      // It was copied.
      std::memset(&l.tile, 0xff, sizeof l.tile);
      CTS_CHECK(d.download<uint32_t>(q, y.at(), 64) ==
                m.box(row, column, m.rows));
    }
}

/// In a recording the descriptor follows the address and the dims.
void patchedTiles(const Context &c) {
  Device d(c);
  extension<ist_tile_extension>(d, IST_EXTENSION_TILE);
  auto *r = extension<ist_recording_extension>(d, IST_EXTENSION_RECORDING);
  Kernel kernel = d.tileKernel();
  Queue q(d);
  Matrix one(d, q, 50, 36, 8), two(d, q, 20, 64, 9);
  Memory y = d.alloc(Matrix::boxBytes);
  CTS_OK(r->begin(q.handle, &error));
  TileLaunch l(kernel, one.tile(), 2, 4, y);
  CTS_OK(d.driver->launch(q.handle, &l.base.launch, &error));
  std::memset(&l.tile, 0xff, sizeof l.tile);
  ist_driver_recording *recording = nullptr;
  CTS_OK(r->end(q.handle, &recording, &error));
  auto replay = [&](const Matrix &m, uint64_t visibleRows) {
    ist_tile tile = m.tile();
    tile.dims[1] = visibleRows;
    ist_patch p = {0, IST_PATCH_TILE, 0, sizeof tile, &tile};
    CTS_OK(r->replay(q.handle, recording, &p, 1, &error));
    CTS_CHECK(d.download<uint32_t>(q, y.at(), 64) == m.box(2, 4, visibleRows));
  };
  replay(one, 50);
  replay(two, 20);
  replay(two, 4); // fewer rows: what is beyond them is zero
  CTS_OK(r->replay(q.handle, recording, nullptr, 0, &error));
  CTS_CHECK(d.download<uint32_t>(q, y.at(), 64) == two.box(2, 4, 4));
  replay(one, 5);
  ist_patch beyond = {0, IST_PATCH_TILE, 1, sizeof l.tile, &l.tile};
  CTS_FAILS(r->replay(q.handle, recording, &beyond, 1, &error),
            IST_INVALID_ARGUMENT);
  r->destroy(recording);
}

/// Descriptors that no device has, and launches without those they name.
void refusedTiles(const Context &c) {
  Device d(c);
  auto *t = extension<ist_tile_extension>(d, IST_EXTENSION_TILE);
  Queue q(d);
  Matrix m(d, q, 50, 36, 8);
  ist_tile good = m.tile();
  CTS_OK(t->check(d.handle, &good, &error));
  auto refused = [&](ist_status status, void (*spoil)(ist_tile &)) {
    ist_tile tile = good;
    spoil(tile);
    CTS_FAILS(t->check(d.handle, &tile, &error), status);
  };
  refused(IST_INVALID_ARGUMENT, [](ist_tile &x) { x.rank = 0; });
  refused(IST_INVALID_ARGUMENT, [](ist_tile &x) { x.rank = 6; });
  refused(IST_INVALID_ARGUMENT, [](ist_tile &x) { x.address += 4; });
  refused(IST_INVALID_ARGUMENT, [](ist_tile &x) { x.strides[1] += 4; });
  refused(IST_INVALID_ARGUMENT, [](ist_tile &x) { x.box[1] = 0; });
  refused(IST_INVALID_ARGUMENT,
          [](ist_tile &x) { x.swizzle = IST_TILE_SWIZZLE_32; });
  refused(IST_UNIMPLEMENTED, [](ist_tile &x) { x.reserved[0] = 1; });
  Kernel kernel = d.tileKernel();
  Memory y = d.alloc(Matrix::boxBytes);
  TileLaunch l(kernel, good, 0, 0, y);
  l.base.launch.tile_count = 0;
  CTS_FAILS(d.driver->launch(q.handle, &l.base.launch, &error),
            IST_INVALID_ARGUMENT);
}

} // namespace

const std::vector<Test> &isthmus::cts::extensionTests() {
  static const std::vector<Test> tests = {
      {3, "extension.unknown", unknownExtension},
      {3, "native.unknown", unknownNative},
      {3, "native.queue", exportedQueue},
      {3, "native.context", exportedContext},
      {3, "capture.none", notCapturing},
      {3, "pool.order", poolsInOrder},
      {3, "pool.table", poolsAndTheTable},
      {3, "peer.copy", peerCopies},
      {3, "timestamp.order", timestamps},
      {3, "tile.boxes", tiles},
      {3, "tile.patches", patchedTiles},
      {3, "tile.refused", refusedTiles},
  };
  return tests;
}
