//===- ist-cts.cpp - whether a driver does what isthmus/driver.h says -----===//
#include "drivers.h"
#include "harness.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <unistd.h>

using namespace isthmus::cts;

namespace {

const char *const usage =
    "usage: ist-cts --device=NAME[:INDEX] [options]\n"
    "\n"
    "Runs the conformance suite for drivers on one device.\n"
    "\n"
    "  --plugin=PATH         load this driver first; may be repeated\n"
    "  --level=N             1 memory and launch, 2 order and semaphores,\n"
    "                        3 extensions, 4 libisthmus; may be repeated;\n"
    "                        all of them when left out\n"
    "  --only=NAME           run this test; may be repeated\n"
    "  --exclude=NAME:REASON expect this test to fail; if it passes, the run\n"
    "                        fails, because the exclusion is out of date\n"
    "  --kernels=PATH        the suite's kernels for this device, compiled "
    "from\n"
    "                        share/isthmus/cts/kernels_tiled.mlir or _lanes\n"
    "  --format=NAME         their format; the driver's first when left out\n"
    "  --timeout=SECONDS     the most that one test takes; 120 when left out\n"
    "  --list                print the tests and exit\n"
    "\n"
    "The last line is \"N passed, M failed, K excluded\"; the exit status is "
    "0\n"
    "when M is 0, 1 when not, 2 when nothing could be run.\n";

struct Options {
  std::string device, kernels, format;
  std::vector<std::string> plugins, only;
  std::vector<int> levels;
  std::map<std::string, std::string> excluded;
  unsigned timeout = 120;
  bool list = false;
};

int usageError(const std::string &what) {
  std::fprintf(stderr, "ist-cts: %s; see ist-cts --help\n", what.c_str());
  return 2;
}

/// 0, or an exit status.
int parse(int argc, char **argv, Options &o) {
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    size_t equals = arg.find('=');
    std::string key = arg.substr(0, equals),
                value =
                    equals == std::string::npos ? "" : arg.substr(equals + 1);
    if (arg == "--list") {
      o.list = true;
      continue;
    }
    if (value.empty())
      return usageError("'" + arg + "' is not an option with a value");
    if (key == "--device")
      o.device = value;
    else if (key == "--plugin")
      o.plugins.push_back(value);
    else if (key == "--only")
      o.only.push_back(value);
    else if (key == "--kernels")
      o.kernels = value;
    else if (key == "--format")
      o.format = value;
    else if (key == "--level" && value.size() == 1 && value[0] >= '1' &&
             value[0] <= '4')
      o.levels.push_back(value[0] - '0');
    else if (key == "--timeout" && std::atoi(value.c_str()) > 0)
      o.timeout = static_cast<unsigned>(std::atoi(value.c_str()));
    else if (size_t colon = value.find(':'); key == "--exclude" &&
                                             colon != std::string::npos &&
                                             colon + 1 < value.size())
      o.excluded[value.substr(0, colon)] = value.substr(colon + 1);
    else
      return usageError("'" + arg + "' is not understood");
  }
  return 0;
}

std::vector<Test> allTests() {
  std::vector<Test> all;
  for (const std::vector<Test> *tests :
       {&memoryTests(), &launchTests(), &semaphoreTests(), &extensionTests(),
        &recordingTests(), &runtimeTests(), &nativeTests(), &asyncTests()})
    all.insert(all.end(), tests->begin(), tests->end());
  return all;
}

bool chosen(const Options &o, const Test &t) {
  bool level = o.levels.empty(), only = o.only.empty();
  for (int l : o.levels)
    level |= l == t.level;
  for (const std::string &name : o.only)
    only |= name == t.name;
  return level && only;
}

bool slurp(const std::string &path, std::string &out) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  out = s.str();
  return in.good() && !out.empty();
}

/// Installed, and in the build folder, they lie in ../share.
std::string defaultKernels(const ist_driver &driver,
                           const std::string &format) {
  char self[4096];
  ssize_t n = ::readlink("/proc/self/exe", self, sizeof self - 1);
  std::string path(self, n > 0 ? static_cast<size_t>(n) : 0);
  path.resize(path.rfind('/') + 1);
  return path + "../share/isthmus/cts/" + driver.vendor + "." + format;
}

