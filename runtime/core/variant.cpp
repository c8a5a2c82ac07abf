//===- variant.cpp - which variant a device is given
//------------------------===//
#include "variant.h"
#include "program.h"

#include <cstdio>

using namespace isthmus;

bool isthmus::fits(const fb::Variant &v, const DeviceFacts &device, char *why,
                   size_t size) {
  const char *target = v.target()->c_str();
  size_t vendor = std::strcspn(target, ":");
  const char *driver = device.vendor();
  char missing[64];
  if (std::strlen(driver) != vendor ||
      std::memcmp(driver, target, vendor) != 0) {
    std::snprintf(why, size, "it is for %.*s devices", static_cast<int>(vendor),
                  target);
    return false;
  }
  if (!isSubset(v.format()->c_str(), device.formats(), missing,
                sizeof missing)) {
    std::snprintf(why, size, "the driver does not load format '%s'", missing);
    return false;
  }
  for (uint32_t i = 0; i < count(v.facts()); ++i) {
    const char *key = v.facts()->Get(i)->key()->c_str();
    const char *value = v.facts()->Get(i)->value()->c_str();
    const char *dot = std::strrchr(key, '.');
    const char *mine = device.fact(key);
    if (dot && std::strcmp(dot, ".arch") == 0 &&
        (!mine || std::strcmp(mine, value) != 0)) {
      std::snprintf(why, size,
                    "it needs %.40s = %.40s and the device has %.40s", key,
                    value, mine ? mine : "none");
      return false;
    }
    if (dot && std::strcmp(dot, ".features") == 0 &&
        !isSubset(value, mine ? mine : "", missing, sizeof missing)) {
      std::snprintf(why, size, "the device lacks %s (%.40s)", missing, key);
      return false;
    }
  }
  return true;
}

int64_t isthmus::featureCount(const fb::Variant &v) {
  int64_t n = 0;
  for (uint32_t i = 0; i < count(v.facts()); ++i) {
    const char *key = v.facts()->Get(i)->key()->c_str();
    const char *dot = std::strrchr(key, '.');
    const char *p = v.facts()->Get(i)->value()->c_str();
    if (dot && std::strcmp(dot, ".features") == 0 && *p)
      for (++n; *p; ++p)
        n += *p == ',';
  }
  return n;
}

namespace {
class Described final : public DeviceFacts {
public:
  explicit Described(const ist_device_description &d) : d(d) {}
  const char *vendor() const override { return d.vendor; }
  const char *formats() const override { return d.formats; }
  const char *fact(const char *key) const override {
    for (size_t i = 0; i < d.fact_count; ++i)
      if (std::strcmp(d.facts[2 * i], key) == 0)
        return d.facts[2 * i + 1];
    return nullptr;
  }

private:
  const ist_device_description &d;
};
} // namespace

extern "C" ist_status ist_program_choose(
    const ist_program *program, const ist_device_description *description,
    uint32_t *variant,
    void (*passed_over)(void *user, uint32_t variant, const char *why),
    void *user, ist_error *error) {
  if (!program || !description || !variant)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_program_choose: program, description or variant is NULL");
  ist_device_description d = IST_DEVICE_DESCRIPTION_INIT;
  if (ist_status s =
          readOptions(description, &d, "ist_device_description", error))
    return s;
  if (!d.vendor || !d.formats || (d.fact_count && !d.facts))
    return fail(error, IST_INVALID_ARGUMENT,
                "the described device has no vendor, formats or facts");
  for (size_t i = 0; i < 2 * d.fact_count; ++i)
    if (!d.facts[i])
      return fail(error, IST_INVALID_ARGUMENT,
                  "fact %zu of the described device is NULL", i / 2);
  int64_t best = chooseVariant(*program->manifest, Described(d), -1,
                               [&](uint32_t i, const char *why) {
                                 if (passed_over)
                                   passed_over(user, i, why);
                               });
  if (best < 0)
    return fail(error, IST_UNAVAILABLE,
                "no variant fits the device; compile the model for it too");
  *variant = static_cast<uint32_t>(best);
  return IST_OK;
}
