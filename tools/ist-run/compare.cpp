//===- compare.cpp - ist-run --compare=reference --------------------------===//
//
// An artifact made with --reference holds functions named "*.compare". Behind
// each launch they run its operations again, one a kernel and one lane a
// kernel, on the same operands, and return all of it: "launch.3.in.0" is an
// operand of the function's launch 3, "launch.3.out.0" its result and
// "launch.3.ref.0" the reference's. Errors do not add up along the model, so
// the first launch that differs is the one that is wrong.
//
//===----------------------------------------------------------------------===//
#include "compare.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fmt/ranges.h>
#include <fstream>

using namespace isthmus;
using namespace isthmus::tools;

namespace {

/// What one launch read and wrote.
struct Launch {
  uint32_t index;
  std::vector<size_t> in, out, ref; // outputs of the function
};

/// How far a result may be off: docs/numerics.md.
struct Tolerance {
  double relative, ofLargest;
};

Tolerance toleranceOf(ist_dtype dtype) {
  switch (dtype) {
  case IST_F64:
    return {1e-9, 1e-12};
  case IST_F32:
    return {1e-3, 1e-5};
  case IST_F16:
    return {4e-3, 1e-3};
  case IST_BF16:
    return {3e-2, 8e-3};
  default:
    return {0, 0};
  }
}

struct Difference {
  bool shapes = false; // they are not alike, and no element was looked at
  size_t count = 0, first = 0, worst = 0;
  double largest = 0; // |got - want|; NaN counts as infinity
};

Difference differ(const ist_tensor &got, const ist_tensor &want) {
  Difference d;
  if (got.dtype != want.dtype || got.rank != want.rank ||
      !std::equal(got.dims, got.dims + got.rank, want.dims)) {
    d.shapes = true;
    return d;
  }
  if (got.bytes == want.bytes && !std::memcmp(got.data, want.data, got.bytes))
    return d;
  size_t count = want.bytes / ist_dtype_size(want.dtype);
  Tolerance t = toleranceOf(want.dtype);
  double scale = 0;
  for (size_t i = 0; i < count; ++i)
    if (double v = std::fabs(element(want, i)); std::isfinite(v))
      scale = std::max(scale, v);
  for (size_t i = 0; i < count; ++i) {
    double a = element(got, i), b = element(want, i);
    if (a == b || (std::isnan(a) && std::isnan(b)))
      continue;
    double error = std::fabs(a - b);
    // Near infinity lies everything.
    if (std::isfinite(b) &&
        error <= t.relative * std::fabs(b) + t.ofLargest * scale)
      continue;
    if (std::isnan(error))
      error = INFINITY;
    if (!d.count++)
      d.first = i;
    if (error > d.largest)
      d.largest = error, d.worst = i;
  }
  return d;
}

/// "[1, 2]": element `at` of a tensor.
std::string position(const ist_tensor &t, size_t at) {
  std::string text;
  for (int32_t d = t.rank; d-- > 0; at /= t.dims[d])
    text =
        fmt::format("{}{}{}", at % t.dims[d], text.empty() ? "" : ", ", text);
  return "[" + text + "]";
}

/// "f32[2, 3]"
std::string type(const ist_tensor &t) {
  return fmt::format("{}[{}]", ist_dtype_name(t.dtype),
                     fmt::join(t.dims, t.dims + t.rank, ", "));
}

bool parse(const char *name, std::vector<Launch> *launches, size_t output) {
  unsigned launch, operand;
  char kind[4];
  if (std::sscanf(name, "launch.%u.%3[a-z].%u", &launch, kind, &operand) != 3)
    return false;
  if (launches->empty() || launches->back().index != launch)
    launches->push_back({launch, {}, {}, {}});
  Launch &l = launches->back();
  (!std::strcmp(kind, "in")    ? l.in
   : !std::strcmp(kind, "out") ? l.out
                               : l.ref)
      .push_back(output);
  return true;
}

/// The text of kernel `name` in the module that istc wrote to `file`; "" if it
/// is not there.
std::string kernelText(const std::string &file, const std::string &name) {
  std::ifstream in(file);
  std::string text, line;
  while (std::getline(in, line)) {
    if (text.empty() &&
        line.find("kernel.func @" + name + " ") == std::string::npos)
      continue;
    text += line + "\n";
    if (line == "  }")
      break;
  }
  return text;
}

class Comparison {
public:
  Comparison(const Model &artifact, const CompareOptions &options)
      : options(options) {
    model.program.reset(artifact.program.get());
  }
  ~Comparison() { model.program.release(); }

  /// 0: all agree; 1: one does not; 2: the call failed.
  int run(const std::string &function, const std::vector<ist_tensor> &inputs,
          Failure &failure);

  size_t compared = 0, uncompared = 0;

private:
  void report(const Launch &launch, size_t result, const Difference &d);
  void reproduce(const Launch &launch, const std::string &kernel,
                 const std::string &text);

