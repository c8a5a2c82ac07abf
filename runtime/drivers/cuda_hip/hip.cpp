//===- hip.cpp - what HIP does its own way --------------------------------===//
#include "hip.h"
#include "chips.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::gpu;
using namespace isthmus::stream;

static const Symbol symbols[] = {
#define IST_SYMBOLS HipSymbols
#include "symbol_rows.h"

#include "hip_symbols.h"
};
static const char *const names[] = {"libamdhip64.so.7", "libamdhip64.so.6",
                                    "libamdhip64.so.5", "libamdhip64.so",
                                    nullptr};
const LibraryDesc Hip::library = {"hip",
                                  "ISTHMUS_HIP_LIBRARY",
                                  names,
                                  "install ROCm's runtime (libamdhip64)",
                                  symbols,
                                  sizeof symbols / sizeof *symbols,
                                  sizeof(HipSymbols)};

Code Hip::arch(const Symbols &api, int device, char *out, size_t size) {
  char *properties = static_cast<char *>(std::calloc(1, kHipProperties));
  if (!properties)
    return 2; // out of memory
  bool new_ = api.GetDeviceProperties6 != nullptr;
  auto get = new_ ? api.GetDeviceProperties6 : api.GetDeviceProperties5;
  Code code = get ? get(properties, device) : kNotSupported;
  if (!code)
    std::snprintf(out, size, "%.63s",
                  properties + (new_ ? kHipArchAt6 : kHipArchAt5));
  std::free(properties);
  return code;
}

void Hip::facts(const Self &gpu, const char *arch, Device &d) {
  int driver = 0;
  gpu.api->DriverGetVersion(&driver);
  char features[128];
  chips::amd(arch, features, sizeof features);
  d.fact("amd.arch", "%.*s", static_cast<int>(std::strcspn(arch, ":")), arch);
  d.fact("amd.features", "%s", features);
  d.fact("amd.driver", "%d", driver);
}

Code Hip::enter(Self &gpu, uint64_t *state) {
  int current = 0;
  if (Code code = gpu.api->GetDevice(&current))
    return code;
  if (current == gpu.device)
    return 0;
  *state = static_cast<uint64_t>(current) + 1;
  return gpu.api->SetDevice(gpu.device);
}

void Hip::leave(Self &gpu, uint64_t state) {
  if (state)
    gpu.api->SetDevice(static_cast<int>(state - 1));
}

int Hip::moduleLoad(Device &d, Self &gpu, const void *code, size_t size,
                    const ist_module_options &options, void **module,
                    ist_error *error) {
  if (std::strcmp(options.format, "hsaco") != 0)
    return fail(error, IST_UNAVAILABLE, "driver hip loads hsaco, not '%.40s'",
                options.format);
  if (ist_status s = checkElf(code, size, error))
    return s;
  if (Code s = gpu.api->ModuleLoadData(module, code))
    return d.failed(s, error, "loading code");
  return IST_OK;
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

HipKernelNode Hip::kernelNode(const Command &c, void **arguments) {
  pointAtArgs(c, arguments);
  return {{c.kernel->block, 1, 1},
          nullptr,
          c.kernel->handle,
          {static_cast<unsigned>(c.grid), 1, 1},
          arguments,
          c.dynamicShared};
}
