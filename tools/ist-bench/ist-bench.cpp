//===- ist-bench.cpp - times calls ----------------------------------------===//
//
// As google-benchmark does: warm up, choose how many calls make a repetition
// long enough for the clock, report median, minimum and coefficient of
// variation over repetitions.
//
//===----------------------------------------------------------------------===//
#include "model.h"
#include "report.h"
#include "roofline.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace isthmus;
using namespace isthmus::tools;
using nlohmann::json;

namespace {

struct Options {
  std::string artifact, device, function = "main";
  std::vector<std::string> shapes;
  bool asJson = false, profile = false;
  uint64_t seed = 0;
  int variant = IST_BEST_VARIANT;
  unsigned repetitions = 10, threads = 0;
  double minTime = 0.1, warmup = 0.2;
};

using Clock = std::chrono::steady_clock;

int fail(const Failure &f) {
  fmt::print(stderr, "ist-bench: {}: {}\n", ist_status_name(f.code), f.message);
  return 1;
}

class Bench {
public:
  explicit Bench(const Options &o) : o(o) {}
  bool prepare(Failure &failure) {
    return run.prepare(o.artifact, o.device, o.variant, o.function, o.shapes,
                       o.seed, failure);
  }
  bool measure(Failure &failure);
  bool profile(Failure &failure);
  bool count(Failure &failure);
  void measureMachine();
  json result() const;

private:
  std::string fact(const char *name) const;
  void addWork(const ist_work &w, double seconds, json *launch) const;
  /// Calls `n` times; seconds for all.
  bool time(uint64_t n, double *seconds, Failure &failure);

