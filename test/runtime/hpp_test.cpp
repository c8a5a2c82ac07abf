//===- hpp_test.cpp - runtime.hpp -----------------------------------------===//
#include "builder.h"

#include <type_traits>

using namespace isthmus;
using namespace isthmus::test;

namespace {

static_assert(!std::is_copy_constructible_v<Device> &&
                  std::is_nothrow_move_constructible_v<Session> &&
                  sizeof(Program) == sizeof(void *),
              "handles are pointers with an owner");

TEST(Hpp, FromOpenToCall) {
  Result<Device> device = Device::open("cpu");
  ASSERT_TRUE(device) << device.status().describe();
  EXPECT_EQ(device->name(), "cpu");
  EXPECT_EQ(device->memory()->used, 0u);
  std::string bytes = addScale();
  Result<Program> program = Program::load(bytes.data(), bytes.size(), *device);
  ASSERT_TRUE(program) << program.status().describe();
  EXPECT_EQ(program->info().function_count, 1u);
  EXPECT_TRUE(program->remarks().empty());
  Result<Program::Function> main = program->function("main");
  ASSERT_TRUE(main);
  ASSERT_EQ(main->inputs.size(), 1u);
  EXPECT_STREQ(main->inputs[0].name, "x");
  EXPECT_STREQ(main->symbols[0].name, "n");

  float x[3] = {1, 2, 3};
  std::vector<ist_tensor> inputs = {tensor(x, {3})};
  auto shapes = program->outputShapes(main->index, inputs);
  ASSERT_TRUE(shapes);
  EXPECT_EQ((*shapes)[0].bytes, 12u);
  EXPECT_GT(program->memoryNeed(main->index, inputs)->arena_bytes, 0u);

  Result<Session> session = Session::create(*program);
  ASSERT_TRUE(session);
  ASSERT_TRUE(session->prepare("main", inputs));
  float y[3];
  std::vector<ist_tensor> outputs = {tensor(y, {3})};
  ASSERT_TRUE(session->call("main", inputs, outputs));
  EXPECT_EQ(y[2], 15);
  EXPECT_EQ(session->counters().calls, 1u);

  // In device memory that outlives neither.
  Result<Buffer> buffer = device->alloc(12);
  ASSERT_TRUE(buffer);
  ASSERT_TRUE(
      device->copy(buffer->data(), IST_MEMORY_DEVICE, x, IST_MEMORY_HOST, 12));
  inputs[0] =
      tensor(static_cast<float *>(buffer->data()), {3}, IST_MEMORY_DEVICE);
  ASSERT_TRUE(session->call("main", inputs, outputs));
  EXPECT_EQ(y[0], 9);
  Buffer moved = std::move(*buffer);
  EXPECT_EQ(buffer->data(), nullptr);
  EXPECT_EQ(moved.bytes(), 12u);
  moved.reset();
  moved.reset();

  // Handles may go in any order.
  device->reset();
  program->reset();
  inputs[0] = tensor(x, {3});
  EXPECT_TRUE(session->call("main", inputs, outputs));
}

TEST(Hpp, FailuresAreResults) {
  Result<Device> device = Device::open("nothing");
  EXPECT_FALSE(device);
  EXPECT_EQ(device.status().code(), IST_NOT_FOUND);
  EXPECT_EQ(device.status().describe().find("NOT_FOUND: there is no driver"),
            0u);
  EXPECT_EQ(Status().describe(), "OK");
  Result<Program> program = Program::inspect("/nowhere.ist");
  EXPECT_EQ(program.status().code(), IST_NOT_FOUND);
  std::string bytes = addScale();
  Program p = test::load(bytes);
  EXPECT_EQ(p.function("other").status().code(), IST_NOT_FOUND);
  EXPECT_EQ(p.outputShapes(7, {}).status().code(), IST_NOT_FOUND);
  Session s = test::session(p);
  std::vector<ist_tensor> outputs(1);
  EXPECT_EQ(s.call("main", {}, outputs).code(), IST_INVALID_ARGUMENT);
  EXPECT_EQ(s.bind("nobody", &outputs[0]).code(), IST_NOT_FOUND);
  s.setTimeout(1);
  float x[1] = {1};
  EXPECT_EQ(s.call("main", {tensor(x, {1})}, outputs).code(),
            IST_DEADLINE_EXCEEDED);
  s.setTimeout(0);
  s.cancel(); // no effect on later calls
  EXPECT_TRUE(s.call("main", {tensor(x, {1})}, outputs));
}

TEST(Hpp, Asynchronous) {
  std::string bytes = addScale();
  Program p = test::load(bytes);
  Session s = test::session(p);
  Result<Semaphore> go = Semaphore::create(), done = Semaphore::create(4);
  ASSERT_TRUE(go && done);
  EXPECT_EQ(done->value(), 4u);
  float x[2] = {0, 0}, y[2];
  std::vector<ist_tensor> inputs = {tensor(x, {2})}, outputs = {tensor(y, {2})};
  ASSERT_TRUE(s.callAsync("main", inputs, outputs, {go->at(1)}, {done->at(5)}));
  EXPECT_EQ(done->wait(5, 1000).code(), IST_DEADLINE_EXCEEDED);
  x[1] = 1; // it has not begun
  ASSERT_TRUE(go->signal(1));
  ASSERT_TRUE(done->wait(5));
  EXPECT_EQ(y[0], 6);
  EXPECT_EQ(y[1], 9);
  EXPECT_EQ(go->signal(1).code(), IST_INVALID_ARGUMENT);
}

TEST(Hpp, VariantsAndWhoGetsThem) {
  std::string bytes = addScale();
  Program p = test::load(bytes, nullptr);
  std::vector<Program::Variant> variants = p.variants();
  ASSERT_EQ(variants.size(), 1u);
  EXPECT_STREQ(variants[0].info.target, "cpu:test");
  EXPECT_EQ(variants[0].facts.size(), variants[0].info.fact_count);
  ist_device_description d = IST_DEVICE_DESCRIPTION_INIT;
  d.vendor = "cpu";
  d.formats = "elf";
  std::vector<std::pair<uint32_t, std::string>> passedOver;
  Result<uint32_t> chosen = p.choose(d, &passedOver);
  ASSERT_TRUE(chosen) << chosen.status().describe();
  EXPECT_EQ(*chosen, 0u);
  EXPECT_TRUE(passedOver.empty());
  d.vendor = "nvidia";
  EXPECT_EQ(p.choose(d, &passedOver).status().code(), IST_UNAVAILABLE);
  ASSERT_EQ(passedOver.size(), 1u);
  EXPECT_NE(passedOver[0].second.find("cpu"), std::string::npos);
  EXPECT_FALSE(p.choose(d));
}

TEST(Hpp, WhatDevicesAndSessionsTell) {
  Device cpu = Device::open("cpu").orThrow(), other = Device::open().orThrow();
  bool arch = false;
  for (const auto &[key, value] : cpu.facts())
    arch |= key == "cpu.arch" && !value.empty();
  EXPECT_TRUE(arch);
  EXPECT_EQ(cpu.native().status().code(), IST_UNAVAILABLE);
  EXPECT_EQ(cpu.counters().status().code(), IST_UNAVAILABLE);
  EXPECT_EQ(cpu.resetCounters().code(), IST_UNAVAILABLE);
  Buffer from = other.alloc(12).orThrow(), to = cpu.alloc(12).orThrow();
  float x[3] = {1, 2, 3}, y[3] = {};
  ASSERT_TRUE(
      other.copy(from.data(), IST_MEMORY_DEVICE, x, IST_MEMORY_HOST, 12));
  ASSERT_TRUE(cpu.copyFrom(to.data(), other, from.data(), 12));
  ASSERT_TRUE(cpu.copy(y, IST_MEMORY_HOST, to.data(), IST_MEMORY_DEVICE, 12));
  EXPECT_EQ(y[2], 3);

  std::string bytes = addScale();
  Program p = test::load(bytes);
  Session s = test::session(p);
  EXPECT_EQ(s.native().status().code(), IST_UNAVAILABLE);
  ASSERT_TRUE(s.setProfiling(true));
  std::vector<ist_tensor> outputs = {tensor(y, {3})};
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(s.call("main", {tensor(x, {3})}, outputs));
  Result<ist_launch_profile> profile = s.profile(0, 1);
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->count, 3u);
  EXPECT_EQ(s.profile(0, 9).status().code(), IST_NOT_FOUND);
}

TEST(Hpp, ExceptionsForThoseWhoAsk) {
  Device d = Device::open("cpu").orThrow();
  EXPECT_TRUE(d);
  try {
    Device::open("nothing").orThrow();
    FAIL();
  } catch (const Exception &e) {
    EXPECT_EQ(e.code, IST_NOT_FOUND);
    EXPECT_NE(std::string(e.what()).find("no driver"), std::string::npos);
  }
}

TEST(Hpp, HandlesMove) {
  std::string bytes = addScale();
  Program a = test::load(bytes), b;
  ist_program *p = a.get();
  b = std::move(a);
  EXPECT_FALSE(a);
  EXPECT_EQ(b.get(), p);
  Program c(b.release());
  EXPECT_FALSE(b);
  Program &self = c;
  c = std::move(self);
  EXPECT_EQ(c.get(), p);
}

} // namespace
