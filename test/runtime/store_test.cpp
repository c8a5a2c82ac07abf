//===- store_test.cpp - weights held once, derived weights kept -----------===//
// First, for FlatBuffers' assert is defined in there.
#include "program.h"

#include "builder.h"
#include "device.h"
#include "drivers.h"
#include "store.h"

#include <cstdlib>
#include <dirent.h>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::test;

namespace {

/// An artifact in memory, `shift` bytes behind a 64-byte boundary.
class Bytes {
public:
  explicit Bytes(const std::string &bytes, size_t shift = 0)
      : room(bytes.size() + 128) {
    auto begin = reinterpret_cast<uintptr_t>(room.data());
    data = room.data() + (64 - begin % 64) + shift;
    size = bytes.size();
    std::memcpy(data, bytes.data(), size);
  }
  std::vector<char> room;
  char *data;
  size_t size;
};

Program load(const Bytes &b) {
  ist_program *p = nullptr;
  ist_error error = {};
  EXPECT_EQ(ist_program_load_memory(b.data, b.size, device(), IST_BEST_VARIANT,
                                    &p, &error),
            IST_OK)
      << error.message;
  return Program(p);
}

/// main gives w times `factor`, which init derives.
Bytes scaled(int64_t factor, const std::string &model = "m", size_t shift = 0) {
  ArtifactBuilder a;
  a.manifest.model = model;
  a.program().derived = 2;
  uint32_t w = a.weight("w", {1, 2, 3, 4});
  auto init = a.function("init");
  uint32_t wb = init.buffer(Op::weight, w), four = init.constant(4);
  uint32_t d = init.buffer(Op::alloc_derived, 0, init.constant(16));
  init.buffer(Op::alloc_derived, 1, init.constant(0)); // an empty one
  init.launch("scale_f32", init.constant(1), {wb, d},
              {four, init.constant(factor)});
  auto f = a.function("main");
  uint32_t y = f.output("y", fb::DType::f32, {4});
  f.emit(Op::set_output, y, f.buffer(Op::derived, 0));
  return Bytes(a.bytes(), shift);
}

std::vector<float> result(const Program &p) {
  Session s = session(p);
  std::vector<ist_tensor> outputs(1);
  ist_error error;
  EXPECT_EQ(call(s, {}, outputs, &error), IST_OK) << error.message;
  return values<float>(outputs[0]);
}

uint64_t used() { return device()->ledger.used(); }

/// An empty folder as ISTHMUS_CACHE_DIR.
class Cache : public testing::Test {
protected:
  void SetUp() override {
    dir = testing::TempDir() + "isthmus-cache-XXXXXX";
    ASSERT_NE(::mkdtemp(dir.data()), nullptr);
    ::setenv("ISTHMUS_CACHE_DIR", dir.c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("ISTHMUS_CACHE_DIR");
    for (const std::string &f : files())
      ::unlink((dir + "/" + f).c_str());
    ::rmdir(dir.c_str());
  }
  std::vector<std::string> files() {
    std::vector<std::string> all;
    DIR *d = ::opendir(dir.c_str());
    while (dirent *e = d ? ::readdir(d) : nullptr)
      if (e->d_name[0] != '.')
        all.push_back(e->d_name);
    if (d)
      ::closedir(d);
    return all;
  }
  std::string read() {
    std::ifstream in(dir + "/" + files().at(0), std::ios::binary);
    std::stringstream s;
    s << in.rdbuf();
    return s.str();
  }
  void write(const std::string &bytes) {
    std::ofstream(dir + "/" + files().at(0), std::ios::binary) << bytes;
  }
  std::string dir;
};

TEST(Hash, ByContentOrderAndCuts) {
  auto hash = [](std::vector<std::string> parts) {
    Hash h;
    for (const std::string &p : parts)
      h.add(p.data(), p.size());
    return h.value();
  };
  std::vector<Hash::Value> seen;
  std::string long1(1000, 'x'), long2 = long1;
  long2[999] = 'y';
  for (const auto &parts :
       std::vector<std::vector<std::string>>{{},
                                             {""},
                                             {"a"},
                                             {"b"},
                                             {"ab"},
                                             {"a", "b"},
                                             {"b", "a"},
                                             {"ab", ""},
                                             {std::string(8, '\0')},
                                             {std::string(9, '\0')},
                                             {std::string(32, '\0')},
                                             {std::string(64, '\0')},
                                             {long1},
                                             {long2},
                                             {long1, long2},
                                             {long2, long1}})
    seen.push_back(hash(parts));
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_TRUE(seen[i] == seen[i]);
    for (size_t j = 0; j < i; ++j)
      EXPECT_FALSE(seen[i] == seen[j] || seen[i].a == seen[j].a) << i << j;
  }
  // Every bit counts.
  for (int bit = 0; bit < 8000; ++bit) {
    std::string flipped = long1;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(hash({flipped}).a == hash({long1}).a) << bit;
  }
}

/// The bytes of `path` that are in this process's memory.
uint64_t resident(const std::string &path) {
  std::ifstream maps("/proc/self/smaps");
  uint64_t kib = 0;
  bool here = false;
  for (std::string line; std::getline(maps, line);)
    if (line.find('-') < line.find(' ') && line.find(':') != 4)
      here = line.size() >= path.size() &&
             line.compare(line.size() - path.size(), path.size(), path) == 0;
    else if (here && line.rfind("Rss:", 0) == 0)
      kib += std::strtoull(line.c_str() + 4, nullptr, 10);
  return kib << 10;
}

TEST(Store, PackedOriginalsLeaveMemory) {
  constexpr int64_t n = 2 << 20; // 8 MiB, twice
  ArtifactBuilder a;
  a.program().derived = 2;
  std::vector<float> data(n);
  for (int64_t i = 0; i < n; ++i)
    data[i] = static_cast<float>(i);
  uint32_t w[2] = {a.weight("u", data), a.weight("v", data)};
  {
    auto init = a.function("init");
    for (uint32_t i = 0; i < 2; ++i) {
      uint32_t d = init.buffer(Op::alloc_derived, i, init.constant(4 * n));
      init.launch("scale_f32", init.constant(n / 64),
                  {init.buffer(Op::weight, w[i]), d},
                  {init.constant(n), init.constant(2 + i)});
    }
  }
  auto f = a.function("main");
  for (uint32_t i = 0; i < 2; ++i)
    f.emit(Op::set_output,
           f.output("y" + std::to_string(i), fb::DType::f32, {n}),
           f.buffer(Op::derived, i));
  std::string path = testing::TempDir() + "isthmus-packed.ist";
  std::ofstream(path, std::ios::binary) << a.bytes();
  ist_program *raw = nullptr;
  ist_error error = {};
  ASSERT_EQ(
      ist_program_load(path.c_str(), device(), IST_BEST_VARIANT, &raw, &error),
      IST_OK)
      << error.message;
  Program p(raw);
  EXPECT_LT(resident(path), 4u << 20);
  Session s = session(p);
  std::vector<ist_tensor> outputs(2);
  ASSERT_EQ(call(s, {}, outputs, &error), IST_OK) << error.message;
  EXPECT_EQ(values<float>(outputs[0])[n - 1], 2.0f * (n - 1));
  EXPECT_EQ(values<float>(outputs[1])[n - 1], 3.0f * (n - 1));
  ::unlink(path.c_str());
}

TEST(Store, DerivedWeightsAreShared) {
  uint64_t before = used();
  Bytes bytes = scaled(7), copy = scaled(7), other = scaled(8);
  Program p = load(bytes);
  uint64_t one = used();
  EXPECT_EQ(one, before + 16);
  Program q = load(copy);
  EXPECT_EQ(used(), one) << "the same ones";
  EXPECT_EQ(p->derived[0].address, q->derived[0].address);
  ist_artifact_info info;
  ist_program_info(q.get(), &info);
  EXPECT_EQ(info.derived_bytes, 16u);
  Program r = load(other);
  EXPECT_EQ(used(), one + 16) << "another constant makes others";
  p.reset();
  EXPECT_EQ(result(q), (std::vector<float>{7, 14, 21, 28}));
  EXPECT_EQ(result(r), (std::vector<float>{8, 16, 24, 32}));
  q.reset();
  r.reset();
  EXPECT_EQ(used(), before);
}

TEST(Store, CopiedWeightsAreSharedByContent) {
  // Not aligned, so that the device needs a copy. Different programs.
  uint64_t before = used();
  Bytes a = scaled(7, "m", 8), b = scaled(8, "m", 16);
  Program p = load(a), q = load(b);
  ASSERT_NE(p->stored[0], nullptr);
  EXPECT_EQ(p->stored[0], q->stored[0]);
  EXPECT_EQ(used(), before + 16 /* w */ + 32 /* derived */);
  p.reset();
  EXPECT_EQ(result(q), (std::vector<float>{8, 16, 24, 32}));
  q.reset();
  EXPECT_EQ(used(), before);
}

TEST(Store, OutOfMemoryNamesTheModel) {
  ist_device_options options = IST_DEVICE_OPTIONS_INIT;
  options.memory_limit = 2000;
  ist_device *d = nullptr;
  ist_error error = {};
  ASSERT_EQ(ist_device_open("cpu", &options, &d, &error), IST_OK);
  Device device(d);
  Bytes bytes = scaled(3, "resnet");
  ist_program *p = nullptr;
  ASSERT_EQ(ist_program_load_memory(bytes.data, bytes.size, d, IST_BEST_VARIANT,
                                    &p, &error),
            IST_OK)
      << error.message;
  Program program(p);
  void *memory = nullptr;
  EXPECT_EQ(ist_device_alloc(d, IST_MEMORY_DEVICE, 2000, &memory, &error),
            IST_RESOURCE_EXHAUSTED);
  EXPECT_NE(std::string(error.message).find("the weights of resnet (16)"),
            std::string::npos)
      << error.message;
}

TEST(Store, ManyThreadsLoadTheSame) {
  uint64_t before = used();
  Bytes bytes = scaled(5);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i)
        EXPECT_EQ(result(load(bytes))[3], 20);
    });
  for (std::thread &t : threads)
    t.join();
  EXPECT_EQ(used(), before);
}

