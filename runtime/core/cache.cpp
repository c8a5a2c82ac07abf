//===- cache.cpp - what is kept in ISTHMUS_CACHE_DIR ----------------------===//
//
// Derived weights, and the blobs of drivers, such as machine code that a vendor
// compiled. The former are a header, a table of parts, and the parts, 64-byte
// aligned so that they can be used where the file is mapped. It is written
// under another name and then renamed, so readers see all of it or nothing.
//
//===----------------------------------------------------------------------===//
#include "device.h"
#include "store.h"
#include "transfer.h"
#include "verify.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace isthmus;

namespace {

constexpr char kMagic[8] = {'i', 's', 't', '-', 'k', 'e', 'p', 't'};
constexpr uint32_t kVersion = 1;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t count;
  Hash::Value key;
  uint64_t bytes;    // of the file
  uint64_t checksum; // of the table, then of each part
  uint64_t reserved[2];
};
static_assert(sizeof(Header) == 64, "parts begin aligned");

struct Entry {
  uint64_t offset, bytes;
};

struct Path {
  char text[4096];
  bool ok;
  bool isWanted; // there is to be a cache
};

/// The file of `key`. Not ok: there is no cache, or its folder's name is too
/// long.
Path pathOf(const char *kind, const Hash::Value &key) {
  Path p = {"", false, false};
  const char *dir = std::getenv("ISTHMUS_CACHE_DIR");
  p.isWanted = dir && *dir;
  if (p.isWanted)
    p.ok = std::snprintf(p.text, sizeof p.text, "%s/%s-%016llx%016llx.bin", dir,
                         kind, ull(key.a),
                         ull(key.b)) < static_cast<int>(sizeof p.text - 32);
  return p;
}

/// Null: as it should be.
const char *wrong(const uint8_t *data, uint64_t size, const Stored *stored) {
  if (size < sizeof(Header))
    return "it is cut short";
  Header h;
  std::memcpy(&h, data, sizeof h);
  if (std::memcmp(h.magic, kMagic, sizeof kMagic) != 0)
    return "it is not of this kind";
  if (h.version != kVersion)
    return "it is of another version";
  size_t n = stored->parts.size();
  if (!(h.key == stored->key) || h.count != n)
    return "it belongs to something else";
  if (h.bytes != size || (size - sizeof h) / sizeof(Entry) < n)
    return "it is cut short";
  const Entry *entries = reinterpret_cast<const Entry *>(data + sizeof h);
  Hash hash;
  hash.add(entries, n * sizeof(Entry));
  for (size_t i = 0; i < n; ++i) {
    if (entries[i].offset % kAlignment || entries[i].offset > size ||
        entries[i].bytes > size - entries[i].offset)
      return "its table is broken";
    hash.add(data + entries[i].offset, entries[i].bytes);
  }
  return hash.value().a == h.checksum ? nullptr : "its checksum does not fit";
}

/// Uses the file in place where the device takes that, else copies.
ist_status take(ist_device *device, Store &store, Stored *stored,
                const uint8_t *data, bool *mapped, ist_error *error) {
  const Entry *entries = reinterpret_cast<const Entry *>(data + sizeof(Header));
  Transfer transfer;
  bool open = false;
  *mapped = false;
  for (size_t i = 0; i < stored->parts.size(); ++i) {
    if (!entries[i].bytes)
      continue;
    Stored::Part &part = stored->parts[i];
    const uint8_t *p = data + entries[i].offset;
    Imported m = {};
    ist_status s = device->import(p, entries[i].bytes, &m, error);
    if (!s) {
      part = {m, entries[i].bytes, true};
      *mapped = true;
      continue;
    }
    if (s == IST_UNAVAILABLE)
      s = store.alloc(stored, i, entries[i].bytes, error);
    if (!s && !open) {
      open = true;
      s = transfer.open(device, error);
    }
    if (!s)
      s = transfer.toDevice(part.memory.address, p, entries[i].bytes, error);
    if (s)
      return s;
  }
  return IST_OK;
}

