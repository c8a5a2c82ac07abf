//===- npy.cpp - reads and writes .npy files ------------------------------===//
//
// The format is numpy/lib/format.py's: magic, version, header length, a Python
// dict as text, data.
//
//===----------------------------------------------------------------------===//
#include "npy.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>

using namespace isthmus::tools;

namespace {

// By ist_dtype.
const char *const descriptors[] = {"<f4", "<f8", "<f2", "<u2", "|i1",
                                   "<i2", "<i4", "<i8", "|u1", "<u2",
                                   "<u4", "<u8", "|b1"};

struct File {
  std::FILE *f;
  ~File() {
    if (f)
      std::fclose(f);
  }
};

/// The text after 'key': up to a comma outside parentheses.
bool field(const std::string &header, const std::string &key,
           std::string *value) {
  size_t at = header.find("'" + key + "':");
  if (at == std::string::npos)
    return false;
  at += key.size() + 3;
  int depth = 0;
  value->clear();
  for (; at < header.size(); ++at) {
    char c = header[at];
    if ((c == ',' || c == '}') && depth == 0)
      break;
    depth += c == '(';
    depth -= c == ')';
    if (c != ' ')
      value->push_back(c);
  }
  return true;
}

bool fits(const std::string &descr, ist_dtype dtype) {
  if (descr == "'" + std::string(descriptors[dtype]) + "'")
    return true;
  // One-byte types have no byte order, but some writers give one.
  if (descr.size() == 5 && descr[1] == '<' && descriptors[dtype][0] == '|' &&
      descr.substr(2, 2) == descriptors[dtype] + 1)
    return true;
  return dtype == IST_BF16 && descr == "'|V2'";
}

} // namespace

OwnedTensor &OwnedTensor::operator=(OwnedTensor &&other) noexcept {
  std::swap(tensor, other.tensor);
  return *this;
}

OwnedTensor::~OwnedTensor() { std::free(tensor.data); }

bool OwnedTensor::allocate() {
  size_t bytes = ist_dtype_size(tensor.dtype);
  for (int32_t d = 0; d < tensor.rank; ++d)
    if (tensor.dims[d] < 0 ||
        __builtin_mul_overflow(bytes, static_cast<size_t>(tensor.dims[d]),
                               &bytes) ||
        bytes > SIZE_MAX / 2)
      return false;
  tensor.bytes = bytes;
  tensor.capacity = (bytes + 63) / 64 * 64 + 64;
  tensor.data = std::aligned_alloc(64, tensor.capacity);
  return tensor.data != nullptr;
}

bool isthmus::tools::readNpy(const std::string &path, ist_dtype dtype,
                             OwnedTensor *out, std::string &err) {
  auto fail = [&](const std::string &why) {
    err = fmt::format("{}: {}", path, why);
    return false;
  };
  File file{std::fopen(path.c_str(), "rb")};
  if (!file.f)
    return fail(std::strerror(errno));
  unsigned char head[12];
  if (std::fread(head, 1, 10, file.f) != 10 ||
      std::memcmp(head, "\x93NUMPY", 6) != 0)
    return fail("not an .npy file");
  size_t size = head[8] | head[9] << 8;
  if (head[6] > 3)
    return fail("an .npy version that is not known");
  if (head[6] >= 2) {
    if (std::fread(head + 10, 1, 2, file.f) != 2)
      return fail("cut short");
    size |= static_cast<size_t>(head[10]) << 16 | static_cast<size_t>(head[11])
                                                      << 24;
  }
  if (size > 1 << 20)
    return fail("its header is too long");
  std::string header(size, ' '), descr, order, shape;
  if (std::fread(&header[0], 1, size, file.f) != size)
    return fail("cut short");
  if (!field(header, "descr", &descr) ||
      !field(header, "fortran_order", &order) ||
      !field(header, "shape", &shape))
    return fail("its header is malformed");
  if (!fits(descr, dtype))
    return fail(fmt::format("has type {} where {} ('{}') is needed; convert "
                            "it with numpy's astype",
                            descr, ist_dtype_name(dtype), descriptors[dtype]));
  out->tensor = {};
  out->tensor.dtype = dtype;
  for (const char *p = shape.c_str(); *p;) {
    if (*p < '0' || *p > '9') {
      ++p;
      continue;
    }
    if (out->tensor.rank == IST_MAX_RANK)
      return fail(fmt::format("has more than {} dims", int(IST_MAX_RANK)));
    char *end;
    out->tensor.dims[out->tensor.rank++] = std::strtoll(p, &end, 10);
    p = end;
  }
  if (order == "True" && out->tensor.rank > 1)
    return fail("is in Fortran order; save it with numpy.ascontiguousarray");
  if (!out->allocate())
    return fail("there is no memory for it");
  if (std::fread(out->tensor.data, 1, out->tensor.bytes, file.f) !=
      out->tensor.bytes)
    return fail("cut short");
  return true;
}

bool isthmus::tools::writeNpy(const std::string &path, const ist_tensor &tensor,
                              std::string &err) {
  std::string shape;
  for (int32_t d = 0; d < tensor.rank; ++d)
    shape += fmt::format("{}, ", tensor.dims[d]);
  if (tensor.rank > 1)
    shape.resize(shape.size() - 2);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                  descriptors[tensor.dtype], shape);
  // Data begins at a multiple of 64.
  header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  unsigned char head[] = {0x93,
                          'N',
                          'U',
                          'M',
                          'P',
                          'Y',
                          1,
                          0,
                          static_cast<unsigned char>(header.size() & 255),
                          static_cast<unsigned char>(header.size() >> 8)};
  File file{std::fopen(path.c_str(), "wb")};
  bool ok =
      file.f && std::fwrite(head, 1, 10, file.f) == 10 &&
      std::fwrite(header.data(), 1, header.size(), file.f) == header.size() &&
      std::fwrite(tensor.data, 1, tensor.bytes, file.f) == tensor.bytes &&
      std::fflush(file.f) == 0;
  if (!ok)
    err = fmt::format("{}: {}", path, std::strerror(errno));
  return ok;
}
