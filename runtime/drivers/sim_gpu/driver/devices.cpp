//===- devices.cpp - the simulated GPUs -----------------------------------===//
//
// One table for each vendor; both call their devices sim:<chip>.
//
//===----------------------------------------------------------------------===//
#include "devices.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::sim;

// What a real device of the chip says of itself (docs/drivers.md, "What a chip
// runs"). PTX is read whatever its version.
const simgpu::Chip simgpu::chips[] = {
    {"sm_80", "nvidia", "simulated NVIDIA GPU: executes PTX for sm_80",
     "sm_50,sm_52,sm_53,sm_60,sm_61,sm_62,sm_70,sm_72,sm_75,sm_80,"
     "ptx60,ptx61,ptx62,ptx63,ptx64,ptx65,ptx70,ptx71,ptx72,ptx73,ptx74,ptx75,"
     "ptx76,ptx77,ptx78,ptx80,ptx81,ptx82,ptx83,ptx84,ptx85,ptx86,ptx87,ptx88"},
    {"gfx942", "amd", "simulated AMD GPU: executes code for gfx942",
     "gfx9-4-generic,gfx942,sramecc+,xnack-"},
    {"gfx1100", "amd", "simulated AMD GPU: executes code for gfx1100",
     "gfx11-generic,gfx1100"},
    {"gfx1201", "amd", "simulated AMD GPU: executes code for gfx1201",
     "gfx12-generic,gfx1201"}};
const uint32_t simgpu::chipCount = sizeof chips / sizeof *chips;

const bool backend::hostAddresses = true;
const char *const backend::environment = "ISTHMUS_SIM_GPU";
const uint32_t backend::optionsFor = Options::GPU;

ist_status backend::open(ist_driver_device &d, ist_error *error) {
  d.facts = make<Facts>();
  if (!d.facts)
    return outOfMemory(error, sizeof *d.facts, "a device's facts");
  Facts &f = *d.facts;
  f.chip = &simgpu::chips[d.number];
  std::snprintf(f.key, sizeof f.key, "%s.features", f.chip->vendor);
  f.facts[0] = {f.key, f.chip->features};
  d.description.summary = f.chip->summary;
  d.description.facts = f.facts;
  d.description.fact_count = 1;
  return IST_OK;
}

void backend::close(ist_driver_device &d) { destroy(d.facts); }

const void *backend::extension(const char *name) {
  return std::strcmp(name, IST_EXTENSION_COUNTERS) == 0
             ? &simgpu::countersExtension
             : nullptr;
}

namespace {

constexpr uint32_t kFirstAMD = 1; // in chips

int enumerateChips(uint32_t first, uint32_t last, ist_identity *identities,
                   uint32_t capacity, uint32_t *count, ist_error *error) {
  Named named[kMaxDevices];
  for (uint32_t i = first; i < last; ++i)
    named[i - first] = {simgpu::chips[i].name, simgpu::chips[i].summary};
  return enumerate(named, last - first, identities, capacity, count, error);
}

int openChip(const ist_host *host, uint32_t number, uint32_t last,
             const ist_native *native, ist_driver_device **out,
             ist_error *error) {
  if (number >= last)
    return fail(error, IST_NOT_FOUND, "there is no such simulated GPU");
  char name[32];
  std::snprintf(name, sizeof name, "sim:%s", simgpu::chips[number].name);
  return openDevice(host, number, name, native, out, error);
}

int enumerateNVIDIA(const ist_host *, ist_identity *identities,
                    uint32_t capacity, uint32_t *count, ist_error *error) {
  return enumerateChips(0, kFirstAMD, identities, capacity, count, error);
}
int enumerateAMD(const ist_host *, ist_identity *identities, uint32_t capacity,
                 uint32_t *count, ist_error *error) {
  return enumerateChips(kFirstAMD, simgpu::chipCount, identities, capacity,
                        count, error);
}
int openNVIDIA(const ist_host *host, uint32_t index, const ist_native *native,
               ist_driver_device **out, ist_error *error) {
  return openChip(host, index, kFirstAMD, native, out, error);
}
int openAMD(const ist_host *host, uint32_t index, const ist_native *native,
            ist_driver_device **out, ist_error *error) {
  if (index >= simgpu::chipCount - kFirstAMD)
    index = simgpu::chipCount - kFirstAMD;
  return openChip(host, kFirstAMD + index, simgpu::chipCount, native, out,
                  error);
}

ist_driver nvidia, amd;

} // namespace

extern "C" IST_API const ist_driver *ist_driver_entry(uint32_t abi,
                                                      ist_error *error) {
  if (!readEnvironment(abi, error))
    return nullptr;
  amd = makeTable("amd", "hsaco", enumerateAMD, openAMD, nullptr);
  nvidia = makeTable("nvidia", "ptx", enumerateNVIDIA, openNVIDIA, &amd);
  return &nvidia;
}