bool writeAt(int file, const void *data, uint64_t bytes, uint64_t at) {
  const char *p = static_cast<const char *>(data);
  while (bytes) {
    ssize_t n = ::pwrite(file, p, bytes < 1 << 30 ? bytes : 1 << 30,
                         static_cast<off_t>(at));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    p += n;
    at += static_cast<uint64_t>(n);
    bytes -= static_cast<uint64_t>(n);
  }
  return true;
}

/// Fills an empty file; false with `error` says why.
bool write(ist_device *device, const Stored *stored, int file,
           ist_error *error) {
  size_t n = stored->parts.size();
  Array<Entry> entries;
  Array<uint8_t> buffer; // one part, where the host cannot address it
  Transfer transfer;
  if (!entries.resize(n)) {
    outOfMemory(error, n * sizeof(Entry), "a table");
    return false;
  }
  if (transfer.open(device, error))
    return false;
  uint64_t at = alignUp(sizeof(Header) + n * sizeof(Entry), kAlignment);
  for (size_t i = 0; i < n; ++i) {
    entries[i] = {at, stored->parts[i].bytes};
    at = alignUp(at + entries[i].bytes, kAlignment);
  }
  Hash hash;
  hash.add(entries.data(), n * sizeof(Entry));
  bool ok = true;
  for (size_t i = 0; i < n && ok; ++i) {
    const ist_driver_memory &m = stored->parts[i].memory;
    const void *p = m.host;
    if (entries[i].bytes && !device->shares()) {
      if (!buffer.resize(entries[i].bytes)) {
        outOfMemory(error, entries[i].bytes, "a copy of a derived weight");
        return false;
      }
      if (transfer.toHost(buffer.data(), m.address, entries[i].bytes, error))
        return false;
      p = buffer.data();
    } else if (device->shares()) {
      p = reinterpret_cast<const void *>(m.address);
    }
    hash.add(p, entries[i].bytes);
    ok = writeAt(file, p, entries[i].bytes, entries[i].offset);
  }
  Header h = {};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  h.version = kVersion;
  h.count = static_cast<uint32_t>(n);
  h.key = stored->key;
  h.bytes = at;
  h.checksum = hash.value().a;
  // The last part ends before `at`.
  ok = ok && ::ftruncate(file, static_cast<off_t>(at)) == 0 &&
       writeAt(file, &h, sizeof h, 0) &&
       writeAt(file, entries.data(), n * sizeof(Entry), sizeof h);
  if (!ok)
    std::snprintf(error->message, sizeof error->message, "%s",
                  std::strerror(errno));
  return ok;
}

/// Another name, `fill`, then the right one. False: errno says why, unless
/// `fill` does.
template <typename Fill> bool replaceFile(Path &path, Fill fill) {
  if (!path.ok) {
    errno = ENAMETOOLONG;
    return false;
  }
  char *slash = std::strrchr(path.text, '/');
  *slash = 0;
  ::mkdir(path.text, 0777); // its parent is the user's business
  *slash = '/';
  static uint32_t number;
  char draft[sizeof path.text + 32];
  std::snprintf(draft, sizeof draft, "%s.%ld.%u", path.text,
                static_cast<long>(::getpid()),
                __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED));
  int file = ::open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0)
    return false;
  bool ok = fill(file);
  ok = ::close(file) == 0 && ok;
  ok = ok && ::rename(draft, path.text) == 0;
  int reason = errno;
  if (!ok)
    ::unlink(draft);
  errno = reason;
  return ok;
}

constexpr char kBlobMagic[8] = {'i', 's', 't', '-', 'b', 'l', 'o', 'b'};

/// Of a blob; its checksum covers the key as well.
Header blobHeader(const char *key, const void *data, uint64_t bytes) {
  Header h = {};
  std::memcpy(h.magic, kBlobMagic, sizeof kBlobMagic);
  h.version = kVersion;
  Hash hash;
  hash.add(key);
  h.key = hash.value();
  h.bytes = sizeof h + bytes;
  hash.add(data, bytes);
  h.checksum = hash.value().a;
  return h;
}

} // namespace

