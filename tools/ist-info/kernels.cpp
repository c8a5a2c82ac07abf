//===- kernels.cpp - kernels and their launches ---------------------------===//
#include "kernels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace isthmus;
using namespace isthmus::tools;
using nlohmann::json;

static const char *const kinds[] = {"address", "scalar", "error_word"};
static const char *const accesses[] = {"none", "read", "write", "readwrite"};

json tools::kernelsJson(const ist_program *p, const ist_artifact_info &info) {
  json all = json::array();
  for (uint32_t i = 0; i < info.kernel_count; ++i) {
    ist_kernel_info k;
    ist_kernel_code code;
    if (ist_program_kernel(p, i, &k, nullptr) ||
        ist_program_kernel_code(p, i, &code, nullptr))
      continue; // in range by construction
    json params = json::array(), declined = json::array(), registers;
    for (uint32_t j = 0; j < k.param_count; ++j) {
      ist_param_info param;
      if (ist_program_kernel_param(p, i, j, &param, nullptr))
        continue;
      params.push_back({{"kind", kinds[param.kind]},
                        {"access", accesses[param.access]},
                        {"align", param.align}});
    }
    for (uint32_t j = 0; j < code.declined_count; ++j) {
      const char *plan = "";
      ist_program_kernel_declined(p, i, j, &plan, nullptr);
      declined.push_back(plan);
    }
    if (code.vector_registers >= 0)
      registers = {{"vector", code.vector_registers},
                   {"scalar", code.scalar_registers},
                   {"spilled", code.spilled_registers}};
    all.push_back({{"name", k.name},
                   {"family", k.family},
                   {"workgroup", k.workgroup},
                   {"shared_bytes", k.shared_bytes},
                   {"registers", registers},
                   {"declined", declined},
                   {"params", params}});
  }
  return all;
}

/// Null where nothing is known.
static json workJson(const Model &m, const Shapes &shapes, const Peaks &peaks,
                     uint32_t launch) {
  Failure failure;
  std::vector<int64_t> symbols;
  if (!m.sizes(shapes, &symbols, failure))
    return {};
  std::vector<ist_tensor> inputs;
  for (size_t i = 0; i < m.inputs.size(); ++i)
    inputs.push_back(m.shaped(i, symbols));
  ist_work w;
  if (ist_program_launch_work(m.program.get(), m.index, launch, inputs.data(),
                              inputs.size(), &w, nullptr) ||
      (!w.has_flops && !w.has_bytes))
    return {};
  json j = {{"flops", nullptr},
            {"read_bytes", nullptr},
            {"written_bytes", nullptr},
            {"flops_per_byte", nullptr},
            {"bound", nullptr}};
  if (w.has_flops)
    j["flops"] = w.flops;
  if (w.has_bytes) {
    j["read_bytes"] = w.read_bytes;
    j["written_bytes"] = w.written_bytes;
  }
  double bytes =
      static_cast<double>(w.read_bytes) + static_cast<double>(w.written_bytes);
  if (w.has_flops && bytes > 0) {
    double ratio = static_cast<double>(w.flops) / bytes;
    j["flops_per_byte"] = ratio;
    if (peaks.flops > 0 && peaks.bytes > 0)
      j["bound"] = ratio * peaks.bytes > peaks.flops ? "compute" : "memory";
  }
  return j;
}

json tools::launchesJson(const Model &m, const Shapes &shapes,
                         const Peaks &peaks) {
  json all = json::array();
  for (uint32_t i = 0; i < m.info.launch_count; ++i) {
    ist_launch_info l;
    ist_kernel_info k;
    if (ist_program_launch(m.program.get(), m.index, i, &l, nullptr) ||
        ist_program_kernel(m.program.get(), l.kernel, &k, nullptr))
      continue; // in range by construction
    json nodes = json::array();
    for (uint32_t j = 0; j < l.node_count; ++j) {
      const char *node = "";
      ist_program_launch_node(m.program.get(), m.index, i, j, &node, nullptr);
      nodes.push_back(node);
    }
    all.push_back({{"kernel", k.name},
                   {"nodes", nodes},
                   {"work", workJson(m, shapes, peaks, i)}});
  }
  return all;
}

/// "1.23 M", and so on.
static std::string amount(double v, const char *unit) {
  const char *prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
  size_t i = 0;
  for (; v >= 1000 && i < 6; ++i)
    v /= 1000;
  return fmt::format("{:.{}f} {}{}", v, i ? 1 : 0, prefixes[i], unit);
}

void tools::printKernels(const json &j) {
  for (const json &k : j["kernels"]) {
    std::string params;
    for (const json &p : k["params"])
      params += fmt::format("{}{}", params.empty() ? "" : ", ",
                            p["kind"] == "address"
                                ? fmt::format("{} align {}",
                                              p["access"].get<std::string>(),
                                              p["align"].get<uint32_t>())
                                : p["kind"].get<std::string>());
    fmt::print("  kernel {:<32} {:<12} ({})\n", k["name"].get<std::string>(),
               k["family"].get<std::string>(), params);
    // Where a workgroup is one lane, registers are a processor's.
    if (k["workgroup"] > 1) {
      const json &r = k["registers"];
      std::string registers = "registers by the driver";
      if (!r.is_null())
        registers = fmt::format("{} vector and {} scalar registers, {} spilled",
                                r["vector"].get<int>(), r["scalar"].get<int>(),
                                r["spilled"].get<int>());
      fmt::print("    code: {} lanes a workgroup, {} bytes of workgroup "
                 "memory, {}\n",
                 k["workgroup"].get<uint32_t>(),
                 k["shared_bytes"].get<uint32_t>(), registers);
    }
    if (!k["declined"].empty())
      fmt::print(
          "    declined: {}\n",
          fmt::join(k["declined"].get<std::vector<std::string>>(), "; "));
    for (const json &f : j["functions"]) {
      std::vector<size_t> sites;
      for (size_t i = 0; i < f["launches"].size(); ++i)
        if (f["launches"][i]["kernel"] == k["name"])
          sites.push_back(i);
      if (!sites.empty())
        fmt::print("    launched: {} {}\n", f["name"].get<std::string>(),
                   fmt::join(sites, ", "));
    }
  }
}

void tools::printLaunches(const json &launches) {
  uint32_t i = 0;
  for (const json &l : launches) {
    const json &w = l["work"];
    std::string flops = "-", bytes = "-", ratio = "-";
    if (!w.is_null() && !w["flops"].is_null())
      flops = amount(w["flops"], "FLOP");
    if (!w.is_null() && !w["read_bytes"].is_null())
      bytes = amount(w["read_bytes"].get<double>() +
                         w["written_bytes"].get<double>(),
                     "B");
    if (!w.is_null() && !w["flops_per_byte"].is_null())
      ratio = fmt::format("{:.2f} FLOP/B", w["flops_per_byte"].get<double>());
    if (!w.is_null() && !w["bound"].is_null())
      ratio += ", " + w["bound"].get<std::string>();
    fmt::print("  launch {:<4} {:<32} {:>11} {:>9} {:>14}  {}\n", i++,
               l["kernel"].get<std::string>(), flops, bytes, ratio,
               fmt::join(l["nodes"].get<std::vector<std::string>>(), ", "));
  }
}
