//===- fuzz_artifact.cpp - libFuzzer target: reading artifacts ------------===//
//
// Container, manifest and program are untrusted; loading without a device reads
// all of them and runs no kernel. What loads is asked everything, planned with
// the smallest inputs. The first byte of an input says what the rest is: a
// whole artifact, only a manifest, or a code object.
//
//===----------------------------------------------------------------------===//
#include "code_object.h"
#include "plan.h"
#include "program.h"

using namespace isthmus;

namespace {

void askAll(const ist_program *p) {
  ist_error error;
  ist_artifact_info info;
  ist_program_info(p, &info);
  for (uint32_t i = 0; i < info.weight_count; ++i) {
    ist_weight_info w;
    ist_program_weight(p, i, &w, &error);
  }
  for (uint32_t i = 0; i < info.kernel_count; ++i) {
    ist_kernel_code k;
    ist_program_kernel_code(p, i, &k, &error);
    const char *plan;
    for (uint32_t j = 0; j < k.declined_count; ++j)
      ist_program_kernel_declined(p, i, j, &plan, &error);
  }
  for (uint32_t i = 0; i < info.function_count; ++i) {
    ist_function_info f;
    ist_program_function(p, i, &f, &error);
    if (f.input_count > 64 || f.output_count > 64)
      continue;
    ist_tensor inputs[64] = {}, outputs[64] = {};
    for (uint32_t j = 0; j < f.input_count; ++j) {
      ist_tensor_info t;
      ist_program_input(p, i, j, &t, &error);
      inputs[j].dtype = t.dtype;
      inputs[j].rank = t.rank;
      for (int32_t d = 0; d < t.rank; ++d) {
        inputs[j].dims[d] = t.dims[d].size;
        ist_symbol_info s;
        if (t.dims[d].symbol >= 0 &&
            !ist_program_symbol(p, i, t.dims[d].symbol, &s, &error))
          inputs[j].dims[d] = s.min;
      }
    }
    ist_memory_need need;
    ist_program_memory_need(p, i, inputs, f.input_count, &need, &error);
    ist_program_output_shapes(p, i, inputs, f.input_count, outputs,
                              f.output_count, &error);
    for (uint32_t j = 0; j < f.launch_count; ++j) {
      ist_launch_info l;
      ist_program_launch(p, i, j, &l, &error);
      const char *node;
      for (uint32_t k = 0; k < l.node_count; ++k)
        ist_program_launch_node(p, i, j, k, &node, &error);
      ist_work work;
      ist_program_launch_work(p, i, j, inputs, f.input_count, &work, &error);
    }
  }
}

/// A zip in memory; names and sizes are small.
class TinyZip {
public:
  bool add(const char *name, const uint8_t *data, size_t size) {
    entries[count++] = {name, size, bytes.size()};
    bool ok = u(0x04034b50, 4) && zeros(14) && u(size, 4) && u(size, 4) &&
              u(std::strlen(name), 2) && u(padding(name), 2) &&
              put(name, std::strlen(name)) && zeros(padding(name));
    return ok && put(data, size);
  }
  bool finish() {
    size_t start = bytes.size();
    for (size_t i = 0; i < count; ++i) {
      const Entry &e = entries[i];
      if (!(u(0x02014b50, 4) && zeros(16) && u(e.size, 4) && u(e.size, 4) &&
            u(std::strlen(e.name), 2) && zeros(12) && u(e.offset, 4) &&
            put(e.name, std::strlen(e.name))))
        return false;
    }
    size_t size = bytes.size() - start;
    return u(0x06054b50, 4) && zeros(4) && u(count, 2) && u(count, 2) &&
           u(size, 4) && u(start, 4) && zeros(2);
  }
  Array<uint8_t> bytes;

private:
  struct Entry {
    const char *name;
    size_t size, offset;
  };
  bool put(const void *p, size_t n) {
    size_t at = bytes.size();
    if (!bytes.resize(at + n))
      return false;
    if (n)
      std::memcpy(bytes.data() + at, p, n);
    return true;
  }
  bool zeros(size_t n) { return bytes.resize(bytes.size() + n); }
  bool u(uint64_t v, int n) {
    for (int i = 0; i < n; ++i)
      if (!bytes.push(static_cast<uint8_t>(v >> 8 * i)))
        return false;
    return true;
  }
  /// Data begins at a multiple of 64, counting from the local header.
  size_t padding(const char *name) {
    size_t at = entries[count - 1].offset + 30 + std::strlen(name);
    return alignUp(at, 64) - at;
  }
  Entry entries[4];
  size_t count = 0;
};

void loadAndAsk(const uint8_t *bytes, size_t size) {
  ist_error error;
  ist_program *p = nullptr;
  if (ist_program_load_memory(bytes, size, nullptr, IST_BEST_VARIANT, &p,
                              &error) == IST_OK)
    askAll(p);
  ist_program_release(p);
}

} // namespace

extern "C" __attribute__((visibility("default"))) int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  ist_error error;
  uint8_t what = *data++ % 3;
  --size;
  // Aligned as a mapped file is, and exactly as long as the input.
  void *copy = std::aligned_alloc(64, alignUp(size + 1, 64));
  uint8_t *bytes = static_cast<uint8_t *>(copy) + alignUp(size + 1, 64) - size;
  if (what != 0)
    bytes = static_cast<uint8_t *>(copy);
  std::memcpy(bytes, data, size);
  if (what == 0) {
    loadAndAsk(bytes, size);
  } else if (what == 1) {
    static const uint8_t weights[64] = {};
    TinyZip zip;
    if (zip.add("manifest", bytes, size) && zip.add("code/cpu", weights, 4) &&
        zip.add("weights", weights, 64) && zip.finish())
      loadAndAsk(zip.bytes.data(), zip.bytes.size());
  } else {
    cpu::CodeObject().load(bytes, size, &error);
  }
  std::free(copy);
  return 0;
}
