//===- opencl.cpp - the opencl driver: devices ----------------------------===//
#include "opencl.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::stream;
using namespace isthmus::opencl;

static const Symbol symbols[] = {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  {#symbol, true, since, offsetof(Symbols, name)},
#include "opencl_symbols.h"
};
static const char *const names[] = {"libOpenCL.so.1", "libOpenCL.so", nullptr};
static const LibraryDesc library = {
    "opencl",
    "ISTHMUS_OPENCL_LIBRARY",
    names,
    "install an OpenCL loader (ocl-icd-libopencl1) and the vendor's driver",
    symbols,
    sizeof symbols / sizeof *symbols,
    sizeof(Symbols)};

namespace {

constexpr unsigned kName = 0x102b, kExtensions = 0x1030, kILVersion = 0x105b,
                   kUnits = 0x1002, kMaxGroup = 0x1004, kMaxAlloc = 0x1010,
                   kGlobal = 0x101f, kLocal = 0x1023, kDriver = 0x102d,
                   kSVM = 0x1053, kHostCapabilities = 0x4190,
                   kDeviceCapabilities = 0x4191, kSystemCapabilities = 0x4194,
                   kIPVersion = 0x4250, kUUID = 0x106a, kPCI = 0x410f,
                   kContextDevices = 0x1081;
constexpr uint64_t kFineGrained = 2, kFineGrainedSystem = 4; // of kSVM

template <typename T> T info(const Symbols &cl, void *device, unsigned what) {
  T value = {};
  cl.GetDeviceInfo(device, what, sizeof value, &value, nullptr);
  return value;
}

/// Whether the space-separated list of a device's `what` names `word`.
bool lists(const Symbols &cl, void *device, unsigned what, const char *word) {
  size_t size = 0, n = std::strlen(word);
  bool found = false;
  cl.GetDeviceInfo(device, what, 0, nullptr, &size);
  char *list = static_cast<char *>(std::calloc(1, size + 1));
  if (list && !cl.GetDeviceInfo(device, what, size, list, nullptr))
    for (const char *p = list; !found && (p = std::strstr(p, word)); p += n)
      found = (p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0);
  std::free(list);
  return found;
}

Sharing sharingOf(const Symbols &cl, void *device) {
  if (lists(cl, device, kExtensions, "cl_intel_unified_shared_memory") &&
      info<uint64_t>(cl, device, kHostCapabilities) &&
      info<uint64_t>(cl, device, kDeviceCapabilities))
    return Sharing::usm;
  return info<uint64_t>(cl, device, kSVM) & kFineGrained ? Sharing::svm
                                                         : Sharing::none;
}

/// Why a device cannot be used, or null.
const char *refusal(const Symbols &cl, void *device) {
  bool spirv = false;
  const char *const versions[] = {"SPIR-V_1.2", "SPIR-V_1.3", "SPIR-V_1.4"};
  for (const char *v : versions)
    spirv |= lists(cl, device, kILVersion, v);
  if (!spirv)
    return "it takes no SPIR-V 1.2";
  if (sharingOf(cl, device) == Sharing::none)
    return "it has neither cl_intel_unified_shared_memory nor fine-grained SVM";
  return nullptr;
}

/// Calls `visit` for each device; ends when that gives false.
template <typename Visit>
ist_status visitDevices(const Symbols &cl, ist_error *error, Visit visit) {
  void *platforms[16], *devices[64];
  unsigned platformCount = 0, deviceCount = 0;
  int code = cl.GetPlatformIDs(16, platforms, &platformCount);
  if (code || !platformCount)
    return fail(error, IST_UNAVAILABLE,
                "opencl: the loader knows no platform (%d); install the "
                "vendor's driver, or name its library in OCL_ICD_FILENAMES",
                code);
  uint32_t index = 0;
  for (unsigned p = 0; p < platformCount && p < 16; ++p) {
    deviceCount = 0;
    if (cl.GetDeviceIDs(platforms[p], 0xffffffff, 64, devices, &deviceCount))
      continue;
    for (unsigned i = 0; i < deviceCount && i < 64; ++i)
      if (!visit(index++, platforms[p], devices[i]))
        return IST_OK;
  }
  return IST_OK;
}

void identify(const Symbols &cl, void *device, ist_identity *out) {
  char name[128] = "";
  cl.GetDeviceInfo(device, kName, sizeof name - 1, name, nullptr);
  const char *why = refusal(cl, device);
  std::snprintf(out->summary, sizeof out->summary, "%.40s%s%.80s", name,
                why ? ", not usable: " : "", why ? why : "");
  out->memory_bytes = info<uint64_t>(cl, device, kGlobal);
  unsigned char uuid[16];
  unsigned pci[4];
  char *p = out->id;
  if (!cl.GetDeviceInfo(device, kUUID, sizeof uuid, uuid, nullptr))
    for (unsigned char byte : uuid)
      p += std::snprintf(p, 3, "%02x", byte);
  if (!cl.GetDeviceInfo(device, kPCI, sizeof pci, pci, nullptr))
    std::snprintf(p, 24, "%s%04x:%02x:%02x.%x", p == out->id ? "" : " ",
                  pci[0] & 0xffff, pci[1] & 0xff, pci[2] & 0xff, pci[3] & 15);
}

ist_status takeContext(Device &d, OpenCL &self, const ist_native *native,
                       ist_error *error) {
  const Symbols &cl = *self.api;
  int code = 0;
  if (!native) {
    self.context =
        cl.CreateContext(nullptr, 1, &self.device, nullptr, nullptr, &code);
    self.contextIsOurs = true;
    return code ? d.failed(code, error, "making a context") : IST_OK;
  }
  void *devices[64] = {};
  size_t bytes = 0;
  self.context = native->handle;
  if ((code = cl.GetContextInfo(self.context, kContextDevices, sizeof devices,
                                devices, &bytes)))
    return d.failed(code, error, "taking over a context");
  for (size_t i = 0; i < bytes / sizeof *devices; ++i)
    if (devices[i] == self.device)
      return IST_OK;
  return fail(error, IST_INVALID_ARGUMENT,
              "the context given has not the device opencl:%u", d.index);
}

ist_status loadExtension(OpenCL &self, ist_error *error) {
  struct Row {
    const char *name;
    size_t offset;
  };
  static const Row rows[] = {
#define IST_EXTENSION(result, name, symbol, parameters)                        \
  {#symbol, offsetof(Extension, name)},
#include "opencl_symbols.h"
  };
  for (const Row &row : rows) {
    void *p = self.api->GetExtensionFunction(self.platform, row.name);
    if (!p)
      return fail(error, IST_UNAVAILABLE,
                  "opencl: the platform claims cl_intel_unified_shared_memory "
                  "and lacks %s; update the vendor's driver",
                  row.name);
    std::memcpy(reinterpret_cast<char *>(&self.usm) + row.offset, &p, sizeof p);
  }
  return IST_OK;
}

int setUp(Device &d, OpenCL &self, uint32_t index, const ist_native *native,
          ist_error *error) {
  const void *p;
  if (ist_status s = openLibrary(library, &p, error))
    return s;
  const Symbols &cl = *static_cast<const Symbols *>(p);
  self.api = &cl;
  ist_status s =
      visitDevices(cl, error, [&](uint32_t i, void *platform, void *device) {
        if (i == index) {
          self.platform = platform;
          self.device = device;
        }
        return i != index;
      });
  if (s)
    return s;
  if (!self.device)
    return fail(error, IST_NOT_FOUND, "there is no device opencl:%u", index);
  if (const char *why = refusal(cl, self.device))
    return fail(error, IST_UNAVAILABLE,
                "opencl:%u cannot be used: %s, and kernels take addresses",
                index, why);
  d.vendor = &self;
  self.sharing = sharingOf(cl, self.device);
  uint64_t system = info<uint64_t>(cl, self.device, kSVM) & kFineGrainedSystem;
  if (self.sharing == Sharing::usm) {
    if ((s = loadExtension(self, error)))
      return s;
    system |= info<uint64_t>(cl, self.device, kSystemCapabilities);
  }
  self.system = system != 0;
  ist_identity identity = {};
  identify(cl, self.device, &identity);
  std::memcpy(d.summary, identity.summary, sizeof d.summary);
  self.memory.total = identity.memory_bytes;
  self.maxBlock = info<size_t>(cl, self.device, kMaxGroup);
  self.localBytes = info<uint64_t>(cl, self.device, kLocal);
  d.description.max_alloc = info<uint64_t>(cl, self.device, kMaxAlloc);
  spirvFacts(d, info<unsigned>(cl, self.device, kIPVersion),
             lists(cl, self.device, kExtensions, "cl_khr_fp16"),
             lists(cl, self.device, kExtensions, "cl_khr_fp64"),
             static_cast<uint32_t>(self.maxBlock), self.localBytes);
  char driver[64] = "";
  cl.GetDeviceInfo(self.device, kDriver, sizeof driver - 1, driver, nullptr);
  d.fact("intel.driver", "%s", driver);
  d.fact("intel.units", "%u", info<unsigned>(cl, self.device, kUnits));
  d.fact("intel.memory", "%s",
         self.sharing == Sharing::usm ? "unified shared memory"
                                      : "fine-grained SVM");
  return takeContext(d, self, native, error);
}

} // namespace

int opencl::enumerate(ist_identity *identities, uint32_t capacity,
                      uint32_t *count, ist_error *error) {
  const void *p;
  if (ist_status s = openLibrary(library, &p, error))
    return s;
  const Symbols &cl = *static_cast<const Symbols *>(p);
  uint32_t n = 0;
  ist_status s = visitDevices(cl, error, [&](uint32_t i, void *, void *device) {
    if (i < capacity)
      identify(cl, device, &identities[i]);
    n = i + 1;
    return true;
  });
  if (!s && n == 0)
    s = fail(error, IST_UNAVAILABLE, "opencl: no platform has a device");
  if (!s)
    *count = n;
  return s;
}

int opencl::open(Device &d, uint32_t index, const ist_native *native,
                 ist_error *error) {
  OpenCL *o = make<OpenCL>();
  if (!o)
    return outOfMemory(error, sizeof *o, "a device");
  *o = {};
  int s = setUp(d, *o, index, native, error);
  if (s)
    destroy(o);
  return s;
}

void opencl::close(Device &d) {
  OpenCL *o = &self(d);
  if (o->contextIsOurs)
    o->api->ReleaseContext(o->context);
  destroy(o);
}

void opencl::explain(Device &, Code code, Explanation *e) {
  static const struct {
    Code code;
    const char *name, *text;
    ist_status status;
  } rows[] = {
      {-2, "CL_DEVICE_NOT_AVAILABLE", "the device is gone", IST_DEVICE_LOST},
      {-3, "CL_COMPILER_NOT_AVAILABLE", "the platform has no compiler",
       IST_UNAVAILABLE},
      {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE", "no memory left",
       IST_RESOURCE_EXHAUSTED},
      {-5, "CL_OUT_OF_RESOURCES", "no memory or other resources left",
       IST_RESOURCE_EXHAUSTED},
      {-6, "CL_OUT_OF_HOST_MEMORY", "no host memory left",
       IST_RESOURCE_EXHAUSTED},
      {-11, "CL_BUILD_PROGRAM_FAILURE", "the compiler refuses the code",
       IST_UNAVAILABLE},
      {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST",
       "what was waited for failed", IST_INTERNAL},
      {-30, "CL_INVALID_VALUE", "a value is not valid", IST_INVALID_ARGUMENT},
      {-34, "CL_INVALID_CONTEXT", "not a context", IST_INVALID_ARGUMENT},
      {-36, "CL_INVALID_COMMAND_QUEUE", "not a queue", IST_INVALID_ARGUMENT},
      {-42, "CL_INVALID_BINARY", "the code is malformed", IST_DATA_LOSS},
      {-46, "CL_INVALID_KERNEL_NAME",
       "the code has no such kernel; compile the model again", IST_DATA_LOSS},
      {-51, "CL_INVALID_ARG_SIZE", "an argument has another size",
       IST_DATA_LOSS},
      {-54, "CL_INVALID_WORK_GROUP_SIZE", "not as the kernel was compiled",
       IST_UNAVAILABLE},
      {-61, "CL_INVALID_BUFFER_SIZE", "more than one allocation may have",
       IST_RESOURCE_EXHAUSTED}};
  e->name = "OpenCL error";
  for (const auto &r : rows)
    if (r.code == code)
      *e = {r.name, r.text, r.status, r.status == IST_DEVICE_LOST};
}
