//===- opencl_header_test.cpp - our table against OpenCL's header ---------===//
#include "opencl.h" // ours
#include "symbols_test.h"

#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_ext.h>

namespace {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  static_assert(sameAbi<result(*) parameters, decltype(&::symbol)>, #symbol);
#include "opencl_symbols.h"
#define IST_EXTENSION(result, name, symbol, parameters)                        \
  static_assert(sameAbi<result(*) parameters, ::symbol##_fn>, #symbol);
#include "opencl_symbols.h"
} // namespace