/// What drivers log as errors while a test runs fails it.
std::mutex complaintsLock;
std::string complaints;

void logLine(void *, ist_log_level level, const char *line) {
  if (level != IST_LOG_ERROR)
    return;
  std::lock_guard<std::mutex> lock(complaintsLock);
  complaints += complaints.empty() ? "the driver logs: " : "; ";
  complaints += line;
}

/// The simulated device counts what it was done wrong; null for other drivers.
ist_sim_count_fn simCount(const Options &o) {
  for (const std::string &plugin : o.plugins)
    if (void *library = ::dlopen(plugin.c_str(), RTLD_NOW | RTLD_NOLOAD))
      if (void *count = ::dlsym(library, IST_SIM_COUNT))
        return reinterpret_cast<ist_sim_count_fn>(count);
  return nullptr;
}

/// 0, or an exit status.
/// The kernels that lie beside the tool are for one chip of a vendor: another
/// does without.
void leaveOutUnfit(Context &c, const std::string &path) {
  ist_error error = {};
  ist_driver_device *device = nullptr;
  ist_driver_module *module = nullptr;
  if (c.driver->open(c.host, c.index, nullptr, &device, &error))
    return; // as each test will say
  ist_module_options options = {sizeof options, c.format.c_str(), nullptr};
  if (c.driver->module_load(device, c.code.data(), c.code.size(), &options,
                            &module, &error) == IST_UNAVAILABLE) {
    std::printf("note: tests that launch are left out; give this device's "
                "kernels with --kernels: %s: %s\n",
                path.c_str(), error.message);
    c.code.clear();
    c.tileCode.clear();
  } else if (module) {
    c.driver->module_unload(module);
  }
  c.driver->close(device);
}

int prepare(const Options &o, Context &c) {
  ist_error error = {};
  for (const std::string &plugin : o.plugins)
    if (ist_plugin_load(plugin.c_str(), &error)) {
      std::fprintf(stderr, "ist-cts: %s\n", error.message);
      return 2;
    }
  if (o.device.empty())
    return usageError("which device? --device=cpu, --device=sim:0");
  c.name = o.device;
  static ist_host host = isthmus::driverHost;
  host.log = logLine;
  c.host = &host;
  c.plugins = o.plugins;
  c.simCount = simCount(o);
  isthmus::FoundDevice found;
  if (isthmus::findDevice(o.device.c_str(), &found, &error)) {
    std::fprintf(stderr, "ist-cts: %s\n", error.message);
    return 2;
  }
  c.driver = found.driver;
  c.index = found.index;
  std::string formats = c.driver->formats;
  c.format = o.format.empty() ? formats.substr(0, formats.find(',')) : o.format;
  c.block = std::strcmp(c.driver->vendor, "cpu") == 0 ? 1 : 64;
  std::string path =
      o.kernels.empty() ? defaultKernels(*c.driver, c.format) : o.kernels;
  size_t dot = path.rfind('.');
  (void)slurp(path.substr(0, dot) + "-tile" + path.substr(dot), c.tileCode);
  if (!slurp(path, c.code)) {
    if (!o.kernels.empty()) {
      std::fprintf(stderr, "ist-cts: cannot read '%s'\n", path.c_str());
      return 2;
    }
    std::printf("note: no kernels at %s: tests that launch are left out\n",
                path.c_str());
  } else if (o.kernels.empty()) {
    leaveOutUnfit(c, path);
  }
  return 0;
}

// What the handlers below print.
const char *volatile running = nullptr;

void say(const char *before, const char *after) {
  const char *name = running;
  for (const char *text : {before, name ? name : "(no test)", after})
    if (::write(STDOUT_FILENO, text, std::strlen(text)) < 0)
      return;
}
void onTimeout(int) {
  say("FAIL ", ": does not end\nstopped: the tests behind it did not run\n");
  ::_exit(1);
}
void onCrash(int number) {
  say("FAIL ", ": crashes\nstopped: the tests behind it did not run\n");
  std::signal(number, SIG_DFL);
  ::raise(number);
}

