//===- fuzz_importer.cpp - libFuzzer target: reading ONNX models ----------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model gives a module that verifies or at least one diagnostic, and never
// IST-I0900, which says that the importer is wrong. Bytes alone seldom make
// another valid model, so half of the mutations change the message's fields.
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OnnxImporter.h"
#include "onnx.pb.h"

#include "mlir/IR/MLIRContext.h"

#include <memory>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

using namespace isthmus;
using Random = std::minstd_rand;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/// Writes `data` to a file that has no name but a path.
static const char *fileWith(const uint8_t *data, size_t size) {
  static int fd = memfd_create("model.onnx", 0);
  static std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != ssize_t(size))
    abort();
  return path.c_str();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // A context keeps every type and attribute it has seen.
  static std::unique_ptr<mlir::MLIRContext> context;
  static unsigned runs = 0;
  if (runs++ % 500 == 0)
    context = std::make_unique<mlir::MLIRContext>(
        mlir::MLIRContext::Threading::DISABLED);
  llvm::SmallVector<ImportDiagnostic> diags;
  mlir::OwningOpRef<mlir::ModuleOp> module =
      importOnnx(fileWith(data, size), *context, OnnxImportOptions(), diags);
  if (!module && diags.empty()) {
    llvm::errs() << "no module and no diagnostic\n";
    abort();
  }
  for (const ImportDiagnostic &d : diags)
    if (d.code == "IST-I0900") {
      llvm::errs() << d.str() << "\n";
      abort();
    }
  return 0;
}

namespace {

/// Changes the fields of a model.
struct Mutator {
  Random random;

  size_t below(size_t n) { return n ? random() % n : 0; }
  bool coin() { return random() & 64; }

  int64_t integer(int64_t now) {
    static const int64_t values[] = {
        0,         1,         -1,           2,
        3,         7,         16,           -2,
        64,        1000,      65536,        INT32_MAX,
        INT32_MIN, 1ll << 32, 1ll << 40,    1ll << 62,
        INT64_MAX, INT64_MIN, INT64_MAX - 1};
    switch (below(4)) {
    case 0:
      return int64_t(uint64_t(now) + 1);
    case 1:
      return int64_t(uint64_t(now) - 1);
    case 2:
      return below(5);
    default:
      return values[below(std::size(values))];
    }
  }

  template <typename List> void integers(List &list) {
    int n = list.size();
    if (n && coin())
      list.Set(below(n), integer(list.Get(below(n))));
    else if (n && coin())
      list.RemoveLast();
    else
      list.Add(integer(n));
  }

