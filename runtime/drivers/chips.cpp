//===- chips.cpp - what code a vendor's chip runs
//--------------------------===//
#include "chips.h"

#include <cstdio>
#include <cstring>

using namespace isthmus;

/// Compute capabilities, as major * 10 + minor, that PTX or cubins exist for.
static const int capabilities[] = {50, 52,  53,  60,  61,  62,  70,
                                   72, 75,  80,  86,  87,  88,  89,
                                   90, 100, 101, 103, 110, 120, 121};
/// PTX versions and the CUDA version whose drivers brought them.
static const struct {
  int ptx, cuda;
} ptxVersions[] = {{70, 11000}, {71, 11010}, {72, 11020}, {73, 11030},
                   {74, 11040}, {75, 11050}, {76, 11060}, {77, 11070},
                   {78, 11080}, {80, 12000}, {81, 12010}, {82, 12020},
                   {83, 12030}, {84, 12040}, {85, 12050}, {86, 12070},
                   {87, 12080}, {88, 12090}, {90, 13000}, {91, 13010}};

/// PTX for sm_80 runs on every later chip, for sm_90a on that chip alone, for
/// sm_100f on the same major version from 10.0 on; machine code on the same
/// major version.
void chips::nvidia(int own, int cuda, char *out, size_t size) {
  size_t used = 0;
  auto add = [&](const char *prefix, int n, const char *suffix = "") {
    int more = std::snprintf(out + used, size - used, "%s%s%d%s",
                             used ? "," : "", prefix, n, suffix);
    used += static_cast<size_t>(more);
    if (used > size - 1)
      used = size - 1;
  };
  *out = 0;
  bool known = false;
  for (int c : capabilities) {
    if (c > own)
      continue;
    known |= c == own;
    add("sm_", c);
    if (c / 10 != own / 10)
      continue;
    add("cubin_sm_", c);
    if (c >= 100)
      add("sm_", c, "f");
  }
  if (!known)
    add("sm_", own), add("cubin_sm_", own);
  if (own >= 90)
    add("sm_", own, "a"), add("cubin_sm_", own, "a");
  for (auto &v : ptxVersions)
    if (v.cuda <= cuda)
      add("ptx", v.ptx);
}

/// The generic target whose code the chip `arch`[0, n) runs too, or "": LLVM's
/// AMDGPUUsage, "Generic processor code objects".
static const char *familyOf(const char *arch, size_t n) {
  static const struct {
    const char *family, *chips;
  } rows[] = {
      {"gfx9-generic", "gfx900,gfx902,gfx904,gfx906,gfx909,gfx90c,"},
      {"gfx9-4-generic", "gfx942,gfx950,"},
      {"gfx10-1-generic", "gfx1010,gfx1011,gfx1012,gfx1013,"},
      {"gfx10-3-generic",
       "gfx1030,gfx1031,gfx1032,gfx1033,gfx1034,gfx1035,gfx1036,"},
      {"gfx11-generic",
       "gfx1100,gfx1101,gfx1102,gfx1103,gfx1150,gfx1151,gfx1152,gfx1153,"},
      {"gfx12-generic", "gfx1200,gfx1201,"}};
  for (const auto &row : rows)
    for (const char *p = row.chips; *p; p += std::strcspn(p, ",") + 1)
      if (std::strcspn(p, ",") == n && std::memcmp(p, arch, n) == 0)
        return row.family;
  return "";
}

/// Code for a chip runs on that chip alone, code for its family on all of them;
/// code that asks for sramecc or xnack on or off where it is so.
void chips::amd(const char *arch, char *out, size_t size) {
  const char *family = familyOf(arch, std::strcspn(arch, ":"));
  std::snprintf(out, size, "%s%s%s", family, *family ? "," : "", arch);
  for (char *p = out; *p; ++p)
    if (*p == ':')
      *p = ',';
}

void chips::intel(uint32_t ip, bool float16, bool float64, char *out,
                  size_t size) {
  // Architecture and release, as in ocloc's table of devices.
  struct Chip {
    uint32_t architecture, release;
    const char *name;
  };
  static const Chip chips[] = {
      {12, 60, "pvc"}, {12, 61, "pvc"}, {20, 1, "bmg"}, {20, 2, "bmg"}};
  const char *chip = "";
  for (const Chip &c : chips)
    if (ip >> 22 == c.architecture && (ip >> 14 & 0xff) == c.release)
      chip = c.name;
  std::snprintf(out, size, "spirv64%s%s%s%s", *chip ? "," : "", chip,
                float16 ? ",float16" : "", float64 ? ",float64" : "");
}
