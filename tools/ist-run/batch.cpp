//===- batch.cpp - ist-run --batch ----------------------------------------===//
//
// Kernels are native code and may crash; a child for each case keeps that from
// the others. The parent opens no device: a fork would not copy its threads.
//
//===----------------------------------------------------------------------===//
#include "batch.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::tools;
using nlohmann::json;

namespace {

bool runCase(const Case &c, const std::string &device, Failure &failure) {
  Model model;
  if (!model.load(c.artifact, device, IST_BEST_VARIANT, false, failure) ||
      !model.select(c.function, failure))
    return false;
  auto invalid = [&](std::string message) {
    failure = {IST_INVALID_ARGUMENT, std::move(message)};
    return false;
  };
  if (c.inputs.size() != model.inputs.size() ||
      c.outputs.size() != model.outputs.size())
    return invalid(
        fmt::format("function '{}' has {} inputs and {} outputs, and "
                    "the case names {} and {}",
                    c.function, model.inputs.size(), model.outputs.size(),
                    c.inputs.size(), c.outputs.size()));
  std::vector<OwnedTensor> owned(c.inputs.size());
  std::vector<ist_tensor> inputs, outputs(c.outputs.size());
  std::string err;
  for (size_t i = 0; i < owned.size(); ++i) {
    if (!readNpy(c.inputs[i], model.inputs[i].dtype, &owned[i], err))
      return invalid(fmt::format("input '{}': {}", model.inputs[i].name, err));
    inputs.push_back(owned[i].tensor);
  }
  ist_error error = {};
  ist_session *s = nullptr;
  if (ist_session_create(model.program.get(), nullptr, &s, &error)) {
    failure = {error.code, error.message};
    return false;
  }
  Session session(s);
  if (ist_call(s, c.function.c_str(), inputs.data(), inputs.size(),
               outputs.data(), outputs.size(), &error)) {
    failure = {error.code, error.message};
    return false;
  }
  for (size_t i = 0; i < outputs.size(); ++i)
    if (!writeNpy(c.outputs[i], outputs[i], err))
      return invalid(
          fmt::format("output '{}': {}", model.outputs[i].name, err));
  return true;
}

json child(const Case &c, const std::string &device) {
  Failure failure;
  auto begin = std::chrono::steady_clock::now();
  if (!runCase(c, device, failure))
    return {{"ok", false},
            {"code", ist_status_name(failure.code)},
            {"error", failure.message}};
  std::chrono::duration<double, std::milli> ms =
      std::chrono::steady_clock::now() - begin;
  return {{"ok", true}, {"ms", ms.count()}};
}

/// Everything that comes through `fd` until it ends or `deadline` passes.
bool readAll(int fd, std::chrono::steady_clock::time_point deadline,
             std::string *out) {
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd p = {fd, POLLIN, 0};
    int ready = ::poll(&p, 1, left.count() > 0 ? int(left.count()) : 0);
    if (ready < 0 && errno == EINTR)
      continue;
    if (ready <= 0)
      return false;
    char buffer[4096];
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0)
      return true;
    out->append(buffer, static_cast<size_t>(n));
  }
}

json inChild(const Case &c, const std::string &device,
             unsigned timeoutSeconds) {
  auto failed = [](const char *code, std::string message) -> json {
    return {{"ok", false}, {"code", code}, {"error", std::move(message)}};
  };
  int ends[2];
  if (::pipe(ends) != 0)
    return failed("INTERNAL", std::strerror(errno));
  std::fflush(stdout);
  pid_t pid = ::fork();
  if (pid < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    return failed("RESOURCE_EXHAUSTED", std::strerror(errno));
  }
  if (pid == 0) {
    ::close(ends[0]);
    std::string line =
        child(c, device).dump(-1, ' ', false, json::error_handler_t::replace);
    size_t at = 0;
    while (at < line.size()) {
      ssize_t n = ::write(ends[1], line.data() + at, line.size() - at);
      if (n <= 0)
        break;
      at += static_cast<size_t>(n);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string line;
  bool inTime = readAll(ends[0],
                        std::chrono::steady_clock::now() +
                            std::chrono::seconds(timeoutSeconds),
                        &line);
  ::close(ends[0]);
  if (!inTime)
    ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
  if (!inTime)
    return failed(
        "DEADLINE_EXCEEDED",
        fmt::format("not done after {} s; raise --timeout", timeoutSeconds));
  if (WIFSIGNALED(status))
    return failed("CRASH",
                  fmt::format("the process died of signal {} ({})",
                              WTERMSIG(status), ::strsignal(WTERMSIG(status))));
  json result = json::parse(line, nullptr, false);
  if (result.is_discarded())
    return failed("CRASH", fmt::format("the process ended with status {} and "
                                       "no result",
                                       WEXITSTATUS(status)));
  return result;
}

bool parseCase(const json &j, Case *c) {
  auto strings = [](const json &list, std::vector<std::string> *out) {
    for (const json &s : list) {
      if (!s.is_string())
        return false;
      out->push_back(s.get<std::string>());
    }
    return true;
  };
  if (!j.is_object() || !j.contains("artifact") || !j["artifact"].is_string())
    return false;
  c->artifact = j["artifact"].get<std::string>();
  if (j.contains("function")) {
    if (!j["function"].is_string())
      return false;
    c->function = j["function"].get<std::string>();
  }
  return strings(j.value("inputs", json::array()), &c->inputs) &&
         strings(j.value("outputs", json::array()), &c->outputs);
}

} // namespace

int isthmus::tools::runBatch(const std::string &path, const std::string &device,
                             unsigned timeoutSeconds) {
  std::ifstream in(path);
  json list = json::parse(in, nullptr, false);
  std::vector<Case> cases(list.is_array() ? list.size() : 0);
  bool ok = list.is_array();
  for (size_t i = 0; i < cases.size(); ++i)
    ok &= parseCase(list[i], &cases[i]);
  if (!ok) {
    fmt::print(stderr,
               "ist-run: {}: not a JSON list of {{\"artifact\": path, "
               "\"inputs\": [paths], \"outputs\": [paths]}}\n",
               path);
    return 1;
  }
  bool all = true;
  for (size_t i = 0; i < cases.size(); ++i) {
    json result = inChild(cases[i], device, timeoutSeconds);
    result["case"] = i;
    all &= result["ok"] == true;
    fmt::print("{}\n",
               result.dump(-1, ' ', false, json::error_handler_t::replace));
    std::fflush(stdout);
  }
  return all ? 0 : 1;
}