  void bytes(std::string &s) {
    size_t size = s.size();
    s.resize(size + 16);
    s.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t *>(s.data()), size,
                              size + 16));
  }

  void tensor(onnx::TensorProto &t) {
    switch (below(5)) {
    case 0:
      return integers(*t.mutable_dims());
    case 1:
      return t.set_data_type(below(24));
    case 2:
      return integers(*t.mutable_int64_data());
    case 3:
      return t.clear_raw_data();
    default:
      return bytes(*t.mutable_raw_data());
    }
  }

  void type(onnx::TypeProto &t) {
    if (below(8) == 0)
      return t.Clear();
    auto &tensor = *t.mutable_tensor_type();
    auto &dims = *tensor.mutable_shape()->mutable_dim();
    switch (below(4)) {
    case 0:
      return tensor.set_elem_type(below(24));
    case 1:
      if (dims.size() && coin())
        return dims.RemoveLast();
      return dims.Add()->set_dim_value(integer(1));
    case 2:
      if (dims.size())
        dims[below(dims.size())].set_dim_param(coin() ? "N" : "M");
      return;
    default:
      if (dims.size()) {
        auto &dim = dims[below(dims.size())];
        dim.set_dim_value(integer(dim.dim_value()));
      }
    }
  }

  void attribute(onnx::AttributeProto &a) {
    static const float floats[] = {0, -1, 0.5, 1e30f, INFINITY, NAN};
    switch (below(7)) {
    case 0:
      return a.set_f(floats[below(std::size(floats))]);
    case 1:
    case 2:
      return integers(*a.mutable_ints());
    case 3:
      if (a.has_s())
        return bytes(*a.mutable_s());
      [[fallthrough]];
    case 4:
      if (a.has_t())
        return tensor(*a.mutable_t());
      [[fallthrough]];
    case 5:
      if (a.has_g())
        return graph(*a.mutable_g());
      [[fallthrough]];
    default:
      a.set_i(integer(a.i()));
    }
  }

  void node(onnx::NodeProto &n, const onnx::GraphProto &g) {
    static const std::vector<std::string> operators = listOnnxOperators();
    switch (below(6)) {
    case 0:
      return n.set_op_type(operators[below(operators.size())]);
    case 1:
      if (n.input_size() && coin())
        return n.mutable_input()->RemoveLast();
      [[fallthrough]];
    case 2: {
      std::string name;
      if (g.input_size() && coin())
        name = g.input(below(g.input_size())).name();
      else if (g.initializer_size() && coin())
        name = g.initializer(below(g.initializer_size())).name();
      else if (g.node_size()) {
        const auto &other = g.node(below(g.node_size()));
        if (other.output_size())
          name = other.output(below(other.output_size()));
      }
      if (n.input_size() && coin())
        return n.set_input(below(n.input_size()), name);
      return n.add_input(name);
    }
    case 3:
      if (coin())
        return n.add_output("extra" + std::to_string(n.output_size()));
      if (n.attribute_size())
        n.mutable_attribute()->SwapElements(0, below(n.attribute_size()));
      if (n.attribute_size())
        n.mutable_attribute()->RemoveLast();
      return;
    default:
      if (n.attribute_size())
        attribute(*n.mutable_attribute(below(n.attribute_size())));
    }
  }

  void graph(onnx::GraphProto &g) {
    switch (below(8)) {
    case 0:
      if (g.input_size())
        type(*g.mutable_input(below(g.input_size()))->mutable_type());
      return;
    case 1:
      if (g.initializer_size())
        tensor(*g.mutable_initializer(below(g.initializer_size())));
      return;
    case 2:
      // An input with known elements is another path in most operators.
      if (g.input_size()) {
        const auto &input = g.input(below(g.input_size()));
        auto &t = *g.add_initializer();
        t.set_name(input.name());
        t.set_data_type(input.type().tensor_type().elem_type());
        int64_t count = 1;
        for (const auto &d : input.type().tensor_type().shape().dim()) {
          t.add_dims(d.dim_value());
          count = d.dim_value() > 0 && d.dim_value() < 64 && count < 64
                      ? count * d.dim_value()
                      : 0;
        }
        for (int64_t i = 0; i < count && i < 64; ++i)
          t.data_type() == 7 ? t.add_int64_data(integer(i))
                             : t.add_int32_data(int32_t(integer(i)));
        if (t.data_type() == 1)
          for (int64_t i = 0; i < count && i < 64; ++i)
            t.add_float_data(float(integer(i)));
      }
      return;
    case 3:
      if (g.node_size() && g.output_size()) {
        const auto &n = g.node(below(g.node_size()));
        if (n.output_size())
          g.mutable_output(0)->set_name(n.output(0));
        g.mutable_output(0)->clear_type();
      }
      return;
    default:
      if (g.node_size())
        node(*g.mutable_node(below(g.node_size())), g);
    }
  }
};

} // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t max, unsigned seed) {
  Mutator m{Random(seed + 1)};
  onnx::ModelProto model;
  if (m.coin() || !model.ParseFromArray(data, int(size)))
    return LLVMFuzzerMutate(data, size, max);
  for (size_t i = 0, n = 1 + m.below(4); i < n; ++i)
    if (m.below(16) == 0 && model.opset_import_size())
      model.mutable_opset_import(0)->set_version(m.below(29));
    else
      m.graph(*model.mutable_graph());
  size_t bytes = model.ByteSizeLong();
  if (bytes > max || !model.SerializeToArray(data, int(max)))
    return size;
  return bytes;
}