  Model model; // the compare function of it; the program is the caller's
  std::vector<ist_tensor> outputs;
  const CompareOptions &options;
};

int Comparison::run(const std::string &function,
                    const std::vector<ist_tensor> &inputs, Failure &failure) {
  if (!model.select(function, failure))
    return 2;
  std::vector<Launch> launches;
  for (size_t i = 0; i < model.outputs.size(); ++i)
    parse(model.outputs[i].name, &launches, i);
  ist_error error = {};
  ist_session *s = nullptr;
  if (ist_session_create(model.program.get(), nullptr, &s, &error)) {
    failure = {error.code, error.message};
    return 2;
  }
  Session session(s);
  outputs.assign(model.outputs.size(), {});
  if (ist_call(s, function.c_str(), inputs.data(), inputs.size(),
               outputs.data(), outputs.size(), &error)) {
    failure = {error.code, error.message};
    return 2;
  }
  uint32_t references = 0;
  for (uint32_t i = 0; i < model.info.launch_count; ++i) {
    ist_launch_info info;
    ist_kernel_info kernel;
    ist_program_launch(model.program.get(), model.index, i, &info, nullptr);
    ist_program_kernel(model.program.get(), info.kernel, &kernel, nullptr);
    references += !std::strncmp(kernel.name, "reference_", 10);
  }
  uncompared += model.info.launch_count - references - launches.size();
  for (const Launch &launch : launches) {
    ++compared;
    for (size_t r = 0; r < launch.out.size(); ++r) {
      Difference d = differ(outputs[launch.out[r]], outputs[launch.ref[r]]);
      if (d.shapes || d.count) {
        report(launch, r, d);
        return 1;
      }
    }
  }
  return 0;
}

void Comparison::report(const Launch &launch, size_t result,
                        const Difference &d) {
  ist_launch_info info;
  ist_kernel_info kernel;
  const ist_program *p = model.program.get();
  ist_program_launch(p, model.index, launch.index, &info, nullptr);
  ist_program_kernel(p, info.kernel, &kernel, nullptr);
  std::string nodes;
  for (uint32_t i = 0; i < info.node_count; ++i) {
    const char *node = "";
    ist_program_launch_node(p, model.index, launch.index, i, &node, nullptr);
    nodes += fmt::format("{}'{}'", i ? ", " : "", node);
  }
  const ist_tensor &got = outputs[launch.out[result]],
                   &want = outputs[launch.ref[result]];
  std::string text =
      fmt::format("launch {} of '{}' disagrees with its reference\n"
                  "  nodes   {}\n"
                  "  kernel  {} ({})\n",
                  launch.index, model.name, nodes.empty() ? "unnamed" : nodes,
                  kernel.name, *kernel.family ? kernel.family : "no plan");
  if (d.shapes)
    text += fmt::format("  result  {}: {}, reference {}\n", result, type(got),
                        type(want));
  else
    text +=
        fmt::format("  result  {}: {} of {} elements differ\n"
                    "  first   {}: {:.9g}, reference {:.9g}\n"
                    "  worst   {}: {:.9g}, reference {:.9g}, off by {:.3g}\n",
                    result, d.count, want.bytes / ist_dtype_size(want.dtype),
                    position(want, d.first), element(got, d.first),
                    element(want, d.first), position(want, d.worst),
                    element(got, d.worst), element(want, d.worst), d.largest);
  fmt::print("{}", text);
  if (!options.reproducer.empty())
    reproduce(launch, kernel.name, text);
}

void Comparison::reproduce(const Launch &launch, const std::string &kernel,
                           const std::string &text) {
  namespace fs = std::filesystem;
  std::error_code ec;
  fs::path dir = options.reproducer;
  fs::create_directories(dir, ec);
  std::string err;
  auto save = [&](const char *kind, const std::vector<size_t> &list) {
    for (size_t i = 0; i < list.size() && err.empty(); ++i)
      writeNpy((dir / fmt::format("{}{}.npy", kind, i)).string(),
               outputs[list[i]], err);
  };
  save("in", launch.in);
  save("out", launch.out);
  save("ref", launch.ref);
  std::ofstream(dir / "report.txt") << text << options.command << "\n";
  std::string mlir;
  if (!options.dumps.empty()) {
    std::string file = options.dumps + "/kernel.mlir";
    mlir = kernelText(file, kernel);
    if (mlir.empty())
      fmt::print(stderr,
                 "ist-run: {} has no kernel {}; give the folder that istc "
                 "--dump-dir wrote with this artifact\n",
                 file, kernel);
    else
      std::ofstream(dir / "kernel.mlir") << mlir;
  }
  if (ec || !err.empty() || !fs::exists(dir / "report.txt"))
    fmt::print(stderr, "ist-run: cannot write {}: {}\n", options.reproducer,
               err.empty() ? ec.message() : err);
  else
    fmt::print("  written to {}: report.txt, {} operands, results and "
               "references{}\n",
               options.reproducer, launch.in.size(),
               mlir.empty() ? "" : ", kernel.mlir");
}

} // namespace

int isthmus::tools::compareWithReference(const Model &model,
                                         const std::string &function,
                                         const std::vector<ist_tensor> &inputs,
                                         const CompareOptions &options) {
  Comparison comparison(model, options);
  auto has = [&](const std::string &name) {
    uint32_t index;
    return ist_program_find_function(model.program.get(), name.c_str(), &index,
                                     nullptr) == IST_OK;
  };
  if (!has(function + ".compare")) {
    fmt::print(stderr,
               "ist-run: function '{}' has nothing to be compared with; "
               "compile the model again with istc --reference\n",
               function);
    return 1;
  }
  Failure failure;
  int code = 0;
  if (has("init.compare"))
    code = comparison.run("init.compare", {}, failure);
  if (code == 0)
    code = comparison.run(function + ".compare", inputs, failure);
  if (code == 2)
    fmt::print(stderr, "ist-run: {}: {}\n", ist_status_name(failure.code),
               failure.message);
  if (code == 0)
    fmt::print("{} launches agree with their references{}\n",
               comparison.compared,
               comparison.uncompared
                   ? fmt::format("; {} inside If or Loop were not compared",
                                 comparison.uncompared)
                   : "");
  return code != 0;
}
