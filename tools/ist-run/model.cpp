//===- model.cpp - what the tools share: load, fill, show -----------------===//
#include "model.h"

#include <cmath>
#include <cstring>
#include <fmt/format.h>

using namespace isthmus::tools;

namespace {

bool failed(Failure &failure, const ist_error &error) {
  failure = {error.code, error.message};
  return false;
}

double halfToDouble(uint16_t h) {
  int exponent = h >> 10 & 31, mantissa = h & 1023;
  double v = exponent == 31  ? (mantissa ? NAN : INFINITY)
             : exponent == 0 ? std::ldexp(mantissa, -24)
                             : std::ldexp(mantissa | 1024, exponent - 25);
  return h & 0x8000 ? -v : v;
}

/// Rounds to zero, which is good enough for random numbers.
uint16_t doubleToHalf(double v) {
  uint16_t sign = v < 0 ? 0x8000 : 0;
  v = std::fabs(v);
  if (v < 6.103515625e-05)
    return sign | static_cast<uint16_t>(v * 16777216);
  int exponent;
  double m = std::frexp(v, &exponent);
  return sign | static_cast<uint16_t>((exponent + 14) << 10 |
                                      (static_cast<int>(m * 2048) & 1023));
}

template <typename T> T loadAs(const char *p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <typename T> void storeAs(char *p, T v) {
  std::memcpy(p, &v, sizeof v);
}

} // namespace

double isthmus::tools::element(const ist_tensor &t, size_t i) {
  const char *p =
      static_cast<const char *>(t.data) + i * ist_dtype_size(t.dtype);
  switch (t.dtype) {
  case IST_F32:
    return loadAs<float>(p);
  case IST_F64:
    return loadAs<double>(p);
  case IST_F16:
    return halfToDouble(loadAs<uint16_t>(p));
  case IST_BF16: {
    uint32_t bits = static_cast<uint32_t>(loadAs<uint16_t>(p)) << 16;
    return loadAs<float>(reinterpret_cast<const char *>(&bits));
  }
  case IST_I8:
    return loadAs<int8_t>(p);
  case IST_I16:
    return loadAs<int16_t>(p);
  case IST_I32:
    return loadAs<int32_t>(p);
  case IST_I64:
    return static_cast<double>(loadAs<int64_t>(p));
  case IST_U8:
  case IST_I1:
    return loadAs<uint8_t>(p);
  case IST_U16:
    return loadAs<uint16_t>(p);
  case IST_U32:
    return loadAs<uint32_t>(p);
  case IST_U64:
    return static_cast<double>(loadAs<uint64_t>(p));
  }
  return NAN;
}

bool isthmus::tools::parseShapes(const std::vector<std::string> &args,
                                 Shapes *out, std::string &err) {
  for (const std::string &arg : args) {
    size_t begin = 0;
    while (begin <= arg.size()) {
      size_t end = arg.find(',', begin);
      if (end == std::string::npos)
        end = arg.size();
      std::string part = arg.substr(begin, end - begin);
      size_t eq = part.rfind('=');
      char *stop = nullptr;
      long long v = eq == std::string::npos
                        ? -1
                        : std::strtoll(part.c_str() + eq + 1, &stop, 10);
      if (v < 0 || *stop || stop == part.c_str() + eq + 1) {
        err = fmt::format("--shape={}: write name=size, as in batch=4", arg);
        return false;
      }
      (*out)[part.substr(0, eq)] = v;
      begin = end + 1;
    }
  }
  return true;
}

bool Model::load(const std::string &path, const std::string &deviceName,
                 int variant, bool inspect, Failure &failure) {
  ist_error error = {};
  if (!inspect) {
    ist_device *d = nullptr;
    if (ist_device_open(deviceName.empty() ? nullptr : deviceName.c_str(),
                        nullptr, &d, &error))
      return failed(failure, error);
    device.reset(d);
  }
  ist_program *p = nullptr;
  if (ist_program_load(path.c_str(), device.get(), variant, &p, &error))
    return failed(failure, error);
  program.reset(p);
  return true;
}

bool Model::select(const std::string &function, Failure &failure) {
  ist_error error = {};
  if (ist_program_find_function(program.get(), function.c_str(), &index,
                                &error))
    return failed(failure, error);
  name = function;
  if (ist_program_function(program.get(), index, &info, &error))
    return failed(failure, error);
  symbols.resize(info.symbol_count);
  inputs.resize(info.input_count);
  outputs.resize(info.output_count);
  for (uint32_t i = 0; i < info.symbol_count; ++i)
    if (ist_program_symbol(program.get(), index, i, &symbols[i], &error))
      return failed(failure, error);
  for (uint32_t i = 0; i < info.input_count; ++i)
    if (ist_program_input(program.get(), index, i, &inputs[i], &error))
      return failed(failure, error);
  for (uint32_t i = 0; i < info.output_count; ++i)
    if (ist_program_output(program.get(), index, i, &outputs[i], &error))
      return failed(failure, error);
  return true;
}

bool Model::sizes(const Shapes &shapes, std::vector<int64_t> *out,
                  Failure &failure) const {
  std::string known;
  for (const ist_symbol_info &s : symbols) {
    known += known.empty() ? s.name : std::string(", ") + s.name;
    auto it = shapes.find(s.name);
    int64_t least = s.min > 1 ? s.min : 1;
    least = (least + s.multiple - 1) / s.multiple * s.multiple;
    if (least > s.max)
      least = s.min;
    out->push_back(it != shapes.end() ? it->second : least);
  }
  for (const auto &[symbol, size] : shapes) {
    bool found = false;
    for (const ist_symbol_info &s : symbols)
      found |= symbol == s.name;
    if (!found) {
      failure = {IST_NOT_FOUND,
                 fmt::format("--shape: function '{}' has no dim '{}'; it has: "
                             "{}",
                             name, symbol, known.empty() ? "none" : known)};
      return false;
    }
  }
  return true;
}

ist_tensor Model::shaped(size_t i, const std::vector<int64_t> &values) const {
  const ist_tensor_info &in = inputs[i];
  ist_tensor t = {};
  t.dtype = in.dtype;
  t.rank = in.rank;
  for (int32_t d = 0; d < in.rank; ++d)
    t.dims[d] =
        in.dims[d].size >= 0 ? in.dims[d].size : values[in.dims[d].symbol];
  return t;
}

bool isthmus::tools::randomTensor(const ist_tensor &shape, uint64_t seed,
                                  OwnedTensor *out) {
  out->tensor = shape;
  out->tensor.data = nullptr;
  if (!out->allocate())
    return false;
  ist_dtype type = shape.dtype;
  size_t width = ist_dtype_size(type), n = out->tensor.bytes / width;
  char *p = static_cast<char *>(out->tensor.data);
  uint64_t state = seed;
  for (size_t i = 0; i < n; ++i, p += width) {
    // splitmix64: https://prng.di.unimi.it/splitmix64.c
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    z ^= z >> 31;
    double v = static_cast<double>(z >> 11) * 0x1p-52 - 1;
    if (type == IST_F32)
      storeAs(p, static_cast<float>(v));
    else if (type == IST_F64)
      storeAs(p, v);
    else if (type == IST_F16)
      storeAs(p, doubleToHalf(v));
    else if (type == IST_BF16) {
      float f = static_cast<float>(v);
      uint32_t bits;
      std::memcpy(&bits, &f, sizeof bits);
      storeAs(p, static_cast<uint16_t>(bits >> 16));
    } else {
      std::memset(p, 0, width);
      *p = static_cast<char>(z & 1);
    }
  }
  return true;
}

bool RandomCall::prepare(const std::string &path, const std::string &device,
                         int variant, const std::string &function,
                         const std::vector<std::string> &sizes, uint64_t seed,
                         Failure &failure) {
  std::string err;
  Shapes shapes;
  if (!parseShapes(sizes, &shapes, err)) {
    failure = {IST_INVALID_ARGUMENT, err};
    return false;
  }
  if (!model.load(path, device, variant, false, failure) ||
      !model.select(function, failure) ||
      !model.sizes(shapes, &symbols, failure))
    return false;
  owned.resize(model.inputs.size());
  outputs.resize(model.outputs.size());
  for (size_t i = 0; i < owned.size(); ++i) {
    if (!randomTensor(model.shaped(i, symbols), seed + i, &owned[i])) {
      failure = {IST_RESOURCE_EXHAUSTED,
                 fmt::format("no memory for input '{}'", model.inputs[i].name)};
      return false;
    }
    inputs.push_back(owned[i].tensor);
  }
  ist_session *s = nullptr;
  ist_error error = {};
  if (ist_session_create(model.program.get(), nullptr, &s, &error))
    return failed(failure, error);
  session.reset(s);
  return true;
}

bool RandomCall::call(Failure &failure) {
  ist_error error = {};
  if (ist_call(session.get(), model.name.c_str(), inputs.data(), inputs.size(),
               outputs.data(), outputs.size(), &error))
    return failed(failure, error);
  return true;
}

std::string
isthmus::tools::typeText(const ist_tensor_info &info,
                         const std::vector<ist_symbol_info> &symbols) {
  std::string dims;
  for (int32_t d = 0; d < info.rank; ++d) {
    if (d)
      dims += ",";
    const ist_dim_info &dim = info.dims[d];
    dims += dim.size >= 0     ? std::to_string(dim.size)
            : dim.symbol >= 0 ? symbols[dim.symbol].name
                              : "?";
  }
  return fmt::format("{}[{}]", ist_dtype_name(info.dtype), dims);
}

std::string isthmus::tools::summary(const ist_tensor &t) {
  std::string dims;
  for (int32_t d = 0; d < t.rank; ++d)
    dims += fmt::format("{}{}", d ? "," : "", t.dims[d]);
  std::string text = fmt::format("{}[{}]", ist_dtype_name(t.dtype), dims);
  size_t n = t.bytes / ist_dtype_size(t.dtype);
  if (n == 0)
    return text + " empty";
  double least = INFINITY, most = -INFINITY, sum = 0;
  size_t nans = 0;
  for (size_t i = 0; i < n; ++i) {
    double v = element(t, i);
    if (std::isnan(v)) {
      ++nans;
      continue;
    }
    least = v < least ? v : least;
    most = v > most ? v : most;
    sum += v;
  }
  if (n > nans)
    text += fmt::format(" min {:.6g} max {:.6g} mean {:.6g}", least, most,
                        sum / static_cast<double>(n - nans));
  if (nans)
    text += fmt::format(" nan {}", nans);
  text += ":";
  for (size_t i = 0; i < n && i < 8; ++i)
    text += fmt::format("{} {:.6g}", i ? "," : "", element(t, i));
  return text + (n > 8 ? ", ..." : "");
}
