//===- spirv.cpp ----------------------------------------------------------===//
#include "spirv.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::stream;

ist_status stream::checkSpirv(const void *code, size_t size, ist_error *error) {
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
  // Architecture and release, as in ocloc's table of devices.
  struct Chip {
    uint32_t architecture, release;
    const char *name;
  };
  static const Chip chips[] = {
      {12, 60, "pvc"}, {12, 61, "pvc"}, {20, 1, "bmg"}, {20, 2, "bmg"}};
  const char *chip = "";
  for (const Chip &c : chips)
    if (ip >> 22 == c.architecture && (ip >> 14 & 0xff) == c.release)
      chip = c.name;
  d.fact("intel.features", "spirv64%s%s%s%s", *chip ? "," : "", chip,
         float16 ? ",float16" : "", float64 ? ",float64" : "");
  d.fact("intel.workgroup_lanes", "%u", groupLanes);
  d.fact("intel.workgroup_bytes", "%llu",
         static_cast<unsigned long long>(groupBytes));
}
