//===- ArtifactWriter.h - writes .ist files ---------------------*- C++ -*-===//
//
// An artifact is a plain zip: members are stored, each member's data begins at
// a multiple of 64 KiB so that the runtime can map it, and ZIP64 records appear
// only where a size or offset needs them. The same members give the same bytes:
// no clock, no user, no path is recorded.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_ARTIFACT_ARTIFACTWRITER_H
#define ISTHMUS_ARTIFACT_ARTIFACTWRITER_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace isthmus {

/// Writes one artifact, member after member, to `path`.tmp.<pid> and renames it
/// to `path` in finish(), so that a reader never sees half a file. Destroying
/// an unfinished writer removes the temporary file.
///
/// Every function returns false and sets `err` on failure; after a failure
/// nothing more can be written. Not thread-safe.
class ArtifactWriter {
public:
  static constexpr uint64_t kAlignment = 64 * 1024;

  ArtifactWriter() = default;
  ArtifactWriter(const ArtifactWriter &) = delete;
  ArtifactWriter &operator=(const ArtifactWriter &) = delete;
  ~ArtifactWriter();

  bool open(const std::string &path, std::string &err);

  /// Ends the member before it, if any. Names are unique, not empty, and at
  /// most 4096 bytes.
  bool beginMember(const std::string &name, std::string &err);

  bool append(const void *data, size_t size, std::string &err);

  /// Bytes appended to the current member so far: where the next piece lands.
  uint64_t memberSize() const {
    return members.empty() ? 0 : members.back().size;
  }

  /// Writes the directory and puts the file in place.
  bool finish(std::string &err);

private:
  struct Member {
    std::string name;
    uint64_t header = 0; // offset of the local header
    uint64_t size = 0;
    uint32_t crc = 0;
    uint16_t extra = 0; // bytes of extra field between the name and the data
  };

  bool write(const void *data, size_t size, std::string &err);
  bool seek(uint64_t offset, std::string &err);
  bool endMember(std::string &err);
  bool fail(std::string &err, const std::string &what);

  std::string path, temporary;
  std::FILE *file = nullptr;
  uint64_t position = 0;
  std::vector<Member> members;
  bool inMember = false;
};

} // namespace isthmus

#endif // ISTHMUS_ARTIFACT_ARTIFACTWRITER_H
