//===- spirv.cpp ----------------------------------------------------------===//
#include "spirv.h"
#include "chips.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::stream;

ist_status stream::checkSpirv(const Device &d,
                              const ist_module_options &options,
                              const void *code, size_t size, ist_error *error) {
  if (std::strcmp(options.format, "spirv") != 0)
    return fail(error, IST_UNAVAILABLE, "driver %s loads spirv, not '%.40s'",
                d.driver, options.format);
  constexpr uint32_t magic = 0x07230203, functionEnd = 56;
  constexpr size_t header = 5;
  const char *bytes = static_cast<const char *>(code);
  size_t words = size / 4, at = header;
  uint32_t word = 0;
  auto read = [&](size_t i) {
    std::memcpy(&word, bytes + 4 * i, 4);
    return word;
  };
  bool good = size % 4 == 0 && words > header && read(0) == magic;
  while (good && at < words) {
    size_t length = read(at) >> 16;
    good = length != 0 && length <= words - at;
    at += length;
  }
  if (good && (word & 0xffff) == functionEnd)
    return IST_OK;
  return fail(error, IST_DATA_LOSS,
              "not a whole SPIR-V module: word %zu of %zu; compile the model "
              "again",
              at < words ? at : words, words);
}

void stream::spirvFacts(Device &d, uint32_t ip, bool float16, bool float64,
                        uint32_t groupLanes, uint64_t groupBytes) {
  char features[64];
  chips::intel(ip, float16, float64, features, sizeof features);
  d.fact("intel.features", "%s", features);
  d.fact("intel.workgroup_lanes", "%u", groupLanes);
  d.fact("intel.workgroup_bytes", "%llu",
         static_cast<unsigned long long>(groupBytes));
}

ist_status stream::checkSpirvKernel(const Device &d,
                                    const ist_kernel_desc &desc,
                                    const SpirvKernel &kernel,
                                    uint64_t localBytes, ist_error *error) {
  auto ull = [](uint64_t v) { return static_cast<unsigned long long>(v); };
  if (kernel.args != desc.arg_count)
    return fail(error, IST_DATA_LOSS,
                "broken artifact: kernel '%.100s' has %u arguments and its "
                "description %zu; compile the model again",
                desc.name, kernel.args, desc.arg_count);
  if (desc.block > kernel.maxLanes || kernel.localBytes > localBytes ||
      desc.dynamic_shared)
    return fail(error, IST_UNAVAILABLE,
                "kernel '%.100s' wants %u lanes, %llu bytes of workgroup "
                "memory and %u sized at launch; %s:%u has %u, %llu and 0",
                desc.name, desc.block, ull(kernel.localBytes),
                desc.dynamic_shared, d.driver, d.index, kernel.maxLanes,
                ull(localBytes));
  return IST_OK;
}
