//===- ArtifactWriter.cpp - writes .ist files -----------------------------===//
//
// The layout is APPNOTE.TXT's (PKWARE .ZIP File Format Specification 6.3.10).
// A member's data is brought to its alignment by the extra field of its local
// header, so the file has no bytes that belong to nobody but for a few (below
// 25) where the extra field would be too short to be one. Padding is skipped,
// not written: on most file systems it takes no space.
//
//===----------------------------------------------------------------------===//
#include "ArtifactWriter.h"

#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

using namespace isthmus;

namespace {
constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50,
                   kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50;
constexpr uint16_t kExtraZip64 = 0x0001;
constexpr uint16_t kExtraPadding = 0x5349; // "IS"; ours, unregistered
constexpr uint16_t kDosDate = 0x0021;      // 1980-01-01, zip's first day
constexpr uint64_t kMax16 = 0xffff, kMax32 = 0xffffffff;
// Room for a ZIP64 record (20) and the head of the padding record (4), so that
// a member may turn out to be larger than 4 GiB after its header was written.
constexpr uint64_t kMinExtra = 24;
constexpr uint64_t kLocalHeaderSize = 30;

struct Bytes {
  std::string data;
  void u16(uint64_t v) { put(v, 2); }
  void u32(uint64_t v) { put(v, 4); }
  void u64(uint64_t v) { put(v, 8); }

private:
  void put(uint64_t v, int n) {
    for (int i = 0; i < n; ++i)
      data.push_back(static_cast<char>(v >> (8 * i)));
  }
};

uint64_t clamp32(uint64_t v) { return v < kMax32 ? v : kMax32; }
} // namespace

ArtifactWriter::~ArtifactWriter() {
  if (file) {
    std::fclose(file);
    ::unlink(temporary.c_str());
  }
}

bool ArtifactWriter::fail(std::string &err, const std::string &what) {
  err = what;
  if (file) {
    std::fclose(file);
    file = nullptr;
    ::unlink(temporary.c_str());
  }
  return false;
}

bool ArtifactWriter::open(const std::string &p, std::string &err) {
  if (file)
    return fail(err, "artifact writer: '" + path + "' is already open");
  path = p;
  temporary = path + ".tmp." + std::to_string(::getpid());
  members.clear();
  position = 0;
  inMember = false;
  // The finished file is renamed over `path`: never over a device or a folder.
  struct stat there;
  if (::stat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode))
    return fail(err,
                "'" + path + "' is not a regular file: name another output");
  file = std::fopen(temporary.c_str(), "wb");
  if (!file)
    return fail(err, "cannot create '" + temporary + "': " + strerror(errno));
  return true;
}

bool ArtifactWriter::write(const void *data, size_t size, std::string &err) {
  if (size && std::fwrite(data, 1, size, file) != size)
    return fail(err, "cannot write '" + temporary + "': " + strerror(errno));
  position += size;
  return true;
}

bool ArtifactWriter::seek(uint64_t offset, std::string &err) {
  if (::fseeko(file, static_cast<off_t>(offset), SEEK_SET) != 0)
    return fail(err, "cannot seek in '" + temporary + "': " + strerror(errno));
  position = offset;
  return true;
}

bool ArtifactWriter::beginMember(const std::string &name, std::string &err) {
  if (!file)
    return fail(err, "artifact writer: no file is open");
  if (!endMember(err))
    return false;
  if (name.empty() || name.size() > 4096)
    return fail(err, "artifact member name '" + name.substr(0, 40) +
                         "' is empty or longer than 4096 bytes");
  for (const Member &m : members)
    if (m.name == name)
      return fail(err, "artifact member '" + name + "' is written twice");

  Member m;
  m.name = name;
  m.header = position;
  uint64_t fixed = kLocalHeaderSize + name.size();
  uint64_t padding =
      (kAlignment - (position + fixed) % kAlignment) % kAlignment;
  if (padding < kMinExtra) {
    m.header += padding + 1;
    padding = kAlignment - 1; // the largest extra field there can be
  }
  m.extra = static_cast<uint16_t>(padding);
  members.push_back(m);
  inMember = true;
  return seek(m.header + fixed + padding, err);
}

