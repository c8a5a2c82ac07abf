//===- hip.cpp - what the fake libamdhip64 does its own way --------------===//
#include "gpu.h"

void *isthmus::fake::contextOf(void *) { return nullptr; }

using namespace isthmus::fake;
using namespace isthmus::gpu;

extern "C" {

const char *fake_GetErrorName(int code) {
  switch (code) {
  case 0:
    return "hipSuccess"; // clang-format off
  case kOutOfMemory: return "hipErrorOutOfMemory";
  case kNoDevice: return "hipErrorNoDevice";
  case kInvalidImage: return "hipErrorInvalidImage";
  case kIllegalAddress: return "hipErrorIllegalAddress"; // clang-format on
  default:
    return "hipErrorOther";
  }
}
const char *fake_GetErrorString(int) { return "what hip says of it"; }
int fake_DeviceGetAttribute(int *value, int attribute, int device) {
  ENTER(DeviceGetAttribute, plain);
  if (device < 0 || device >= deviceCount())
    return kInvalidDevice;
  switch (attribute) {
  case 56:
    *value = 1024;
    return 0; // clang-format off
  case 29: *value = 0x7fffffff; return 0;
  case 87: *value = 64; return 0;
  case 63: *value = 304; return 0;
  case 74: *value = 65536; return 0;
  case 88: *value = pools(); return 0; // clang-format on
  default:
    return kInvalidValue;
  }
}
static int properties(char *out, size_t at) {
  std::strcpy(out + at, "gfx942:sramecc+:xnack-");
  return 0;
}
int fake_GetDeviceProperties6(void *out, int) {
  ENTER(GetDeviceProperties6, plain);
  return properties(static_cast<char *>(out), kHipArchAt6);
}
int fake_GetDeviceProperties5(void *out, int) {
  ENTER(GetDeviceProperties5, plain);
  return properties(static_cast<char *>(out), kHipArchAt5);
}
int fake_GetDevice(int *device) {
  ENTER(GetDevice, plain);
  *device = thread.device;
  return 0;
}
int fake_SetDevice(int device) {
  ENTER(SetDevice, plain);
  thread.device = device;
  return device < deviceCount() ? 0 : kInvalidDevice;
}
int fake_MemcpyAsync(uint64_t to, uint64_t from, size_t bytes, int kind,
                     void *stream) {
  ENTER(MemcpyAsync, device);
  if (!valid(to, bytes) || !valid(from, bytes) || kind != 4)
    return kInvalidValue;
  return enqueue(stream, engine().copy(to, from, bytes));
}
int fake_MemcpyPeerAsync(uint64_t to, int toDevice, uint64_t from,
                         int fromDevice, size_t bytes, void *stream) {
  ENTER(MemcpyPeerAsync, device);
  return peerCopy(to, toDevice, from, fromDevice, bytes, stream);
}
int fake_ModuleLoadData(void **module, const void *image) {
  ENTER(ModuleLoadData, device | unsafe);
  return loadImage(module, image);
}
int fake_GraphAddKernelNode(void **node, void *graph, void *const *after,
                            size_t count, const void *p) {
  ENTER(GraphAddKernelNode, plain);
  return addNode(node, graph, after, count, kernelNode<HipKernelNode>(p));
}
int fake_GraphAddMemcpyNode(void **node, void *graph, void *const *after,
                            size_t count, uint64_t to, uint64_t from,
                            size_t bytes, int) {
  ENTER(GraphAddMemcpyNode, plain);
  return addNode(node, graph, after, count, copyNode(to, from, bytes));
}
int fake_GraphAddMemsetNode(void **node, void *graph, void *const *after,
                            size_t count, const void *p) {
  ENTER(GraphAddMemsetNode, plain);
  return addNode(node, graph, after, count, fillNode<HipMemsetNode>(p));
}
int fake_GraphExecKernelNodeSetParams(void *exec, void *node, const void *p) {
  ENTER(GraphExecKernelNodeSetParams, plain);
  return changeNode(exec, node, kernelNode<HipKernelNode>(p));
}
int fake_GraphExecMemcpyNodeSetParams(void *exec, void *node, uint64_t to,
                                      uint64_t from, size_t bytes, int) {
  ENTER(GraphExecMemcpyNodeSetParams, plain);
  return changeNode(exec, node, copyNode(to, from, bytes));
}
int fake_GraphExecMemsetNodeSetParams(void *exec, void *node, const void *p) {
  ENTER(GraphExecMemsetNodeSetParams, plain);
  return changeNode(exec, node, fillNode<HipMemsetNode>(p));
}
}
