//===- variant.h - which variant a device is given
//--------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_VARIANT_H
#define ISTHMUS_RUNTIME_CORE_VARIANT_H

#include "device.h"
#include "schema.h"

namespace isthmus {

/// What the choice asks of a device, real or described.
class DeviceFacts {
public:
  virtual const char *vendor() const = 0;
  virtual const char *formats() const = 0;
  /// Null: not known.
  virtual const char *fact(const char *key) const = 0;

protected:
  ~DeviceFacts() = default;
};

/// The variant that fits and asks for most features, or -1; with `only` >= 0
/// none but that. `passedOver` gets each of the others that does not fit, and
/// why.
template <typename PassedOver>
int64_t chooseVariant(const fb::Manifest &manifest, const DeviceFacts &device,
                      int64_t only, PassedOver passedOver);

bool fits(const fb::Variant &variant, const DeviceFacts &device, char *why,
          size_t size);
/// How many features it asks for.
int64_t featureCount(const fb::Variant &variant);

template <typename PassedOver>
int64_t chooseVariant(const fb::Manifest &manifest, const DeviceFacts &device,
                      int64_t only, PassedOver passedOver) {
  int64_t best = -1, most = -1;
  for (uint32_t i = 0; i < manifest.variants()->size(); ++i) {
    if (only >= 0 && i != only)
      continue;
    const fb::Variant &v = *manifest.variants()->Get(i);
    char why[200];
    if (!fits(v, device, why, sizeof why)) {
      passedOver(i, why);
    } else if (int64_t n = featureCount(v); n > most) {
      most = n;
      best = i;
    }
  }
  return best;
}

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_VARIANT_H
