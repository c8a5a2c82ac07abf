//===- plugin_test.cpp - plug-ins built against version 1 of the table ----===//
#include "../runtime/builder.h"

#include <cstdlib>
#include <fstream>

using namespace isthmus;
using namespace isthmus::test;

namespace {

const std::string plugins = ISTHMUS_TEST_PLUGINS;

struct Seen {
  std::vector<std::string> devices, drivers;
};

Seen look() {
  Seen seen;
  ist_error error;
  auto device = [](void *user, const char *name, const char *text) {
    static_cast<Seen *>(user)->devices.push_back(std::string(name) + "|" +
                                                 text);
  };
  auto driver = [](void *user, const char *name, uint32_t n, const char *why) {
    static_cast<Seen *>(user)->drivers.push_back(
        std::string(name) + "|" + std::to_string(n) + "|" + (why ? why : ""));
  };
  if (ist_device_list(device, &seen, &error) ||
      ist_driver_list(driver, &seen, &error))
    seen.drivers.push_back(error.message);
  return seen;
}

std::string loadError(const std::string &name, ist_status expected) {
  ist_error error = {};
  EXPECT_EQ(ist_plugin_load((plugins + "/" + name).c_str(), &error), expected)
      << error.message;
  return error.message;
}

/// In a process of its own, begun anew: ISTHMUS_PLUGIN_PATH is read once, and
/// plug-ins stay. `body` returns what was wrong, "" for nothing.
#define EXPECT_IN_CHILD(body)                                                  \
  GTEST_FLAG_SET(death_test_style, "threadsafe");                              \
  EXPECT_EXIT(                                                                 \
      {                                                                        \
        std::string wrong = [&]() -> std::string body();                       \
        std::fprintf(stderr, "wrong: '%s'\n", wrong.c_str());                  \
        std::_Exit(wrong.empty() ? 0 : 1);                                     \
      },                                                                       \
      testing::ExitedWithCode(0), "")

/// x + w times 3, for a device of this vendor.
std::string addScaleFor(const std::string &vendor) {
  ArtifactBuilder a;
  fb::VariantT &v = *a.manifest.variants[0];
  v.target = v.program->target = vendor + ":one";
  v.format = vendor;
  uint32_t w = a.weight("w", std::vector<float>(100, 2.f));
  auto f = a.function("main");
  uint32_t n = f.symbol("n", 1, 100);
  int64_t dim = -1 - static_cast<int64_t>(n);
  uint32_t x = f.input("x", fb::DType::f32, {dim});
  uint32_t y = f.output("y", fb::DType::f32, {dim});
  uint32_t wb = f.buffer(Op::weight, w), bytes = f.bytes(n, 4);
  uint32_t t = f.alloc(bytes), groups = f.groups(n);
  f.launch("add_f32", groups, {x, wb, t}, {n});
  f.launch("scale_f32", groups, {t, f.buffer(Op::alloc_output, y, bytes)},
           {n, f.constant(3)});
  return a.bytes();
}

TEST(Plugin, OneOfVersion1RunsAProgram) {
  ASSERT_EQ(loadError("good/v1.so", IST_OK), "");
  ASSERT_EQ(loadError("good/v1.so", IST_OK), "") << "once more is no clash";
  ist_error error;
  ist_device *d = nullptr;
  ASSERT_EQ(ist_device_open("abi:1", nullptr, &d, &error), IST_OK)
      << error.message;
  Device device(d);
  EXPECT_STREQ(ist_device_name(d), "abi:1");
  // In the caller's own context, which is the driver's business.
  int context = 0;
  ist_device_options options = IST_DEVICE_OPTIONS_INIT;
  options.native_kind = "abi.context";
  options.native = &context;
  ASSERT_EQ(ist_device_open("abi", &options, &d, &error), IST_OK);
  ist_device_release(d);
  EXPECT_EQ(context, 1);
  EXPECT_EQ(ist_device_open("abi:2", nullptr, &d, &error), IST_NOT_FOUND);
  std::string bytes = addScaleFor("abi");
  ist_program *p = nullptr;
  ASSERT_EQ(ist_program_load_memory(bytes.data(), bytes.size(), device.get(),
                                    IST_BEST_VARIANT, &p, &error),
            IST_OK)
      << error.message;
  Program program(p);
  Session s = session(program);
  std::vector<float> x = {1, 2, 3};
  std::vector<ist_tensor> outputs(1);
  ASSERT_EQ(call(s, {tensor(x)}, outputs, &error), IST_OK) << error.message;
  EXPECT_EQ(values<float>(outputs[0]), (std::vector<float>{9, 12, 15}));
}

TEST(Plugin, ALargerTableIsUsedAsFarAsItIsKnown) {
  ASSERT_EQ(loadError("good/larger.so", IST_OK), "");
  ist_error error;
  ist_device *d = nullptr;
  ASSERT_EQ(ist_device_open("abi2:0", nullptr, &d, &error), IST_OK)
      << error.message;
  ist_device_release(d);
}

TEST(Plugin, WhatIsRefusedSaysWhy) {
  auto has = [](const std::string &text, const char *part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  has(loadError("bad/smaller.so", IST_UNAVAILABLE), "'kernel_get'");
  has(loadError("bad/null-slot.so", IST_UNAVAILABLE), "has no 'submit'");
  has(loadError("bad/other-abi.so", IST_UNAVAILABLE), "it is for ABI 99");
  has(loadError("bad/clash.so", IST_UNAVAILABLE), "a driver 'cpu' already");
  has(loadError("bad/bad-name.so", IST_UNAVAILABLE), "'a:b'");
  has(loadError("good/library.so", IST_UNAVAILABLE), "ist_driver_entry");
  has(loadError("nothing.so", IST_NOT_FOUND), "nothing.so");
  std::string text = testing::TempDir() + "isthmus-no-library.so";
  std::ofstream(text) << "not a library";
  ist_error error;
  EXPECT_EQ(ist_plugin_load(text.c_str(), &error), IST_UNAVAILABLE);
  has(error.message, "isthmus-no-library.so");
  std::remove(text.c_str());
  EXPECT_EQ(ist_plugin_load(nullptr, &error), IST_INVALID_ARGUMENT);
}

TEST(Plugin, DirectoriesAndFilesOfThePath) {
  EXPECT_IN_CHILD({
    ::setenv(
        "ISTHMUS_PLUGIN_PATH",
        (plugins + "/good:" + plugins + "/bad/clash.so:/nowhere.so").c_str(),
        1);
    Seen seen = look();
    std::string all;
    for (const std::string &s : seen.devices)
      all += s + "\n";
    for (const std::string &s : seen.drivers)
      all += s + "\n";
    for (const char *part :
         {"abi:0|test device 0, abi-0\n", "abi:1|test device 1, abi-1\n",
          "abi2:1|", "\ncpu|1|\n", "abi|2|\n", "clash.so|0|plug-in",
          "/nowhere.so|0|"})
      if (all.find(part) == std::string::npos)
        return part + ("\nis not in\n" + all);
    // A library that is no plug-in is no business of ours in a directory.
    return all.find("library.so") == std::string::npos ? "" : all;
  });
}

TEST(Plugin, AnAbsentLibraryIsTold) {
  EXPECT_IN_CHILD({
    ::setenv("ISTHMUS_PLUGIN_PATH", (plugins + "/good/v1.so").c_str(), 1);
    ::setenv("ISTHMUS_ABI_ABSENT", "1", 1);
    Seen seen = look();
    if (seen.devices.size() != 1)
      return "its devices are listed";
    if (seen.drivers.back() != "abi|0|libabi.so.1 is not there")
      return seen.drivers.back();
    ist_error error;
    ist_device *d = nullptr;
    if (ist_device_open("abi", nullptr, &d, &error) != IST_UNAVAILABLE)
      return "it can be opened";
    return "";
  });
}

TEST(Plugin, OpeningABuiltInDeviceLoadsNone) {
  EXPECT_IN_CHILD({
    ::setenv("ISTHMUS_PLUGIN_PATH", (plugins + "/good/v1.so").c_str(), 1);
    ist_error error;
    ist_device *d = nullptr;
    if (ist_device_open("cpu", nullptr, &d, &error))
      return error.message;
    ist_device_release(d);
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
      if (line.find("good/v1.so") != std::string::npos)
        return line;
    // But one whose driver is not known yet does.
    if (ist_device_open("abi:0", nullptr, &d, &error))
      return error.message;
    ist_device_release(d);
    return "";
  });
}

} // namespace
