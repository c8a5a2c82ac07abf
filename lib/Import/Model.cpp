//===- Model.cpp - an ONNX file in memory -------------------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Model.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"

#include <limits>

static constexpr int64_t kLargeTensor = 4096; // bytes

using namespace llvm;
using namespace isthmus;

static Error fail(const Twine &message) {
  return createStringError(inconvertibleErrorCode(), message);
}

//===----------------------------------------------------------------------===//
// Offsets: a second walk over the wire format, side by side with the message
//===----------------------------------------------------------------------===//

namespace isthmus {
/// The protobuf library copies bytes out and forgets where they were. This
/// walks the same file again along the messages it made and notes the place of
/// each tensor's data. What does not match byte for byte is left out.
class OffsetFinder {
public:
  OffsetFinder(Model &model)
      : model(model), base(model.buffer->getBufferStart()) {}

  void run() {
    StringRef all = model.buffer->getBuffer();
    fields(all, [&](unsigned field, StringRef bytes) {
      if (field == 7) {
        graph(bytes, model.model.graph());
        // What can be read from the file need not be in memory twice.
        for (onnx::TensorProto &t :
             *model.model.mutable_graph()->mutable_initializer())
          if (auto it = model.offsets.find(&t);
              it != model.offsets.end() && t.has_raw_data() &&
              it->second.second >= kLargeTensor) {
            delete t.release_raw_data();
            model.onlyInFile.insert(&t);
          }
      } else if (field == 25 && nextFunction < model.model.functions_size())
        nodes(bytes, 7, model.model.functions(nextFunction++).node());
    });
  }

private:
  /// Calls `visit` for each length-delimited field; stops at nonsense.
  static void fields(StringRef in, function_ref<void(unsigned, StringRef)> f) {
    while (!in.empty()) {
      uint64_t tag, length;
      if (!varint(in, tag))
        return;
      switch (tag & 7) {
      case 0:
        if (!varint(in, length))
          return;
        break;
      case 1:
        if (in.size() < 8)
          return;
        in = in.drop_front(8);
        break;
      case 2:
        if (!varint(in, length) || length > in.size())
          return;
        f(tag >> 3, in.take_front(length));
        in = in.drop_front(length);
        break;
      case 5:
        if (in.size() < 4)
          return;
        in = in.drop_front(4);
        break;
      default:
        return;
      }
    }
  }

  static bool varint(StringRef &in, uint64_t &value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
      uint8_t byte = in.front();
      in = in.drop_front();
      value |= uint64_t(byte & 127) << shift;
      if (byte < 128)
        return true;
    }
    return false;
  }

  void graph(StringRef in, const onnx::GraphProto &g) {
    int initializer = 0;
    fields(in, [&](unsigned field, StringRef bytes) {
      if (field == 5 && initializer < g.initializer_size())
        tensor(bytes, g.initializer(initializer++));
    });
    nodes(in, 1, g.node());
  }

  template <typename Nodes>
  void nodes(StringRef in, unsigned nodeField, const Nodes &list) {
    int node = 0;
    fields(in, [&](unsigned field, StringRef bytes) {
      if (field != nodeField || node >= list.size())
        return;
      const onnx::NodeProto &n = list.Get(node++);
      int attribute = 0;
      fields(bytes, [&](unsigned field, StringRef bytes) {
        if (field == 5 && attribute < n.attribute_size())
          this->attribute(bytes, n.attribute(attribute++));
      });
    });
  }

  void attribute(StringRef in, const onnx::AttributeProto &a) {
    int tensors = 0, graphs = 0;
    fields(in, [&](unsigned field, StringRef bytes) {
      if (field == 5)
        tensor(bytes, a.t());
      else if (field == 6)
        graph(bytes, a.g());
      else if (field == 10 && tensors < a.tensors_size())
        tensor(bytes, a.tensors(tensors++));
      else if (field == 11 && graphs < a.graphs_size())
        graph(bytes, a.graphs(graphs++));
    });
  }

