//===- load.cpp - a module of PTX -----------------------------------------===//
#include "decode.h"
#include "run.h"

using namespace isthmus::simgpu;
using namespace isthmus::simgpu::ptx;

namespace {

class PtxKernel : public Kernel {
public:
  const std::string &name() const override { return program.name; }
  bool run(const Launch &launch, uint32_t group, Counters &counters,
           Fault &fault) const override {
    return runGroup(program, launch, group, counters, fault);
  }
  Program program;
};

class PtxModule : public Module {
public:
  const Kernel *find(const std::string &name) const override {
    auto at = kernels.find(name);
    return at == kernels.end() ? nullptr : at->second.get();
  }
  std::map<std::string, std::unique_ptr<PtxKernel>> kernels;
  std::vector<std::vector<uint64_t>> memory; // of .global and .const
};

} // namespace

std::unique_ptr<Module> isthmus::simgpu::loadPtx(const std::string &chip,
                                                 const void *code, size_t bytes,
                                                 LoadError &kind,
                                                 std::string &error) {
  Text text;
  kind = LoadError::malformed;
  if (!parse(static_cast<const char *>(code), bytes, text, error))
    return nullptr;
  auto module = std::make_unique<PtxModule>();
  std::vector<Static> statics;
  for (const Variable &v : text.variables) {
    if (v.space == "shared")
      continue;
    if (v.align > 64) {
      error = "'" + v.name + "' is aligned to more than 64 bytes";
      return nullptr;
    }
    // With room to align what lies in it.
    module->memory.emplace_back((v.bytes + 64 + 7) / 8);
    auto address = reinterpret_cast<uint64_t>(module->memory.back().data());
    address = (address + v.align - 1) & ~(v.align - 1);
    if (!v.init.empty())
      std::memcpy(reinterpret_cast<void *>(address), v.init.data(),
                  v.init.size());
    statics.push_back({v.name, address, v.bytes, v.space == "global"});
  }
  kind = LoadError::unsupported;
  for (const Entry &entry : text.entries) {
    auto kernel = std::make_unique<PtxKernel>();
    if (!Decoder(entry, text.variables, kernel->program, error).decode(statics))
      return nullptr;
    module->kernels[entry.name] = std::move(kernel);
  }
  return module;
}
