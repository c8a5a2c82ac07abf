//===- stream_vendors.cpp - the drivers over streams, and their fakes -----===//
#include "stream_test.h"

extern "C" {
extern const ist_driver ist_cuda_driver, ist_hip_driver, ist_level_zero_driver;
}

using namespace isthmus;
using namespace isthmus::test;

std::ostream &test::operator<<(std::ostream &out, const Vendor &v) {
  return out << v.name;
}

static constexpr int kZeLost = 0x70000001, kZeOutOfMemory = 0x70000003;
static const std::vector<Vendor> all = {
    {"cuda", &ist_cuda_driver, "ISTHMUS_CUDA_LIBRARY", IST_FAKE_CUDA, "ptx", 2,
     700, "cuda.stream", ISTHMUS_TEST_KERNELS},
    {"hip", &ist_hip_driver, "ISTHMUS_HIP_LIBRARY", IST_FAKE_HIP_PATH, "hsaco",
     2, 700, "hip.stream", ISTHMUS_TEST_KERNELS},
    {"level_zero", &ist_level_zero_driver, "ISTHMUS_LEVEL_ZERO_LIBRARY",
     IST_FAKE_LEVEL_ZERO, "spirv", kZeOutOfMemory, kZeLost, nullptr,
     IST_TEST_SPIRV},
    {"level_zero_1_3", &ist_level_zero_driver, "ISTHMUS_LEVEL_ZERO_LIBRARY",
     IST_FAKE_LEVEL_ZERO, "spirv", kZeOutOfMemory, kZeLost, nullptr,
     IST_TEST_SPIRV, true},
};

const std::vector<Vendor> &test::vendors() { return all; }