  void tensor(StringRef in, const onnx::TensorProto &t) {
    auto note = [&](StringRef bytes, const void *data, size_t size) {
      if (bytes.size() == size && memcmp(bytes.data(), data, size) == 0)
        model.offsets[&t] = {bytes.data() - base, int64_t(size)};
    };
    fields(in, [&](unsigned field, StringRef bytes) {
      if (field == 9)
        note(bytes, t.raw_data().data(), t.raw_data().size());
      else if (field == 4 && !t.has_raw_data())
        note(bytes, t.float_data().data(), t.float_data_size() * 4);
      else if (field == 10 && !t.has_raw_data())
        note(bytes, t.double_data().data(), t.double_data_size() * 8);
    });
  }

  Model &model;
  const char *base;
  int nextFunction = 0;
};
} // namespace isthmus

//===----------------------------------------------------------------------===//
// Model
//===----------------------------------------------------------------------===//

Expected<std::unique_ptr<Model>> Model::open(StringRef path) {
  auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    return fail("cannot read '" + path + "': " + file.getError().message());
  auto result = std::make_unique<Model>();
  result->path = path.str();
  result->buffer = std::move(*file);
  StringRef all = result->buffer->getBuffer();
  if (all.size() > size_t(std::numeric_limits<int>::max()))
    return fail("'" + path +
                "' is larger than 2 GiB, more than a protobuf "
                "message can hold");
  if (!result->model.ParseFromArray(all.data(), int(all.size())))
    return fail("'" + path +
                "' is not an ONNX model: the protobuf message is "
                "damaged or cut off");
  OffsetFinder(*result).run();
  return std::move(result);
}

Expected<SmallVector<int64_t>> Model::dims(const onnx::TensorProto &tensor) {
  SmallVector<int64_t> dims(tensor.dims().begin(), tensor.dims().end());
  int64_t count = 1, size = 0;
  for (int64_t dim : dims) {
    if (dim < 0)
      return fail("has a negative dim");
    if (MulOverflow(count, std::max<int64_t>(dim, 1), count) ||
        MulOverflow(count, int64_t(8), size))
      return fail("has more elements than an address space");
  }
  return dims;
}

static int64_t numElements(ArrayRef<int64_t> dims) {
  int64_t count = 1;
  for (int64_t dim : dims)
    count *= dim;
  return count;
}

/// The bytes the tensor must have.
static Expected<int64_t> wantedBytes(const onnx::TensorProto &tensor) {
  auto dims = Model::dims(tensor);
  if (!dims)
    return dims.takeError();
  DType type = DType(tensor.data_type());
  if (byteSize(type) == 0)
    return fail("has element type " + dtypeName(type));
  return numElements(*dims) * byteSize(type);
}

/// Whether the real path of `file` is below that of the folder `near`, or of
/// the folder that holds the file `near`.
static bool isBelow(StringRef file, StringRef near) {
  SmallString<256> realFile, realDir;
  if (sys::fs::real_path(file, realFile) ||
      sys::fs::real_path(near.empty() ? "." : near, realDir))
    return false;
  if (!sys::fs::is_directory(realDir))
    sys::path::remove_filename(realDir);
  if (!realDir.ends_with("/"))
    realDir += '/';
  return StringRef(realFile).starts_with(realDir);
}

Expected<FileRange> Model::external(const onnx::TensorProto &tensor) const {
  StringRef location;
  int64_t offset = 0, length = -1;
  for (const onnx::StringStringEntryProto &entry : tensor.external_data()) {
    StringRef value = entry.value();
    bool bad = false;
    if (entry.key() == "location")
      location = value;
    else if (entry.key() == "offset")
      bad = value.getAsInteger(10, offset) || offset < 0;
    else if (entry.key() == "length")
      bad = value.getAsInteger(10, length) || length < 0;
    if (bad)
      return fail("external data has a bad " + entry.key() + " '" + value +
                  "'");
  }
  if (location.empty())
    return fail("external data without a location");
  // The path is the file's own claim: it may not leave the model's folder.
  SmallString<256> full(sys::path::parent_path(path));
  bool escapes = sys::path::is_absolute(location);
  for (auto part = sys::path::begin(location); part != sys::path::end(location);
       ++part)
    escapes |= *part == "..";
  if (escapes || location.contains('\0'))
    return fail("external data '" + location +
                "' lies outside the model's folder");
  sys::path::append(full, location);
  uint64_t fileSize;
  if (std::error_code error = sys::fs::file_size(full, fileSize))
    return fail("external data '" + full + "': " + error.message());
  // Links may stay in the folder, or in the folder where the model's own link
  // leads to (the cache of huggingface_hub).
  if (!isBelow(full, sys::path::parent_path(path)) && !isBelow(full, path))
    return fail("external data '" + location +
                "' lies outside the model's folder");
  auto want = wantedBytes(tensor);
  if (!want)
    return want.takeError();
  if (length < 0)
    length = *want;
  if (length != *want)
    return fail("external data has " + Twine(length) +
                " bytes, the tensor needs " + Twine(*want));
  if (uint64_t(offset) > fileSize || uint64_t(length) > fileSize - offset)
    return fail("external data ends at byte " +
                Twine(uint64_t(offset) + uint64_t(length)) + " of '" +
                location + "', which has " + Twine(fileSize));
  return FileRange{std::string(full), offset, length};
}

