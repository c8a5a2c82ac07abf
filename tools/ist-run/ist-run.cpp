//===- ist-run.cpp - calls a function of an artifact ----------------------===//
#include "batch.h"
#include "compare.h"
#include "model.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <fmt/format.h>

using namespace isthmus;
using namespace isthmus::tools;

namespace {

struct Options {
  std::string artifact, device, function = "main", batch;
  std::vector<std::string> inputs, outputs, shapes;
  std::string compare;
  CompareOptions comparison;
  bool random = false, list = false;
  uint64_t seed = 0;
  int variant = IST_BEST_VARIANT;
  unsigned repeat = 1, timeout = 60;
};

int fail(const std::string &message) {
  fmt::print(stderr, "ist-run: {}\n", message);
  return 1;
}

int fail(const Failure &f) {
  return fail(fmt::format("{}: {}", ist_status_name(f.code), f.message));
}

int fail(const ist_error &e) { return fail(Failure{e.code, e.message}); }

int listDevices() {
  ist_error error = {};
  auto show = [](void *, const char *name, const char *description) {
    fmt::print("{:<8} {}\n", name, description);
  };
  auto absent = [](void *, const char *name, uint32_t, const char *why) {
    if (why)
      fmt::print("{:<8} not available: {}\n", name, why);
  };
  if (ist_device_list(show, nullptr, &error) ||
      ist_driver_list(absent, nullptr, &error))
    return fail(error);
  return 0;
}

/// Splits "name=@path" or "@path".
bool splitFile(const std::string &arg, std::string *name, std::string *path) {
  size_t at = arg.find('@');
  if (at == std::string::npos || (at > 0 && arg[at - 1] != '='))
    return false;
  *name = at ? arg.substr(0, at - 1) : "";
  *path = arg.substr(at + 1);
  return !path->empty();
}

/// Which tensor each argument is for: by name, else the next without one.
int assign(const std::vector<std::string> &args,
           const std::vector<ist_tensor_info> &tensors, const char *flag,
           std::vector<std::string> *paths) {
  paths->assign(tensors.size(), "");
  for (const std::string &arg : args) {
    std::string name, path, known;
    if (!splitFile(arg, &name, &path))
      return fail(
          fmt::format("--{}={}: write name=@file.npy or @file.npy", flag, arg));
    size_t i = 0;
    for (; i < tensors.size(); ++i) {
      if (name.empty() ? (*paths)[i].empty() : name == tensors[i].name)
        break;
      known += fmt::format("{}{}", i ? ", " : "", tensors[i].name);
    }
    if (i == tensors.size())
      return fail(fmt::format("--{}={}: there is no such {}; there are: {}",
                              flag, arg, flag, known));
    (*paths)[i] = path;
  }
  return 0;
}

int run(const Options &o) {
  Failure failure;
  Model model;
  if (!model.load(o.artifact, o.device, o.variant, false, failure) ||
      !model.select(o.function, failure))
    return fail(failure);
  std::vector<std::string> inPaths, outPaths;
  if (int code = assign(o.inputs, model.inputs, "input", &inPaths))
    return code;
  if (int code = assign(o.outputs, model.outputs, "output", &outPaths))
    return code;

  std::string err;
  Shapes shapes;
  if (!parseShapes(o.shapes, &shapes, err))
    return fail(err);
  std::vector<int64_t> symbols;
  if (!model.sizes(shapes, &symbols, failure))
    return fail(failure);
  std::vector<OwnedTensor> owned(model.inputs.size());
  std::vector<ist_tensor> inputs, outputs(model.outputs.size());
  for (size_t i = 0; i < owned.size(); ++i) {
    const char *name = model.inputs[i].name;
    if (!inPaths[i].empty()) {
      if (!readNpy(inPaths[i], model.inputs[i].dtype, &owned[i], err))
        return fail(fmt::format("input '{}': {}", name, err));
    } else if (!o.random) {
      return fail(fmt::format("input '{}' ({}) is missing: give it with "
                              "--input={}=@file.npy, or use --random",
                              name, typeText(model.inputs[i], model.symbols),
                              name));
    } else if (!randomTensor(model.shaped(i, symbols), o.seed + i, &owned[i])) {
      return fail(fmt::format("input '{}': no memory for it", name));
    }
    inputs.push_back(owned[i].tensor);
  }

  if (!o.compare.empty())
    return compareWithReference(model, o.function, inputs, o.comparison);
  ist_error error = {};
  ist_session *s = nullptr;
  if (ist_session_create(model.program.get(), nullptr, &s, &error))
    return fail(error);
  Session session(s);
  for (unsigned i = 0; i < o.repeat; ++i) {
    auto begin = std::chrono::steady_clock::now();
    if (ist_call(s, o.function.c_str(), inputs.data(), inputs.size(),
                 outputs.data(), outputs.size(), &error))
      return fail(error);
    std::chrono::duration<double, std::milli> ms =
        std::chrono::steady_clock::now() - begin;
    if (o.repeat > 1)
      fmt::print(stderr, "call {}: {:.3f} ms\n", i + 1, ms.count());
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (o.outputs.empty())
      fmt::print("{}: {}\n", model.outputs[i].name, summary(outputs[i]));
    if (outPaths[i].empty())
      continue;
    if (!writeNpy(outPaths[i], outputs[i], err))
      return fail(fmt::format("output '{}': {}", model.outputs[i].name, err));
    if (outputs[i].dtype == IST_BF16)
      fmt::print(stderr,
                 "ist-run: output '{}' is bf16 and was written as "
                 "uint16, the same bits\n",
                 model.outputs[i].name);
  }
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  Options o;
  CLI::App app("Calls a function of an artifact.", "ist-run");
  app.add_option("artifact", o.artifact, "model.ist");
  app.add_option("--device", o.device,
                 "where to run: cpu, cpu:0 (default: $ISTHMUS_DEVICE, else the "
                 "first)");
  app.add_option("--function", o.function, "which function")
      ->capture_default_str();
  app.add_option("--input", o.inputs,
                 "name=@file.npy or @file.npy; repeatable");
  app.add_option("--output", o.outputs,
                 "name=@file.npy or @file.npy; repeatable. Without any, "
                 "outputs are summed up");
  app.add_flag("--random", o.random, "make up inputs that are not given");
  app.add_option("--seed", o.seed, "for --random")->capture_default_str();
  app.add_option("--shape", o.shapes,
                 "sizes for --random: batch=4,seq=128 (default: the smallest)");
  app.add_option("--repeat", o.repeat, "calls, each timed")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--variant", o.variant,
                 "index of the variant (default: best)");
  app.add_option("--compare", o.compare,
                 "reference: name the first kernel whose results are not what "
                 "a kernel planned as simply as can be makes of the same "
                 "operands. The artifact was made with istc --reference")
      ->check(CLI::IsMember({"reference"}));
  app.add_option("--reproducer", o.comparison.reproducer,
                 "with --compare: a folder for that kernel's operands and "
                 "results");
  app.add_option("--dump-dir", o.comparison.dumps,
                 "with --reproducer: the folder that istc --dump-dir wrote; "
                 "the kernel's text is taken from there");
  app.add_option("--batch", o.batch,
                 "run the cases of a JSON list, each in a process of its own: "
                 "{artifact, function, inputs: [npy], outputs: [npy]}");
  app.add_option("--timeout", o.timeout, "seconds for each case of --batch")
      ->capture_default_str();
  app.add_flag("--list-devices", o.list, "show devices and end");
  app.set_version_flag("--version", ist_version());
  CLI11_PARSE(app, argc, argv);

  for (int i = 0; i < argc; ++i)
    o.comparison.command += (i ? " " : "") + std::string(argv[i]);
  if (o.list)
    return listDevices();
  if (!o.batch.empty())
    return runBatch(o.batch, o.device, o.timeout);
  if (o.artifact.empty())
    return fail(
        "which artifact? ist-run model.ist --input=x=@x.npy; see --help");
  return run(o);
}