bool ArtifactWriter::append(const void *data, size_t size, std::string &err) {
  if (!file || !inMember)
    return fail(err, "artifact writer: append without a member");
  if (!write(data, size, err))
    return false;
  Member &m = members.back();
  m.crc = static_cast<uint32_t>(
      ::crc32_z(m.crc, static_cast<const Bytef *>(data), size));
  m.size += size;
  return true;
}

bool ArtifactWriter::endMember(std::string &err) {
  if (!inMember)
    return true;
  inMember = false;
  const Member &m = members.back();
  uint64_t end = position;
  bool zip64 = m.size >= kMax32;

  Bytes b;
  b.u32(kLocalHeader);
  b.u16(zip64 ? 45 : 20); // version needed
  b.u16(0x0800);          // flags: the name is UTF-8
  b.u16(0);               // stored
  b.u16(0);               // time
  b.u16(kDosDate);
  b.u32(m.crc);
  b.u32(zip64 ? kMax32 : m.size);
  b.u32(zip64 ? kMax32 : m.size);
  b.u16(m.name.size());
  b.u16(m.extra);
  b.data += m.name;
  uint64_t padding = m.extra - 4;
  if (zip64) {
    b.u16(kExtraZip64);
    b.u16(16);
    b.u64(m.size);
    b.u64(m.size);
    padding -= 20;
  }
  b.u16(kExtraPadding);
  b.u16(padding);
  return seek(m.header, err) && write(b.data.data(), b.data.size(), err) &&
         seek(end, err);
}

bool ArtifactWriter::finish(std::string &err) {
  if (!file)
    return fail(err, "artifact writer: no file is open");
  if (!endMember(err))
    return false;

  uint64_t directory = position;
  Bytes b;
  for (const Member &m : members) {
    bool bigSize = m.size >= kMax32, bigOffset = m.header >= kMax32;
    Bytes extra;
    if (bigSize) {
      extra.u64(m.size);
      extra.u64(m.size);
    }
    if (bigOffset)
      extra.u64(m.header);
    b.u32(kCentralHeader);
    b.u16(3 << 8 | 45); // made by: Unix, 4.5
    b.u16(bigSize || bigOffset ? 45 : 20);
    b.u16(0x0800);
    b.u16(0);
    b.u16(0);
    b.u16(kDosDate);
    b.u32(m.crc);
    b.u32(clamp32(m.size));
    b.u32(clamp32(m.size));
    b.u16(m.name.size());
    b.u16(extra.data.empty() ? 0 : extra.data.size() + 4);
    b.u16(0);                // comment
    b.u16(0);                // disk
    b.u16(0);                // internal attributes
    b.u32(0100644ull << 16); // a regular file, rw-r--r--
    b.u32(bigOffset ? kMax32 : m.header);
    b.data += m.name;
    if (!extra.data.empty()) {
      b.u16(kExtraZip64);
      b.u16(extra.data.size());
      b.data += extra.data;
    }
  }
  uint64_t size = b.data.size(), count = members.size();
  if (count >= kMax16 || size >= kMax32 || directory >= kMax32) {
    b.u32(kEnd64);
    b.u64(44); // bytes that follow in this record
    b.u16(3 << 8 | 45);
    b.u16(45);
    b.u32(0);
    b.u32(0);
    b.u64(count);
    b.u64(count);
    b.u64(size);
    b.u64(directory);
    b.u32(kLocator64);
    b.u32(0);
    b.u64(directory + size);
    b.u32(1);
  }
  b.u32(kEnd);
  b.u16(0);
  b.u16(0);
  b.u16(count < kMax16 ? count : kMax16);
  b.u16(count < kMax16 ? count : kMax16);
  b.u32(clamp32(size));
  b.u32(clamp32(directory));
  b.u16(0);
  if (!write(b.data.data(), b.data.size(), err))
    return false;

  bool closed = std::fclose(file) == 0;
  file = nullptr;
  if (!closed || std::rename(temporary.c_str(), path.c_str()) != 0) {
    int code = errno;
    ::unlink(temporary.c_str());
    return fail(err, "cannot write '" + path + "': " + strerror(code));
  }
  return true;
}