Expected<std::optional<FileRange>>
Model::locate(const onnx::TensorProto &tensor) const {
  if (tensor.data_location() == 1) {
    auto range = external(tensor);
    if (!range)
      return range.takeError();
    return std::optional<FileRange>(*range);
  }
  auto want = wantedBytes(tensor);
  if (!want)
    return want.takeError();
  auto it = offsets.find(&tensor);
  DType type = DType(tensor.data_type());
  bool raw = tensor.has_raw_data() || onlyInFile.contains(&tensor) ||
             (type == DType::f32 && tensor.float_data_size()) ||
             (type == DType::f64 && tensor.double_data_size());
  if (it == offsets.end() || !raw || it->second.second != *want)
    return std::optional<FileRange>();
  return std::optional<FileRange>(
      FileRange{path, it->second.first, it->second.second});
}

template <typename To, typename From>
static std::vector<char> narrow(const From &from) {
  std::vector<char> out(from.size() * sizeof(To));
  for (int i = 0; i < from.size(); ++i) {
    To value = To(from.Get(i));
    memcpy(out.data() + i * sizeof(To), &value, sizeof(To));
  }
  return out;
}

Expected<std::vector<char>>
Model::bytes(const onnx::TensorProto &tensor) const {
  auto want = wantedBytes(tensor);
  if (!want)
    return want.takeError();
  std::vector<char> out;
  if (tensor.data_location() == 1) {
    auto range = external(tensor);
    if (!range)
      return range.takeError();
    auto file =
        MemoryBuffer::getFileSlice(range->file, range->bytes, range->offset);
    if (!file)
      return fail("external data '" + range->file +
                  "': " + file.getError().message());
    StringRef data = (*file)->getBuffer();
    out.assign(data.begin(), data.end());
  } else if (onlyInFile.contains(&tensor)) {
    auto [offset, size] = offsets.lookup(&tensor);
    StringRef data = buffer->getBuffer().substr(offset, size);
    out.assign(data.begin(), data.end());
  } else if (tensor.has_raw_data()) {
    out.assign(tensor.raw_data().begin(), tensor.raw_data().end());
  } else {
    switch (DType(tensor.data_type())) {
    case DType::f32:
      out = narrow<float>(tensor.float_data());
      break;
    case DType::f64:
      out = narrow<double>(tensor.double_data());
      break;
    case DType::i64:
      out = narrow<int64_t>(tensor.int64_data());
      break;
    case DType::u64:
      out = narrow<uint64_t>(tensor.uint64_data());
      break;
    case DType::u32:
      out = narrow<uint32_t>(tensor.uint64_data());
      break;
    case DType::i32:
      out = narrow<int32_t>(tensor.int32_data());
      break;
    case DType::i16:
    case DType::u16:
    case DType::f16:
    case DType::bf16:
      out = narrow<uint16_t>(tensor.int32_data());
      break;
    case DType::i8:
    case DType::u8:
    case DType::i1:
      out = narrow<uint8_t>(tensor.int32_data());
      break;
    default:
      break;
    }
  }
  if (int64_t(out.size()) != *want)
    return fail("holds " + Twine(out.size()) + " bytes, its shape needs " +
                Twine(*want));
  return out;
}
