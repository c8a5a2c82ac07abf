//===- report.cpp - results for people ------------------------------------===//
#include "report.h"

#include <fmt/format.h>
#include <string>
#include <utility>
#include <vector>

using namespace isthmus::tools;
using nlohmann::json;

/// A line for each kernel; what is 0 everywhere is left away.
static void printCounters(const json &kernels) {
  static const std::pair<const char *, const char *> columns[] = {
      {"launches", "launches"},
      {"instructions", "instr"},
      {"arithmetic", "arith"},
      {"memory", "memory"},
      {"control", "control"},
      {"matrix", "matrix"},
      {"barriers", "barriers"},
      {"global_read_bytes", "glob rd B"},
      {"global_written_bytes", "glob wr B"},
      {"shared_read_bytes", "shared rd B"},
      {"shared_written_bytes", "shared wr B"},
      {"bank_conflicts", "conflicts"}};
  if (kernels.empty())
    return;
  std::string head, total;
  std::vector<std::string> shown;
  for (const auto &[key, title] : columns) {
    uint64_t sum = 0;
    for (const auto &[name, counters] : kernels.items())
      sum += counters.value(key, uint64_t(0));
    if (!sum)
      continue;
    shown.push_back(key);
    head += fmt::format(" {:>12}", title);
    total += fmt::format(" {:>12}", sum);
  }
  fmt::print("\none call costs, in instructions of a warp or wave:\n{}  "
             "kernel\n",
             head);
  for (const auto &[name, counters] : kernels.items()) {
    for (const std::string &key : shown)
      fmt::print(" {:>12}", counters.value(key, uint64_t(0)));
    fmt::print("  {}\n", name);
  }
  fmt::print("{}  all\n", total);
}

static std::string number(const json &v) {
  return v.is_null() ? "-" : fmt::format("{:.1f}", v.get<double>());
}

static void printLaunches(const json &j) {
  if (const json &r = j["roofline"]; !r.is_null())
    fmt::print(
        "\nthis machine, measured now: {:.1f} GFLOP/s (f32 multiply-adds "
        "on {}), {:.1f} GB/s from memory, {} threads; data in a cache "
        "may come faster\n",
        r["gflops"].get<double>(), r["vectors"].get<std::string>(),
        r["gbs"].get<double>(), r["threads"].get<std::string>());
  fmt::print("\n{:>7} {:>12} {:>12} {:>6} {:>9} {:>8} {:>6} {:<7}  {:<32} {}\n",
             "%", "median us", "min us", "count", "GFLOP/s", "GB/s", "% roof",
             "bound", "kernel", "nodes");
  for (const json &l : j["launches"]) {
    std::string nodes;
    for (const json &node : l["nodes"])
      nodes += (nodes.empty() ? "" : ", ") + node.get<std::string>();
    fmt::print("{:>7.2f} {:>12.3f} {:>12.3f} {:>6} {:>9} {:>8} {:>6} {:<7}  "
               "{:<32} {}\n",
               l["percent"].get<double>(), l["median_us"].get<double>(),
               l["min_us"].get<double>(), l["count"].get<uint64_t>(),
               number(l["gflops"]), number(l["gbs"]),
               number(l["roofline_percent"]),
               l["bound"].is_null() ? "-" : l["bound"].get<std::string>(),
               l["kernel"].get<std::string>(), nodes);
  }
}

void isthmus::tools::printReport(const json &j) {
  std::string sizes;
  for (const auto &[name, size] : j["sizes"].items())
    sizes += fmt::format(" {}={}", name, size.get<int64_t>());
  fmt::print("{} {}{} on {}{}\n", j["artifact"].get<std::string>(),
             j["function"].get<std::string>(), sizes,
             j["device"].get<std::string>(),
             j["threads"] == "" ? ""
                                : fmt::format(", {} threads",
                                              j["threads"].get<std::string>()));
  fmt::print("median {:.3f} us, min {:.3f} us, cv {:.1f} % ({} repetitions of "
             "{} calls)\n",
             j["median_us"].get<double>(), j["min_us"].get<double>(),
             j["cv_percent"].get<double>(), j["repetitions"].get<size_t>(),
             j["iterations"].get<uint64_t>());
  printCounters(j["counters"]);
  if (j["profiled"])
    printLaunches(j);
}