TEST_F(Cache, TheSecondLoadReadsTheFile) {
  Bytes bytes = scaled(7);
  EXPECT_EQ(result(load(bytes)), (std::vector<float>{7, 14, 21, 28}));
  ASSERT_EQ(files().size(), 1u) << "and no draft is left";
  // Another value in the file, and a checksum that fits: what comes out tells
  // that init did not run.
  std::string file = read();
  uint64_t table[4];
  std::memcpy(table, &file[64], sizeof table);
  ASSERT_EQ(table[1], 16u);
  ASSERT_EQ(table[3], 0u);
  float nine = 9;
  std::memcpy(&file[table[0]], &nine, 4);
  Hash hash;
  hash.add(&file[64], sizeof table);
  hash.add(&file[table[0]], 16);
  hash.add(&file[0], 0);
  uint64_t sum = hash.value().a;
  std::memcpy(&file[40], &sum, 8);
  write(file);
  Program p = load(bytes);
  EXPECT_EQ(ist_program_remark_count(p.get()), 0u);
  EXPECT_EQ(result(p), (std::vector<float>{9, 14, 21, 28}));
  // The file is mapped, not copied.
  EXPECT_EQ(used(), 0u);
  p.reset();
  // Somebody else's derived weights are other files.
  Bytes eight = scaled(8);
  EXPECT_EQ(result(load(eight))[0], 8);
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(Cache, BrokenFilesAreRefusedAndMadeAgain) {
  Bytes bytes = scaled(7);
  load(bytes);
  std::string good = read();
  auto spoil = [&](const char *what, const std::string &file) {
    write(file);
    Program p = load(bytes);
    ASSERT_EQ(ist_program_remark_count(p.get()), 1u) << what;
    EXPECT_NE(std::string(ist_program_remark(p.get(), 0)).find(what),
              std::string::npos)
        << ist_program_remark(p.get(), 0);
    EXPECT_EQ(result(p), (std::vector<float>{7, 14, 21, 28})) << what;
    EXPECT_EQ(read(), good) << what;
  };
  auto flipped = [&](size_t at) {
    std::string file = good;
    file[at] ^= 4;
    return file;
  };
  spoil("checksum", flipped(good.size() - 60));
  spoil("not of this kind", flipped(0));
  spoil("another version", flipped(8));
  spoil("something else", flipped(12));
  spoil("something else", flipped(17));
  spoil("cut short", flipped(33));
  spoil("cut short", good.substr(0, good.size() - 1));
  spoil("cut short", good.substr(0, 20));
  spoil("table is broken", flipped(64)); // the first part's offset
  spoil("table is broken", flipped(79)); // its size
  // Whatever is flipped, the numbers are right.
  for (size_t at = 0; at < good.size(); at += 3) {
    write(flipped(at));
    ASSERT_EQ(result(load(bytes)), (std::vector<float>{7, 14, 21, 28})) << at;
  }
}

TEST_F(Cache, WhereNothingCanBeWrittenThereIsARemark) {
  ::setenv("ISTHMUS_CACHE_DIR", "/dev/null/nowhere", 1);
  Bytes bytes = scaled(7);
  Program p = load(bytes);
  EXPECT_EQ(result(p)[0], 7);
  bool told = false;
  for (size_t i = 0; i < ist_program_remark_count(p.get()); ++i)
    told |= std::string(ist_program_remark(p.get(), i))
                .find("not kept in '/dev/null/nowhere/") != std::string::npos;
  EXPECT_TRUE(told);
  ::setenv("ISTHMUS_CACHE_DIR", std::string(5000, 'x').c_str(), 1);
  p.reset(); // else its derived weights are shared
  p = load(bytes);
  ASSERT_EQ(ist_program_remark_count(p.get()), 1u);
  EXPECT_NE(std::string(ist_program_remark(p.get(), 0)).find("too long"),
            std::string::npos);
}

TEST_F(Cache, DriversKeepBlobs) {
  const ist_host &h = driverHost;
  size_t n = 0;
  EXPECT_EQ(h.cache_get(h.user, "cubin-1", &n), nullptr);
  std::string blob(5000, 'x');
  h.cache_put(h.user, "cubin-1", blob.data(), blob.size());
  auto get = [&](const char *key) {
    void *p = h.cache_get(h.user, key, &n);
    std::string s = p ? std::string(static_cast<char *>(p), n) : "none";
    h.deallocate(h.user, p);
    return s;
  };
  EXPECT_EQ(get("cubin-1"), blob);
  EXPECT_EQ(get("cubin-2"), "none");
  std::string good = read();
  for (size_t at : {0, 8, 12, 20, 35, 41, 63, 64, 5063}) {
    std::string bad = good;
    bad[at] ^= 1;
    write(bad);
    EXPECT_EQ(get("cubin-1"), "none") << at;
  }
  write(good.substr(0, good.size() - 1));
  EXPECT_EQ(get("cubin-1"), "none");
  write(good.substr(0, 64));
  EXPECT_EQ(get("cubin-1"), "none");
  h.cache_put(h.user, "cubin-1", "new", 3);
  EXPECT_EQ(get("cubin-1"), "new");
  EXPECT_EQ(files().size(), 1u) << "no draft is left";
  ::setenv("ISTHMUS_CACHE_DIR", "/dev/null/nowhere", 1);
  testing::internal::CaptureStderr();
  h.cache_put(h.user, "cubin-1", "new", 3);
  h.cache_put(h.user, "cubin-2", "new", 3);
  std::string told = testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("not kept in '/dev/null/nowhere/"), std::string::npos);
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << "only once";
  EXPECT_EQ(get("cubin-1"), "none");
}

TEST_F(Cache, TheFolderIsMade) {
  std::string inner = dir + "/inner";
  ::setenv("ISTHMUS_CACHE_DIR", inner.c_str(), 1);
  Bytes bytes = scaled(7);
  EXPECT_EQ(ist_program_remark_count(load(bytes).get()), 0u);
  std::swap(dir, inner);
  EXPECT_EQ(files().size(), 1u);
  ::unlink((dir + "/" + files().at(0)).c_str());
  ::rmdir(dir.c_str());
  std::swap(dir, inner);
}

} // namespace
