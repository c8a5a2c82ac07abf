//===- zip.cpp - reads an artifact's container ----------------------------===//
//
// APPNOTE.TXT (PKWARE .ZIP File Format Specification 6.3.10): the directory at
// the end is the truth; local headers are read only for the length of what
// stands between them and the data. Every read is bounds-checked.
//
//===----------------------------------------------------------------------===//
#include "zip.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace isthmus;

namespace {
constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50,
                   kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50;

uint64_t load(const uint8_t *p, int n) {
  uint64_t v = 0;
  for (int i = 0; i < n; ++i)
    v |= static_cast<uint64_t>(p[i]) << (8 * i);
  return v;
}

bool within(uint64_t offset, uint64_t size, uint64_t limit) {
  return size <= limit && offset <= limit - size;
}

ist_status broken(ist_error *error, const char *what) {
  return fail(error, IST_DATA_LOSS,
              "not a valid artifact: %s; compile the model again, or copy the "
              "file again if it was cut short",
              what);
}
} // namespace

Zip::~Zip() {
  if (mapped)
    ::munmap(const_cast<uint8_t *>(file.data), file.size);
}

ist_status Zip::openFile(const char *path, ist_error *error) {
  int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail(error,
                errno == ENOENT                      ? IST_NOT_FOUND
                : errno == EMFILE || errno == ENFILE ? IST_RESOURCE_EXHAUSTED
                                                     : IST_INVALID_ARGUMENT,
                "cannot open artifact '%s': %s", path, std::strerror(errno));
  struct stat st;
  ist_status status = IST_OK;
  if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    status = fail(error, IST_INVALID_ARGUMENT,
                  "artifact '%s' is not a regular file", path);
  } else if (st.st_size == 0) {
    status = broken(error, "the file is empty");
  } else {
    void *p = ::mmap(nullptr, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
      status = fail(error, IST_RESOURCE_EXHAUSTED,
                    "cannot map artifact '%s' (%llu bytes): %s", path,
                    ull(st.st_size), std::strerror(errno));
    } else {
      file = {static_cast<uint8_t *>(p), static_cast<uint64_t>(st.st_size)};
      mapped = true;
    }
  }
  ::close(fd);
  return status ? status : readDirectory(error);
}

void Zip::release(uint64_t address, uint64_t bytes) const {
  uint64_t begin = reinterpret_cast<uintptr_t>(file.data);
  if (!mapped || address < begin || !within(address - begin, bytes, file.size))
    return;
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  uint64_t first = (address + page - 1) / page * page;
  uint64_t last = (address + bytes) / page * page;
  if (first < last) // a refusal changes nothing
    ::madvise(reinterpret_cast<void *>(first), last - first, MADV_DONTNEED);
}

ist_status Zip::openMemory(const void *data, size_t size, ist_error *error) {
  file = {static_cast<const uint8_t *>(data), size};
  return readDirectory(error);
}

ist_status Zip::readDirectory(ist_error *error) {
  const uint8_t *f = file.data;
  constexpr uint64_t endSize = 22, maxComment = 0xffff;
  if (file.size < endSize)
    return broken(error, "shorter than the shortest zip");

  // The end record is followed by a comment of a length that it says itself.
  uint64_t end = 0;
  bool found = false;
  uint64_t last = file.size - endSize;
  uint64_t first = last > maxComment ? last - maxComment : 0;
  for (uint64_t i = last + 1; i-- > first && !found;)
    if (load(f + i, 4) == kEnd &&
        load(f + i + 20, 2) == file.size - i - endSize) {
      end = i;
      found = true;
    }
  if (!found)
    return broken(error, "no zip directory at its end");

  uint64_t count = load(f + end + 10, 2), size = load(f + end + 12, 4),
           start = load(f + end + 16, 4);
  if (end >= 20 && load(f + end - 20, 4) == kLocator64) {
    uint64_t at = load(f + end - 20 + 8, 8);
    if (!within(at, 56, file.size) || load(f + at, 4) != kEnd64)
      return broken(error, "its ZIP64 end record is out of place");
    count = load(f + at + 32, 8);
    size = load(f + at + 40, 8);
    start = load(f + at + 48, 8);
  }
  if (!within(start, size, file.size))
    return broken(error, "its zip directory lies outside the file");
  if (count > size / 46)
    return broken(error, "its zip directory is too short for its members");

  const uint8_t *p = f + start, *stop = p + size;
  for (uint64_t i = 0; i < count; ++i) {
    if (stop - p < 46 || load(p, 4) != kCentralHeader)
      return broken(error, "a zip directory entry is malformed");
    uint64_t flags = load(p + 8, 2), method = load(p + 10, 2),
             packed = load(p + 20, 4), bytes = load(p + 24, 4),
             nameSize = load(p + 28, 2), extraSize = load(p + 30, 2),
             commentSize = load(p + 32, 2), header = load(p + 42, 4);
    if (static_cast<uint64_t>(stop - p) <
        46 + nameSize + extraSize + commentSize)
      return broken(error, "a zip directory entry is cut short");
    const char *name = reinterpret_cast<const char *>(p + 46);

    // A ZIP64 field carries, in this order, those values that are all ones.
    const uint8_t *x = p + 46 + nameSize, *xEnd = x + extraSize;
    while (xEnd - x >= 4) {
      uint64_t id = load(x, 2), n = load(x + 2, 2);
      x += 4;
      if (static_cast<uint64_t>(xEnd - x) < n)
        return broken(error, "a zip extra field is cut short");
      if (id == 1) {
        const uint8_t *v = x, *vEnd = x + n;
        uint64_t *fields[] = {&bytes, &packed, &header};
        for (uint64_t *field : fields) {
          if (*field != 0xffffffff)
            continue;
          if (vEnd - v < 8)
            return broken(error, "a ZIP64 extra field is cut short");
          *field = load(v, 8);
          v += 8;
        }
      }
      x += n;
    }

    if (method != 0 || packed != bytes || (flags & 1))
      return broken(error, "a member is compressed or encrypted, where all "
                           "must be stored");
    if (!within(header, 30, file.size) || load(f + header, 4) != kLocalHeader)
      return broken(error, "a member's header is out of place");
    uint64_t data =
        header + 30 + load(f + header + 26, 2) + load(f + header + 28, 2);
    if (!within(data, bytes, file.size))
      return broken(error, "a member reaches outside the file");
    if (!members.push({name, static_cast<size_t>(nameSize), {f + data, bytes}}))
      return outOfMemory(error, count * sizeof(Member), "the zip directory");
    p += 46 + nameSize + extraSize + commentSize;
  }
  return IST_OK;
}

bool Zip::find(const char *name, Span *out) const {
  size_t n = std::strlen(name);
  for (const Member &m : members)
    if (m.nameSize == n && std::memcmp(m.name, name, n) == 0) {
      *out = m.data;
      return true;
    }
  return false;
}
