//===- ist-info.cpp - what is in an artifact ------------------------------===//
#include "described.h"
#include "kernels.h"
#include "model.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace isthmus;
using namespace isthmus::tools;
using nlohmann::json;

namespace {

struct Options {
  std::string artifact, device;
  std::vector<std::string> shapes;
  bool asJson = false, why = false, kernels = false, weights = false;
  bool list = false;
  int variant = IST_BEST_VARIANT;
};

int fail(const Failure &f) {
  fmt::print(stderr, "ist-info: {}: {}\n", ist_status_name(f.code), f.message);
  return 1;
}

/// `others`: the outputs of an input, the inputs of an output.
json tensorJson(const ist_tensor_info &t,
                const std::vector<ist_symbol_info> &symbols,
                const std::vector<ist_tensor_info> &others) {
  json dims = json::array();
  for (int32_t d = 0; d < t.rank; ++d)
    if (t.dims[d].size >= 0)
      dims.push_back(t.dims[d].size);
    else if (t.dims[d].symbol >= 0)
      dims.push_back(symbols[t.dims[d].symbol].name);
    else
      dims.push_back(nullptr);
  return {{"name", t.name},
          {"dtype", ist_dtype_name(t.dtype)},
          {"dims", dims},
          {"inout", t.inout < 0 ? json() : json(others[t.inout].name)},
          {"type", typeText(t, symbols)}};
}

/// The arena and outputs for the sizes given, if they are good for `m`.
json memoryJson(const Model &m, const Shapes &shapes) {
  Failure failure;
  std::vector<int64_t> symbols;
  if (!m.sizes(shapes, &symbols, failure))
    return {{"error", failure.message}};
  std::vector<ist_tensor> inputs;
  for (size_t i = 0; i < m.inputs.size(); ++i)
    inputs.push_back(m.shaped(i, symbols));
  ist_memory_need need;
  ist_error error = {};
  if (ist_program_memory_need(m.program.get(), m.index, inputs.data(),
                              inputs.size(), &need, &error))
    return {{"error", error.message}};
  json sizes = json::object();
  for (size_t i = 0; i < symbols.size(); ++i)
    sizes[m.symbols[i].name] = symbols[i];
  return {{"sizes", sizes},
          {"arena_bytes", need.arena_bytes},
          {"output_bytes", need.output_bytes},
          {"exact", need.exact != 0}};
}

json functionJson(const Model &m, const Shapes &shapes, const Peaks &peaks) {
  json f = {{"name", m.name},
            {"host_waits", m.info.host_waits},
            {"commands", m.info.command_count},
            {"transients", m.info.transient_count},
            {"symbols", json::array()},
            {"inputs", json::array()},
            {"outputs", json::array()}};
  for (const ist_symbol_info &s : m.symbols)
    f["symbols"].push_back({{"name", s.name},
                            {"min", s.min},
                            {"max", s.max},
                            {"multiple", s.multiple}});
  for (const ist_tensor_info &t : m.inputs)
    f["inputs"].push_back(tensorJson(t, m.symbols, m.outputs));
  for (const ist_tensor_info &t : m.outputs)
    f["outputs"].push_back(tensorJson(t, m.symbols, m.inputs));
  f["memory"] = memoryJson(m, shapes);
  f["launches"] = launchesJson(m, shapes, peaks);
  return f;
}

json variantsJson(const ist_program *p, const ist_artifact_info &info) {
  json all = json::array();
  for (uint32_t i = 0; i < info.variant_count; ++i) {
    ist_variant_info v;
    if (ist_program_variant(p, i, &v, nullptr))
      continue;
    json facts = json::object();
    for (uint32_t j = 0; j < v.fact_count; ++j) {
      const char *key = "", *value = "";
      ist_program_variant_fact(p, i, j, &key, &value, nullptr);
      facts[key] = value;
    }
    all.push_back({{"target", v.target},
                   {"format", v.format},
                   {"code", v.code},
                   {"facts", facts},
                   {"shown", i == info.variant}});
  }
  return all;
}

json weightsJson(const ist_program *p, const ist_artifact_info &info) {
  json all = json::array();
  for (uint32_t i = 0; i < info.weight_count; ++i) {
    ist_weight_info w;
    if (ist_program_weight(p, i, &w, nullptr))
      continue;
    all.push_back({{"name", w.name},
                   {"dtype", ist_dtype_name(w.dtype)},
                   {"dims", std::vector<int64_t>(w.dims, w.dims + w.rank)},
                   {"bytes", w.bytes},
                   {"member", w.member},
                   {"offset", w.offset},
                   {"hash", fmt::format("{:016x}", w.hash)}});
  }
  return all;
}

std::string bytesText(uint64_t bytes) {
  if (bytes < 10 * 1024)
    return fmt::format("{} B", bytes);
  const char *units[] = {"KiB", "MiB", "GiB", "TiB"};
  double v = static_cast<double>(bytes) / 1024;
  size_t u = 0;
  for (; v >= 1024 && u < 3; ++u)
    v /= 1024;
  return fmt::format("{:.1f} {}", v, units[u]);
}

void printFunction(const json &f, bool launches) {
  fmt::print("\nfunction {}\n", f["name"].get<std::string>());
  auto print = [](const char *kind, const json &t, const char *place) {
    std::string text = t["type"];
    if (!t["inout"].is_null())
      text += place + t["inout"].get<std::string>();
    fmt::print("  {:<4} {:<24} {}\n", kind, t["name"].get<std::string>(), text);
  };
  for (const json &t : f["inputs"])
    print("in", t, ", overwritten by ");
  for (const json &t : f["outputs"])
    print("out", t, ", in the place of ");
  for (const json &s : f["symbols"]) {
    int64_t max = s["max"], multiple = s["multiple"];
    fmt::print("  dim  {:<24} {}..{}{}\n", s["name"].get<std::string>(),
               s["min"].get<int64_t>(),
               max == INT64_MAX ? "" : std::to_string(max),
               multiple > 1 ? fmt::format(", a multiple of {}", multiple) : "");
  }
  int waits = f["host_waits"];
  fmt::print("  {} commands, {} launches, {} transients, {}\n",
             f["commands"].get<uint32_t>(), f["launches"].size(),
             f["transients"].get<uint32_t>(),
             waits == 0  ? "no host waits"
             : waits < 0 ? "host waits in a loop"
                         : fmt::format("{} host waits", waits));
  const json &memory = f["memory"];
  if (memory.contains("error")) {
    fmt::print("  memory: {}\n", memory["error"].get<std::string>());
  } else {
    std::string sizes;
    for (const auto &[name, size] : memory["sizes"].items())
      sizes += fmt::format("{}{}={}", sizes.empty() ? " with " : ",", name,
                           size.get<int64_t>());
    fmt::print("  memory{}: {} for transients, {} for outputs{}\n", sizes,
               bytesText(memory["arena_bytes"]),
               bytesText(memory["output_bytes"]),
               memory["exact"] ? "" : ", and what depends on data");
  }
  if (launches)
    printLaunches(f["launches"]);
}

void print(const json &j, const Options &o) {
  fmt::print("{}{}: version {}{}\n", o.artifact,
             j["model"] == "" ? "" : " (" + j["model"].get<std::string>() + ")",
             j["version"].get<int>(),
             j["producer"] == ""
                 ? ""
                 : ", made by " + j["producer"].get<std::string>());
  for (const json &v : j["variants"]) {
    fmt::print("variant {}{}\n", v["target"].get<std::string>(),
               v["shown"] ? " (shown below)" : "");
    for (const auto &[key, value] : v["facts"].items())
      fmt::print("  {} = {}\n", key, value.get<std::string>());
  }
  for (const json &r : j["remarks"])
    fmt::print("remark: {}\n", r.get<std::string>());
  fmt::print("{} weights, {}; {} kernels\n", j["weights"].size(),
             bytesText(j["weight_bytes"]), j["kernels"].size());
  if (o.weights)
    for (const json &w : j["weights"])
      fmt::print("  {:<40} {}{} {}\n", w["name"].get<std::string>(),
                 w["dtype"].get<std::string>(), w["dims"].dump(),
                 bytesText(w["bytes"]));
  if (o.kernels)
    printKernels(j);
  for (const json &f : j["functions"])
    printFunction(f, o.kernels);
}

/// The variant that the device is given; for the others, why not.
bool choose(const Model &model, const Described &device, int *variant,
            json &remarks, Failure &failure) {
  std::vector<const char *> facts;
  for (const auto &[key, value] : device.facts) {
    facts.push_back(key.c_str());
    facts.push_back(value.c_str());
  }
  ist_device_description d = IST_DEVICE_DESCRIPTION_INIT;
  d.vendor = device.vendor.c_str();
  d.formats = device.formats.c_str();
  d.facts = facts.data();
  d.fact_count = device.facts.size();
  struct PassedOver {
    const ist_program *program;
    json &remarks;
  } user = {model.program.get(), remarks};
  auto passedOver = [](void *user, uint32_t variant, const char *why) {
    auto &to = *static_cast<PassedOver *>(user);
    ist_variant_info v = {};
    ist_program_variant(to.program, variant, &v, nullptr); // it is there
    to.remarks.push_back(fmt::format("variant {} ({}) was passed over: {}",
                                     variant, v.target, why));
  };
  uint32_t chosen = 0;
  ist_error error = {};
  if (ist_status s = ist_program_choose(model.program.get(), &d, &chosen,
                                        passedOver, &user, &error)) {
    failure = {s, fmt::format("{} ({}): {}", device.name, device.people,
                              error.message)};
    return false;
  }
  *variant = static_cast<int>(chosen);
  return true;
}

/// From the facts peak.gflops and peak.gbs, which no driver tells: of a file.
bool readPeaks(const Described &device, Peaks *peaks, Failure &failure) {
  for (const auto &[key, value] : device.facts) {
    bool flops = key == "peak.gflops";
    if (!flops && key != "peak.gbs")
      continue;
    char *end = nullptr;
    double v = std::strtod(value.c_str(), &end);
    if (*end || !(v > 0) || std::isinf(v)) {
      failure = {IST_INVALID_ARGUMENT,
                 fmt::format("{}: {} is '{}', which is no positive number",
                             device.name, key, value)};
      return false;
    }
    (flops ? peaks->flops : peaks->bytes) = v * 1e9;
  }
  return true;
}

int listDescribed(bool asJson) {
  json all = json::object();
  for (const Described &d : describedDevices()) {
    json facts = json::object();
    for (const auto &[key, value] : d.facts)
      facts[key] = value;
    all[d.name] = {{"about", d.people},
                   {"vendor", d.vendor},
                   {"formats", d.formats},
                   {"facts", facts}};
    if (!asJson)
      fmt::print("{:<16} {}\n", d.name, d.people);
  }
  if (asJson)
    fmt::print("{}\n", all.dump(2));
  return 0;
}

int run(const Options &o) {
  if (o.list)
    return listDescribed(o.asJson);
  if (o.artifact.empty())
    return fail({IST_INVALID_ARGUMENT,
                 "which artifact? ist-info model.ist; see --help"});
  std::string err;
  Shapes shapes;
  if (!parseShapes(o.shapes, &shapes, err))
    return fail({IST_INVALID_ARGUMENT, err});
  Failure failure;
  Model model;
  auto described = describedDevice(o.device, err);
  if (!err.empty())
    return fail({IST_INVALID_ARGUMENT, err});
  int variant = o.variant;
  json remarks = json::array();
  Peaks peaks;
  if (described && !readPeaks(*described, &peaks, failure))
    return fail(failure);
  if (described) {
    Model any;
    if (!any.load(o.artifact, "", IST_BEST_VARIANT, true, failure))
      return fail(failure);
    if (!choose(any, *described, &variant, remarks, failure)) {
      for (const json &line : remarks)
        fmt::print(stderr, "{}\n", line.get<std::string>());
      return fail(failure);
    }
  }
  bool inspect = described || (o.device.empty() && !o.why);
  if (!model.load(o.artifact, inspect ? "" : o.device, variant, inspect,
                  failure))
    return fail(failure);
  const ist_program *p = model.program.get();
  ist_artifact_info info;
  ist_program_info(p, &info);
  json j = {{"producer", info.producer},
            {"model", info.model},
            {"version", info.version},
            {"weight_bytes", info.weight_bytes},
            {"derived_bytes", info.derived_bytes},
            {"variants", variantsJson(p, info)},
            {"weights", weightsJson(p, info)},
            {"kernels", kernelsJson(p, info)},
            {"functions", json::array()},
            {"remarks", remarks}};
  for (uint32_t i = 0; i < info.function_count; ++i) {
    ist_function_info f;
    if (ist_program_function(p, i, &f, nullptr) ||
        !model.select(f.name, failure))
      return fail(failure);
    j["functions"].push_back(functionJson(model, shapes, peaks));
  }
  for (size_t i = 0; i < ist_program_remark_count(p); ++i)
    j["remarks"].push_back(ist_program_remark(p, i));
  if (o.why && j["remarks"].empty())
    j["remarks"].push_back("every variant fits the device");
  if (o.asJson)
    fmt::print("{}\n", j.dump(2, ' ', false, json::error_handler_t::replace));
  else
    print(j, o);
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  Options o;
  CLI::App app("Shows what is in an artifact.", "ist-info");
  app.add_option("artifact", o.artifact, "model.ist");
  app.add_option(
      "--shape", o.shapes,
      "sizes to tell memory and work for: batch=4,seq=128 (default: the "
      "smallest)");
  app.add_flag("--json", o.asJson, "everything, as JSON");
  app.add_flag("--kernels", o.kernels,
               "kernels with their code and the plans declined, and launches "
               "with their nodes and their work");
  app.add_flag("--weights", o.weights, "each weight");
  app.add_option("--variant", o.variant, "index of the variant to show");
  app.add_option(
      "--device", o.device,
      "see which variant fits: a device to load it for (cuda:0), one "
      "that is not at hand (h100; see --list-described), or a JSON "
      "file that describes one");
  app.add_flag("--list-described", o.list,
               "show the devices that --device knows by description, and end");
  app.add_flag("--why", o.why, "load it, and say why variants do not fit");
  app.set_version_flag("--version", ist_version());
  CLI11_PARSE(app, argc, argv);
  return run(o);
}
