//===- Ops/Convert.cpp - Identity, Constant, Cast -------------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"

using namespace mlir;
using namespace isthmus;

static LogicalResult identity(NodeContext &c) { return c.result(&c.in(0)); }

/// A constant of a few numbers written in the node itself.
template <typename T>
static ImportValue *numbers(NodeContext &c, DType type, ArrayRef<T> values,
                            bool isScalar) {
  Sizes sizes;
  if (!isScalar)
    sizes.push_back(c.idx.constant(values.size()));
  ImportValue *v = c.importer.newValue(type, sizes);
  v->home = nullptr;
  v->constant =
      DenseElementsAttr::get(c.importer.tensorType(type, sizes), values);
  if constexpr (std::is_same_v<T, int64_t>)
    if (values.size() <= size_t(kMaxScalars)) {
      v->scalars = Sizes();
      for (T value : values)
        v->scalars->push_back(c.idx.constant(value));
    }
  return v;
}

static LogicalResult constant(NodeContext &c) {
  if (const onnx::TensorProto *t = c.tensorAttr("value")) {
    std::string name = c.wants(0) ? c.node.output(0) : c.name;
    ImportValue *v = c.importer.newConstant(*t, name);
    if (!v) { // the tensor has its own diagnostic
      c.failed = true;
      return failure();
    }
    return c.result(v);
  }
  if (c.hasAttr("value_int")) {
    int64_t v = c.intAttr("value_int", 0);
    return c.result(numbers<int64_t>(c, DType::i64, v, true));
  }
  if (c.hasAttr("value_float")) {
    float v = c.floatAttr("value_float", 0);
    return c.result(numbers<float>(c, DType::f32, v, true));
  }
  if (auto v = c.intsAttr("value_ints"))
    return c.result(numbers<int64_t>(c, DType::i64, *v, false));
  if (auto v = c.floatsAttr("value_floats")) {
    SmallVector<float> floats(v->begin(), v->end());
    return c.result(numbers<float>(c, DType::f32, floats, false));
  }
  for (StringRef name : {"value_string", "value_strings", "sparse_value"})
    if (c.hasAttr(name))
      return c.unsupported("constant given by '" + name + "'");
  return c.invalid("has no value");
}

static LogicalResult castValue(NodeContext &c, DType to) {
  ImportValue &x = c.in(0);
  if (!elementType(c.b.getContext(), to))
    return c.error("IST-I0103", "cast to " + dtypeName(to), "");
  if (x.dtype == to)
    return c.result(&x);
  if (x.scalars && !isFloat(to)) {
    Sizes elements;
    for (OpFoldResult s : *x.scalars)
      elements.push_back(to == DType::i1 ? c.idx.select(s, c.idx.constant(1),
                                                        c.idx.constant(0))
                                         : s);
    return c.result(c.importer.newScalars(to, elements, x.rank()));
  }
  return c.result(castTo(c, x, to));
}

/// The same bits as another type of the same width.
static LogicalResult bitCast(NodeContext &c) {
  DType from = c.in(0).dtype, to = DType(c.intAttr("to", 0));
  if (!elementType(c.b.getContext(), to))
    return c.error("IST-I0103", "cast to " + dtypeName(to), "");
  if (byteSize(from) != byteSize(to))
    return c.invalid("the types have different widths");
  if (from == to)
    return c.result(&c.in(0));
  return c.result(
      elementwiseTo(c, &c.in(0), c.in(0).sizes, to,
                    [&](OpBuilder &b, Location loc, ValueRange a) -> Value {
                      BodyMath m{b, loc};
                      Type type = elementType(b.getContext(), to);
                      if (from == DType::i1 || to == DType::i1)
                        return m.cast(a[0], from, to);
                      if (a[0].getType() == type)
                        return a[0];
                      return arith::BitcastOp::create(b, loc, type, a[0]);
                    }));
}

namespace isthmus {
void registerConvertOps(Registry &r) {
  r.add("Identity", 1, identity);
  r.add("Constant", 0, constant);
  r.add("BitCast", 1, bitCast, 26);
  r.add(
      "Cast", 1,
      [](NodeContext &c) { return castValue(c, DType(c.intAttr("to", 0))); },
      6);
  r.add("CastLike", 2,
        [](NodeContext &c) { return castValue(c, c.in(1).dtype); });
}
} // namespace isthmus
