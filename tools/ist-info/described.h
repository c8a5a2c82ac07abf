//===- described.h - devices that are not at hand ---------------*- C++ -*-===//
#ifndef ISTHMUS_TOOLS_IST_INFO_DESCRIBED_H
#define ISTHMUS_TOOLS_IST_INFO_DESCRIBED_H

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace isthmus::tools {

/// What a device's driver would say of it, as far as variants ask.
struct Described {
  std::string name;   // "h100"
  std::string people; // "NVIDIA H100, CUDA 12.4"
  std::string vendor, formats;
  std::vector<std::pair<std::string, std::string>> facts;
};

/// Of the products that people ask for, with drivers of today.
const std::vector<Described> &describedDevices();

/// The device called `name`, or the one that the JSON file `name` (its name
/// ends in ".json") describes: {"vendor": "nvidia", "formats": "ptx", "facts":
/// {"nvidia.features": "sm_80,ptx70"}}. None, with `error` empty: `name` is
/// neither. None, with an error: the file is not good.
std::optional<Described> describedDevice(const std::string &name,
                                         std::string &error);

} // namespace isthmus::tools

#endif // ISTHMUS_TOOLS_IST_INFO_DESCRIBED_H