void *isthmus::readBlob(const char *key, void *(*allocate)(size_t),
                        size_t *bytes) {
  Path path = pathOf("blob", blobHeader(key, nullptr, 0).key);
  int file = path.ok ? ::open(path.text, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0)
    return nullptr;
  struct stat info;
  void *data = nullptr;
  Header h;
  if (::fstat(file, &info) == 0 &&
      info.st_size > static_cast<off_t>(sizeof h) &&
      ::pread(file, &h, sizeof h, 0) == static_cast<ssize_t>(sizeof h)) {
    size_t n = static_cast<size_t>(info.st_size) - sizeof h, at = 0;
    data = allocate(n);
    while (data && at < n) {
      ssize_t k = ::pread(file, static_cast<char *>(data) + at, n - at,
                          static_cast<off_t>(sizeof h + at));
      if (k <= 0)
        break;
      at += static_cast<size_t>(k);
    }
    Header wanted = data ? blobHeader(key, data, n) : h;
    if (data && (at < n || std::memcmp(&wanted, &h, sizeof h) != 0)) {
      std::free(data); // as host.deallocate does; it is written anew
      data = nullptr;
    }
    *bytes = n;
  }
  ::close(file);
  return data;
}

void isthmus::writeBlob(const char *key, const void *data, size_t bytes,
                        char *why, size_t size) {
  *why = 0;
  Header h = blobHeader(key, data, bytes);
  Path path = pathOf("blob", h.key);
  if (!path.isWanted || !bytes)
    return;
  bool ok = replaceFile(path, [&](int file) {
    return writeAt(file, &h, sizeof h, 0) &&
           writeAt(file, data, bytes, sizeof h);
  });
  if (!ok)
    std::snprintf(why, size,
                  "what a driver compiled is not kept in '%.300s': %s; the "
                  "next process compiles it again",
                  path.text, std::strerror(errno));
}

bool isthmus::readCache(ist_device *device, Store &store, Stored *stored,
                        char *why, size_t size) {
  *why = 0;
  Path path = pathOf("derived", stored->key);
  if (!path.ok)
    return false;
  int file = ::open(path.text, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno != ENOENT)
      std::snprintf(why, size, "'%.300s' cannot be read: %s", path.text,
                    std::strerror(errno));
    return false;
  }
  struct stat info;
  void *data = MAP_FAILED;
  if (::fstat(file, &info) == 0 && info.st_size > 0)
    data = ::mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ,
                  MAP_PRIVATE, file, 0);
  ::close(file);
  const uint8_t *bytes = static_cast<const uint8_t *>(data);
  const char *what = "it cannot be mapped";
  ist_error error = {};
  bool mapped = false;
  if (data != MAP_FAILED) {
    what = wrong(bytes, static_cast<uint64_t>(info.st_size), stored);
    if (!what && take(device, store, stored, bytes, &mapped, &error) != IST_OK)
      what = error.message;
    if (mapped) {
      stored->mapping = data;
      stored->mappingBytes = static_cast<uint64_t>(info.st_size);
    } else {
      ::munmap(data, static_cast<size_t>(info.st_size));
    }
  }
  if (what)
    std::snprintf(why, size, "'%.300s' is not used and made again: %.200s",
                  path.text, what);
  return !what;
}

void isthmus::writeCache(ist_device *device, const Stored *stored, char *why,
                         size_t size) {
  *why = 0;
  Path path = pathOf("derived", stored->key);
  if (!path.isWanted)
    return;
  ist_error error = {};
  bool ok = replaceFile(
      path, [&](int file) { return write(device, stored, file, &error); });
  if (ok)
    return;
  if (!*error.message)
    std::snprintf(error.message, sizeof error.message, "%s",
                  std::strerror(errno));
  std::snprintf(why, size, "derived weights are not kept in '%.300s': %.200s",
                path.text, error.message);
}
