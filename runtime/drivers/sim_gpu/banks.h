//===- banks.h - bank conflicts of shared memory
//---------------------------===//
#ifndef ISTHMUS_SIM_GPU_BANKS_H
#define ISTHMUS_SIM_GPU_BANKS_H

#include <algorithm>
#include <cstdint>

namespace isthmus::simgpu {

/// Passes that an access of 32 lanes, those of `mask`, takes beyond what its
/// bytes take anyway. 32 banks of 4 bytes; accesses of 8 and 16 bytes are made
/// for half and a quarter of the lanes at a time; lanes that want the same word
/// share it.
inline uint64_t bankConflicts(const uint64_t *address, uint32_t mask,
                              uint32_t bytes) {
  constexpr uint32_t lanes = 32, banks = 32;
  uint32_t words = bytes < 4 ? 1 : bytes / 4, together = lanes / words;
  uint64_t conflicts = 0;
  for (uint32_t first = 0; first + together <= lanes; first += together) {
    // Within 32 words one after the other no two share a bank.
    uint64_t low = address[first] / 4, high = low;
    for (uint32_t l = first; l < first + together; ++l) {
      low = std::min(low, address[l] / 4);
      high = std::max(high, address[l] / 4);
    }
    if (high + words - low <= banks)
      continue;
    uint64_t seen[banks][4]; // words of a bank
    uint32_t count[banks] = {}, most = 0;
    for (uint32_t l = first; l < first + together; ++l) {
      if (!(mask >> l & 1))
        continue;
      for (uint32_t n = 0; n < words; ++n) {
        uint64_t word = address[l] / 4 + n;
        uint32_t bank = word % banks, k = 0;
        while (k < count[bank] && k < 4 && seen[bank][k] != word)
          ++k;
        if (k == count[bank] || k == 4) {
          if (k < 4)
            seen[bank][k] = word;
          most = std::max(most, ++count[bank]);
        }
      }
    }
    conflicts += most > 1 ? most - 1 : 0;
  }
  return conflicts;
}

} // namespace isthmus::simgpu

#endif // ISTHMUS_SIM_GPU_BANKS_H
