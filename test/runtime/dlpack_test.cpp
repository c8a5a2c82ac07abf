//===- dlpack_test.cpp - tensors from and to other libraries --------------===//
#include "builder.h"

#include <isthmus/dlpack.h>

using namespace isthmus;
using namespace isthmus::test;

namespace {

class Dlpack : public testing::Test {
protected:
  Dlpack() {
    t.data = values;
    t.device = {1, 0};
    t.ndim = 2;
    t.dtype = {2, 32, 1};
    t.shape = shape;
  }
  ist_status from(const ist_device *device = nullptr) {
    error = {};
    out = {};
    return ist_tensor_from_dlpack(device, &t, &out, &error);
  }
  std::string message() { return error.message; }

  float values[6] = {1, 2, 3, 4, 5, 6};
  int64_t shape[2] = {2, 3}, strides[2] = {3, 1};
  ist_dl_tensor t = {};
  ist_tensor out;
  ist_error error;
};

TEST_F(Dlpack, TheLayoutsAreThePublicOnes) {
  // dlpack.h of version 1.0, on 64 bits.
  EXPECT_EQ(sizeof(ist_dl_tensor), 48u);
  EXPECT_EQ(offsetof(ist_dl_tensor, dtype), 20u);
  EXPECT_EQ(offsetof(ist_dl_tensor, shape), 24u);
  EXPECT_EQ(offsetof(ist_dl_tensor, byte_offset), 40u);
  EXPECT_EQ(sizeof(ist_dl_managed), 64u);
  EXPECT_EQ(offsetof(ist_dl_managed, deleter), 56u);
  EXPECT_EQ(sizeof(ist_dl_versioned), 80u);
  EXPECT_EQ(offsetof(ist_dl_versioned, context), 8u);
  EXPECT_EQ(offsetof(ist_dl_versioned, flags), 24u);
  EXPECT_EQ(offsetof(ist_dl_versioned, tensor), 32u);
}

TEST_F(Dlpack, In) {
  for (bool strided : {false, true}) {
    t.strides = strided ? strides : nullptr;
    ASSERT_EQ(from(), IST_OK) << message();
    EXPECT_EQ(out.data, values);
    EXPECT_EQ(out.capacity, 24u);
    EXPECT_EQ(out.bytes, 24u);
    EXPECT_EQ(out.dtype, IST_F32);
    EXPECT_EQ(out.rank, 2);
    EXPECT_EQ(out.dims[1], 3);
    EXPECT_EQ(out.memory, IST_MEMORY_HOST);
  }
  t.byte_offset = 4;
  shape[1] = 2;
  t.strides = nullptr;
  ASSERT_EQ(from(), IST_OK);
  EXPECT_EQ(out.data, values + 1);
  // Strides that no address depends on.
  int64_t odd[2] = {77, 1};
  t.strides = odd;
  shape[0] = 1;
  EXPECT_EQ(from(), IST_OK);
  shape[0] = 0;
  EXPECT_EQ(from(), IST_OK);
  EXPECT_EQ(out.bytes, 0u);
}

TEST_F(Dlpack, WhatIsRefusedSaysWhy) {
  std::swap(strides[0], strides[1]);
  t.strides = strides;
  EXPECT_EQ(from(), IST_INVALID_ARGUMENT);
  EXPECT_NE(message().find("not dense: dim 1 of 3 has stride 3"),
            std::string::npos)
      << message();
  t.strides = nullptr;
  t.dtype = {5, 64, 1};
  EXPECT_EQ(from(), IST_INVALID_ARGUMENT);
  EXPECT_NE(message().find("code 5"), std::string::npos);
  t.dtype = {2, 32, 4};
  EXPECT_EQ(from(), IST_INVALID_ARGUMENT);
  t.dtype = {2, 32, 1};
  t.ndim = 17;
  EXPECT_EQ(from(), IST_INVALID_ARGUMENT);
  t.ndim = 2;
  shape[0] = INT64_MAX;
  EXPECT_EQ(from(), IST_INVALID_ARGUMENT);
  shape[0] = 2;
  t.device = {2, 0};
  for (const ist_device *d :
       {(const ist_device *)nullptr, (const ist_device *)device()}) {
    EXPECT_EQ(from(d), IST_UNAVAILABLE);
    EXPECT_NE(message().find("device 2:0"), std::string::npos);
  }
  ist_dl_versioned v = {2, 1, nullptr, nullptr, 0, t};
  EXPECT_EQ(ist_tensor_from_dlpack_versioned(nullptr, &v, &out, &error),
            IST_UNIMPLEMENTED);
  EXPECT_NE(message().find("2.1"), std::string::npos);
}

TEST_F(Dlpack, OutAndInAgain) {
  for (int type = IST_F32; type <= IST_I1; ++type)
    for (ist_memory memory : {IST_MEMORY_HOST, IST_MEMORY_DEVICE}) {
      ist_tensor in = {};
      in.data = values;
      in.dtype = static_cast<ist_dtype>(type);
      in.rank = 3;
      in.dims[0] = in.dims[1] = in.dims[2] = 1;
      in.memory = memory;
      int released = 0;
      auto release = [](void *user) { ++*static_cast<int *>(user); };
      ist_dl_managed *m = nullptr;
      ASSERT_EQ(
          ist_tensor_to_dlpack(device(), &in, release, &released, &m, &error),
          IST_OK);
      ist_dl_versioned *v = nullptr;
      ASSERT_EQ(ist_tensor_to_dlpack_versioned(device(), &in, release,
                                               &released, IST_DL_READ_ONLY, &v,
                                               &error),
                IST_OK);
      EXPECT_EQ(v->major, 1u);
      EXPECT_EQ(v->flags, 1u);
      ASSERT_EQ(ist_tensor_from_dlpack_versioned(device(), v, &out, &error),
                IST_OK);
      EXPECT_EQ(out.dtype, in.dtype);
      EXPECT_EQ(out.data, in.data);
      EXPECT_EQ(out.rank, 3);
      EXPECT_EQ(m->tensor.strides[0], 1);
      EXPECT_EQ(released, 0);
      m->deleter(m);
      v->deleter(v);
      EXPECT_EQ(released, 2);
    }
}

TEST_F(Dlpack, StridesOfWhatIsGiven) {
  ist_tensor in = tensor(std::vector<float>(), {2, 3, 4});
  ist_dl_managed *m = nullptr;
  ASSERT_EQ(ist_tensor_to_dlpack(nullptr, &in, nullptr, nullptr, &m, &error),
            IST_OK);
  EXPECT_EQ(m->tensor.strides[0], 12);
  EXPECT_EQ(m->tensor.strides[1], 4);
  EXPECT_EQ(m->tensor.strides[2], 1);
  m->deleter(m);
  in.memory = IST_MEMORY_DEVICE;
  EXPECT_EQ(ist_tensor_to_dlpack(nullptr, &in, nullptr, nullptr, &m, &error),
            IST_INVALID_ARGUMENT);
}

} // namespace
