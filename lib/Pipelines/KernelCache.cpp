//===- KernelCache.cpp - kernels that were compiled before ----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/KernelCache.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"
#include "llvm/TargetParser/Host.h"

#include <cstdlib>
#include <dlfcn.h>

using namespace isthmus;
using llvm::StringRef;
namespace fs = llvm::sys::fs;

static constexpr StringRef kMagic = "ISTKRNL2";

/// Of everything hashed, the length first, so that no two lists are alike.
static void add(llvm::BLAKE3 &hash, StringRef text) {
  uint64_t size = text.size();
  hash.update(StringRef(reinterpret_cast<const char *>(&size), sizeof size));
  hash.update(text);
}

/// What this compiler is: its program's bytes, and which LLVM it runs with.
/// Empty when they cannot be read.
static std::string identity() {
  static int here;
  std::string program = fs::getMainExecutable("istc", &here);
  auto bytes = llvm::MemoryBuffer::getFile(program, /*IsText=*/false,
                                           /*RequiresNullTerminator=*/false);
  if (!bytes)
    return "";
  llvm::BLAKE3 hash;
  add(hash, (*bytes)->getBuffer());
  add(hash, LLVM_VERSION_STRING);
  Dl_info library;
  fs::file_status status;
  if (dladdr(reinterpret_cast<void *>(&llvm::sys::getDefaultTargetTriple),
             &library) &&
      library.dli_fname && !fs::status(library.dli_fname, status)) {
    add(hash, std::to_string(status.getSize()));
    add(hash, std::to_string(
                  status.getLastModificationTime().time_since_epoch().count()));
  }
  return llvm::toHex(hash.final<16>(), /*LowerCase=*/true);
}

KernelCache::KernelCache(const TargetInfo &info, llvm::raw_ostream &warnings)
    : warnings(warnings) {
  const char *root = std::getenv("ISTHMUS_CACHE_DIR");
  if (!root || !*root)
    return;
  static const std::string compiler = identity();
  llvm::SmallString<128> path(root);
  llvm::sys::path::append(path, "kernels");
  if (compiler.empty()) {
    warn("the compiler's own program file cannot be read");
    return;
  }
  if (std::error_code ec = fs::create_directories(path)) {
    warn("cannot make " + path + ": " + ec.message());
    return;
  }
  folder = path.str();
  llvm::BLAKE3 hash;
  for (StringRef part :
       {StringRef(compiler), StringRef(info.name), StringRef(info.triple),
        StringRef(info.cpu), StringRef(info.features)})
    add(hash, part);
  key = llvm::toHex(hash.final<16>());
}

void KernelCache::warn(const llvm::Twine &text) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!warned)
    warnings << "warning: kernels are not cached: " << text << "\n";
  warned = true;
}

std::string KernelCache::pathOf(StringRef text) const {
  llvm::BLAKE3 hash;
  add(hash, key);
  add(hash, text);
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, llvm::toHex(hash.final<16>(), true));
  return path.str().str();
}

//===----------------------------------------------------------------------===//
// The file: magic, xxh3 of the rest, name, flags, numbers, errors, object
//===----------------------------------------------------------------------===//

static void put(std::string &out, uint64_t v) {
  char bytes[8];
  llvm::support::endian::write64le(bytes, v);
  out.append(bytes, 8);
}

static void put(std::string &out, StringRef text) {
  put(out, text.size());
  out += text;
}

namespace {
/// Reads what `put` wrote; `good` turns false at the first thing that is not
/// there.
struct Reader {
  StringRef rest;
  bool good = true;

  uint64_t number() {
    if (rest.size() < 8) {
      good = false;
      return 0;
    }
    uint64_t v = llvm::support::endian::read64le(rest.data());
    rest = rest.drop_front(8);
    return v;
  }
  StringRef text() {
    uint64_t size = number();
    if (size > rest.size()) {
      good = false;
      return "";
    }
    StringRef v = rest.take_front(size);
    rest = rest.drop_front(size);
    return v;
  }
};
} // namespace

std::optional<KernelObject> KernelCache::find(StringRef text) {
  if (!enabled())
    return std::nullopt;
  auto file = llvm::MemoryBuffer::getFile(pathOf(text), /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  if (!file)
    return std::nullopt;
  Reader in{(*file)->getBuffer()};
  if (!in.rest.consume_front(kMagic) ||
      in.number() != llvm::xxh3_64bits(in.rest))
    return std::nullopt; // damaged: compiled again and written over
  KernelObject object;
  object.name = in.text();
  object.usesErrorWord = in.number();
  object.workgroupBytes = static_cast<int64_t>(in.number());
  for (int *n : {&object.registers.vector, &object.registers.scalar,
                 &object.registers.spilled})
    *n = static_cast<int>(in.number());
  for (uint64_t i = in.number(); i && in.good; --i)
    object.errors.push_back(in.text().str());
  StringRef bytes = in.text();
  if (!in.good || !in.rest.empty())
    return std::nullopt;
  object.bytes.assign(bytes.begin(), bytes.end());
  ++hits;
  return object;
}

void KernelCache::keep(StringRef text, const KernelObject &object) {
  if (!enabled())
    return;
  std::string body;
  put(body, StringRef(object.name));
  put(body, uint64_t(object.usesErrorWord));
  put(body, static_cast<uint64_t>(object.workgroupBytes));
  for (int n : {object.registers.vector, object.registers.scalar,
                object.registers.spilled})
    put(body, static_cast<uint64_t>(n));
  put(body, uint64_t(object.errors.size()));
  for (const std::string &e : object.errors)
    put(body, StringRef(e));
  put(body, StringRef(object.bytes.data(), object.bytes.size()));
  std::string all = kMagic.str();
  put(all, llvm::xxh3_64bits(body));
  all += body;
  std::string path = pathOf(text);
  llvm::Expected<fs::TempFile> file = fs::TempFile::create(path + ".%%%%%%%%");
  if (!file)
    return warn(llvm::toString(file.takeError()));
  llvm::raw_fd_ostream out(file->FD, /*shouldClose=*/false);
  out << all;
  out.flush();
  if (std::error_code ec = out.error()) {
    out.clear_error();
    llvm::consumeError(file->discard());
    return warn("cannot write " + path + ": " + ec.message());
  }
  if (llvm::Error e = file->keep(path))
    warn(llvm::toString(std::move(e)));
}