enum class Outcome { passed, failed, lacking };

/// Throws when the test did something wrong that it did not notice.
void checkAround(const Context &c, const ist_sim_counters &before) {
  std::lock_guard<std::mutex> lock(complaintsLock);
  if (!complaints.empty())
    throw Failed{complaints};
  if (!c.simCount)
    return;
  ist_sim_counters now;
  c.simCount(&now);
  CTS_THAT(now.breaches == before.breaches,
           "the contract was broken %d times; see the log",
           static_cast<int>(now.breaches - before.breaches));
  CTS_THAT(now.leaks == before.leaks && now.blocks == before.blocks &&
               now.objects == before.objects,
           "something is left");
}

Outcome runOne(const Test &t, const Context &c, std::string &what) {
  complaints.clear();
  ist_sim_counters before = {};
  if (c.simCount)
    c.simCount(&before);
  try {
    t.run(c);
    checkAround(c, before);
    return Outcome::passed;
  } catch (const Failed &f) {
    what = f.what;
    return Outcome::failed;
  } catch (const Lacking &l) {
    what = l.what;
    return Outcome::lacking;
  } catch (const std::exception &e) {
    what = e.what();
    return Outcome::failed;
  }
}

} // namespace

int main(int argc, char **argv) {
  for (int i = 1; i < argc; ++i)
    if (std::string(argv[i]) == "--help") {
      std::fputs(usage, stdout);
      return 0;
    }
  Options o;
  if (int status = parse(argc, argv, o))
    return status;
  std::vector<Test> tests = allTests();
  if (o.list) {
    for (const Test &t : tests)
      std::printf("%d %s\n", t.level, t.name);
    return 0;
  }
  std::vector<std::string> names;
  for (const Test &t : tests)
    names.push_back(t.name);
  auto known = [&](const std::string &name) {
    for (const std::string &n : names)
      if (n == name)
        return true;
    return false;
  };
  for (const std::string &name : o.only)
    if (!known(name))
      return usageError("there is no test '" + name + "'");
  for (const auto &[name, reason] : o.excluded)
    if (!known(name))
      return usageError("there is no test '" + name + "' to exclude");
  Context c;
  if (int status = prepare(o, c))
    return status;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::signal(SIGALRM, onTimeout);
  for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT})
    std::signal(number, onCrash);

  int passed = 0, failed = 0, excluded = 0;
  for (const Test &t : tests) {
    if (!chosen(o, t))
      continue;
    auto begin = std::chrono::steady_clock::now();
    std::string what;
    running = t.name;
    ::alarm(o.timeout);
    Outcome outcome = runOne(t, c, what);
    ::alarm(0);
    running = nullptr;
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                  std::chrono::steady_clock::now() - begin)
                  .count();
    auto exclusion = o.excluded.find(t.name);
    if (exclusion != o.excluded.end()) {
      if (outcome == Outcome::passed) {
        ++failed;
        std::printf("FAIL %s: passes, though it is excluded (%s); take the "
                    "exclusion away\n",
                    t.name, exclusion->second.c_str());
      } else {
        ++excluded;
        std::printf("excluded %s: %s (%s)\n", t.name, exclusion->second.c_str(),
                    what.c_str());
      }
    } else if (outcome == Outcome::failed) {
      ++failed;
      std::printf("FAIL %s: %s\n", t.name, what.c_str());
    } else if (outcome == Outcome::lacking) {
      ++excluded;
      std::printf("excluded %s: the driver says: %s\n", t.name, what.c_str());
    } else {
      ++passed;
      std::printf("ok %s (%lld ms)\n", t.name, static_cast<long long>(ms));
    }
  }
  std::printf("%d passed, %d failed, %d excluded\n", passed, failed, excluded);
  if (passed + failed + excluded == 0)
    return usageError("no test was chosen");
  return failed ? 1 : 0;
}