  const Options &o;
  RandomCall run;
  uint64_t iterations = 1;
  std::vector<double> perCall; // seconds, one a repetition
  json launches = json::array();
  json roofline;                  // null: none was measured
  json counters = json::object(); // of one call, by kernel; or empty
};

bool Bench::time(uint64_t n, double *seconds, Failure &failure) {
  auto begin = Clock::now();
  for (uint64_t i = 0; i < n; ++i)
    if (!run.call(failure))
      return false;
  *seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return true;
}

bool Bench::measure(Failure &failure) {
  double spent = 0, last = 0;
  do {
    if (!time(1, &last, failure))
      return false;
    spent += last;
  } while (spent < o.warmup);
  // Grow until one repetition takes long enough.
  for (;;) {
    double seconds;
    if (!time(iterations, &seconds, failure))
      return false;
    if (seconds >= o.minTime)
      break;
    double factor = o.minTime * 1.2 / std::max(seconds, 1e-9);
    iterations = std::max<uint64_t>(
        iterations + 1, static_cast<uint64_t>(static_cast<double>(iterations) *
                                              std::min(factor, 10.0)));
  }
  for (unsigned r = 0; r < o.repetitions; ++r) {
    double seconds;
    if (!time(iterations, &seconds, failure))
      return false;
    perCall.push_back(seconds / static_cast<double>(iterations));
  }
  return true;
}

/// The fact that the device has of that name, or "".
std::string Bench::fact(const char *name) const {
  for (size_t i = 0; i < ist_device_fact_count(run.model.device.get()); ++i) {
    const char *key = "", *value = "";
    if (ist_device_fact(run.model.device.get(), i, &key, &value, nullptr) ==
            IST_OK &&
        std::string(key) == name)
      return value;
  }
  return "";
}

void Bench::measureMachine() {
  // Devices that are not the processor would be measured by their own means.
  std::string threads = fact("cpu.threads");
  if (ist_device_name(run.model.device.get()) != std::string("cpu") ||
      threads.empty())
    return;
  Roofline r = measureRoofline(static_cast<unsigned>(std::stoul(threads)));
  if (r.flops > 0 && r.bytes > 0)
    roofline = {{"gflops", r.flops * 1e-9},
                {"gbs", r.bytes * 1e-9},
                {"vectors", r.vectors},
                {"threads", threads}};
}

/// What a launch did in `seconds`; null where it is not known.
void Bench::addWork(const ist_work &w, double seconds, json *launch) const {
  auto flops = static_cast<double>(w.flops);
  double bytes =
      static_cast<double>(w.read_bytes) + static_cast<double>(w.written_bytes);
  json &l = *launch;
  for (const char *key : {"flops", "read_bytes", "written_bytes", "gflops",
                          "gbs", "roofline_percent", "bound"})
    l[key] = nullptr;
  if (w.has_flops) {
    l["flops"] = w.flops;
    l["gflops"] = flops * 1e-9 / seconds;
  }
  if (w.has_bytes) {
    l["read_bytes"] = w.read_bytes;
    l["written_bytes"] = w.written_bytes;
    l["gbs"] = bytes * 1e-9 / seconds;
  }
  if (roofline.is_null() || !w.has_flops || !w.has_bytes)
    return;
  double compute = flops * 1e-9 / roofline["gflops"].get<double>(),
         memory = bytes * 1e-9 / roofline["gbs"].get<double>();
  l["bound"] = compute > memory ? "compute" : "memory";
  l["roofline_percent"] = 100 * std::max(compute, memory) / seconds;
}

bool Bench::profile(Failure &failure) {
  ist_error error = {};
  auto failed = [&] {
    failure = {error.code, error.message};
    return false;
  };
  // One call at a time, so that each launch has a median.
  const uint32_t n = run.model.info.launch_count;
  std::vector<std::vector<double>> seconds(n); // of all its runs in a call
  std::vector<uint64_t> counts(n);
  std::vector<ist_work> works(n); // of one call
  for (uint64_t c = 0; c < std::clamp<uint64_t>(iterations, 7, 101); ++c) {
    if (ist_session_set_profiling(run.session.get(), 1, &error))
      return failed();
    if (!run.call(failure))
      return false;
    for (uint32_t i = 0; i < n; ++i) {
      ist_launch_profile p;
      if (ist_session_profile(run.session.get(), run.model.index, i, &p,
                              &error))
        return failed();
      seconds[i].push_back(static_cast<double>(p.nanoseconds) * 1e-9);
      counts[i] = p.count;
      if (ist_session_launch_work(run.session.get(), run.model.index, i,
                                  &works[i], &error))
        return failed();
    }
  }
  double total = 0;
  for (uint32_t i = 0; i < n; ++i) {
    ist_launch_info l;
    ist_kernel_info k;
    const ist_program *program = run.model.program.get();
    if (ist_program_launch(program, run.model.index, i, &l, &error) ||
        ist_program_kernel(program, l.kernel, &k, &error))
      return failed();
    json nodes = json::array();
    for (uint32_t j = 0; j < l.node_count; ++j) {
      const char *node = "";
      if (ist_program_launch_node(program, run.model.index, i, j, &node,
                                  &error))
        return failed();
      nodes.push_back(node);
    }
    if (counts[i] == 0)
      continue; // not on the way these sizes take
    std::sort(seconds[i].begin(), seconds[i].end());
    double median = seconds[i][seconds[i].size() / 2];
    total += median;
    launches.push_back({{"launch", i},
                        {"kernel", k.name},
                        {"family", k.family},
                        {"nodes", nodes},
                        {"count", counts[i]},
                        {"median_us", median * 1e6},
                        {"min_us", seconds[i][0] * 1e6}});
    addWork(works[i], median, &launches.back());
  }
  for (json &l : launches)
    l["percent"] =
        total > 0 ? 100e-6 * l["median_us"].get<double>() / total : 0.0;
  std::sort(launches.begin(), launches.end(), [](const json &a, const json &b) {
    double x = a["median_us"], y = b["median_us"];
    return x != y ? x > y : a["launch"] < b["launch"];
  });
  if (ist_session_set_profiling(run.session.get(), 0, &error))
    return failed();
  return true;
}

/// What one call costs, where the device counts.
bool Bench::count(Failure &failure) {
  ist_error error = {};
  if (ist_device_reset_counters(run.model.device.get(), &error))
    return true;
  if (!run.call(failure))
    return false;
  auto visit = [](void *to, const char *kernel, const char *counter,
                  uint64_t value) {
    (*static_cast<json *>(to))[kernel][counter] = value;
  };
  if (ist_device_counters(run.model.device.get(), visit, &counters, &error) ==
      IST_OK)
    return true;
  failure = {error.code, error.message};
  return false;
}

json Bench::result() const {
  std::vector<double> sorted = perCall;
  std::sort(sorted.begin(), sorted.end());
  size_t n = sorted.size();
  double median =
             n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2,
         mean = 0, variance = 0;
  for (double s : sorted)
    mean += s / static_cast<double>(n);
  for (double s : sorted)
    variance +=
        n > 1 ? (s - mean) * (s - mean) / static_cast<double>(n - 1) : 0;
  json sizes = json::object();
  for (size_t i = 0; i < run.symbols.size(); ++i)
    sizes[run.model.symbols[i].name] = run.symbols[i];
  ist_session_counters counters = {};
  counters.struct_size = sizeof counters;
  ist_session_get_counters(run.session.get(), &counters);
  return {{"artifact", o.artifact},
          {"function", o.function},
          {"device", ist_device_name(run.model.device.get())},
          {"threads", fact("cpu.threads")},
          {"sizes", sizes},
          {"repetitions", n},
          {"iterations", iterations},
          {"median_us", median * 1e6},
          {"min_us", sorted[0] * 1e6},
          {"mean_us", mean * 1e6},
          {"cv_percent", mean > 0 ? 100 * std::sqrt(variance) / mean : 0},
          {"session_bytes", counters.bytes},
          {"launches", launches},
          {"roofline", roofline},
          {"profiled", o.profile},
          {"counters", this->counters}};
}

int run(const Options &o) {
  Bench bench(o);
  Failure failure;
  if (!bench.prepare(failure) || !bench.measure(failure))
    return fail(failure);
  if (o.profile)
    bench.measureMachine();
  if ((o.profile && !bench.profile(failure)) || !bench.count(failure))
    return fail(failure);
  json j = bench.result();
  if (o.asJson)
    fmt::print("{}\n", j.dump(2, ' ', false, json::error_handler_t::replace));
  else
    printReport(j);
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  Options o;
  CLI::App app("Times calls of an artifact's function, on random inputs.",
               "ist-bench");
  app.add_option("artifact", o.artifact, "run.model.ist")->required();
  app.add_option("--device", o.device, "where to run");
  app.add_option("--function", o.function, "which function")
      ->capture_default_str();
  app.add_option("--shape", o.shapes,
                 "sizes: batch=4,seq=128 (default: the smallest)");
  app.add_option("--seed", o.seed, "for the inputs")->capture_default_str();
  app.add_option("--threads", o.threads,
                 "threads of the cpu device (default: $ISTHMUS_THREADS, else "
                 "all)");
  app.add_option("--repetitions", o.repetitions, "how many")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--min-time", o.minTime, "seconds a repetition, at least")
      ->capture_default_str();
  app.add_option("--warmup", o.warmup, "seconds before")->capture_default_str();
  app.add_option("--variant", o.variant,
                 "index of the variant (default: best)");
  app.add_flag("--profile", o.profile,
               "time, speed and nodes by launch; on cpu also how near it comes "
               "to what this machine can do, which is measured");
  app.add_flag("--json", o.asJson, "as JSON");
  app.set_version_flag("--version", ist_version());
  CLI11_PARSE(app, argc, argv);
  if (o.threads)
    ::setenv("ISTHMUS_THREADS", std::to_string(o.threads).c_str(), 1);
  return run(o);
}
