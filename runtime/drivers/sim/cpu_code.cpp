//===- cpu_code.cpp - the simulated device that runs CPU kernels ----------===//
#include "backend.h"
#include "code_object.h"
#include "facts.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::sim;

struct sim::Facts {
  cpu::Facts host;
  char summary[160];
};

const bool backend::hostAddresses = false;
const char *const backend::environment = "ISTHMUS_SIM";
const uint32_t backend::optionsFor = Options::CPU;

ist_status backend::open(ist_driver_device &d, ist_error *error) {
  d.facts = make<sim::Facts>();
  if (!d.facts)
    return outOfMemory(error, sizeof *d.facts, "a device's facts");
  cpu::describe(1, &d.facts->host);
  std::snprintf(d.facts->summary, sizeof d.facts->summary,
                "simulated on %.100s", d.facts->host.summary);
  d.description.summary = d.facts->summary;
  d.description.facts = d.facts->host.facts;
  d.description.fact_count = d.facts->host.count;
  return IST_OK;
}

void backend::close(ist_driver_device &d) { destroy(d.facts); }

const void *backend::extension(const char *) { return nullptr; }

ist_status backend::load(ist_driver_device &, const void *code, size_t bytes,
                         const char *format, void **out, ist_error *error) {
  if (std::strcmp(format, "elf") != 0)
    return fail(error, IST_UNAVAILABLE,
                "the sim driver runs code in the format elf, not %.64s",
                format);
  auto *object = make<cpu::CodeObject>();
  if (!object)
    return outOfMemory(error, sizeof *object, "a module");
  ist_status s = object->load(static_cast<const uint8_t *>(code), bytes, error);
  if (s)
    destroy(object);
  else
    *out = object;
  return s;
}

void backend::unload(void *code) {
  destroy(static_cast<cpu::CodeObject *>(code));
}

ist_status backend::find(void *code, const ist_kernel_desc &desc,
                         const void **out, ist_error *error) {
  *out = static_cast<cpu::CodeObject *>(code)->find(desc.name);
  if (*out)
    return IST_OK;
  return fail(error, IST_DATA_LOSS,
              "broken artifact: its code object has no kernel '%.100s'; "
              "compile the model again",
              desc.name);
}

ist_status backend::run(const Command &c, ist_error *error) {
  // The blob with host addresses; those of nothing stay, and fault when used.
  Array<uint64_t> blob;
  if (!blob.resize(c.args.size()))
    return outOfMemory(error, c.args.size() * 8, "a kernel's arguments");
  for (size_t i = 0; i < c.args.size(); ++i)
    blob[i] = c.args[i];
  for (const ist_arg &a : c.kernel->args) {
    char *at = reinterpret_cast<char *>(blob.data()) + a.offset;
    uint64_t address;
    if (a.kind != IST_ARG_ADDRESS)
      continue;
    std::memcpy(&address, at, 8);
    if (isNothing(address))
      continue;
    uint8_t *p = c.translate(address);
    std::memcpy(at, &p, 8);
  }
  void (*entry)(const uint64_t *args, uint64_t begin, uint64_t end);
  std::memcpy(&entry, &c.kernel->entry, sizeof entry);
  // Workgroups come in no order; so the later half goes first.
  entry(blob.data(), c.grid / 2, c.grid);
  if (c.grid / 2)
    entry(blob.data(), 0, c.grid / 2);
  return IST_OK;
}

// --- the table ---

static int enumerateDevices(const ist_host *, ist_identity *identities,
                            uint32_t capacity, uint32_t *count,
                            ist_error *error) {
  return enumerate(nullptr, static_cast<uint32_t>(options().devices),
                   identities, capacity, count, error);
}

static int open(const ist_host *host, uint32_t index, const ist_native *native,
                ist_driver_device **out, ist_error *error) {
  char name[16];
  std::snprintf(name, sizeof name, "sim:%u", index);
  if (index >= options().devices)
    return fail(error, IST_NOT_FOUND, "there are %llu simulated devices",
                static_cast<unsigned long long>(options().devices));
  return openDevice(host, index, name, native, out, error);
}

extern "C" IST_API const ist_driver *ist_driver_entry(uint32_t abi,
                                                      ist_error *error) {
  static ist_driver table;
  if (!readEnvironment(abi, error))
    return nullptr;
  table = makeTable("cpu", "elf", enumerateDevices, open, nullptr);
  return &table;
}
