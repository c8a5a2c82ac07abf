//===- state.cpp - tensors bound to a session -----------------------------===//
#include "session.h"

using namespace isthmus;

ist_status ist_session::bind(const char *name, ist_tensor *tensor,
                             ist_error *error) {
  bool found = false;
  for (uint32_t i = 0; i < program->functionCount(); ++i) {
    const fb::Function &f = *program->function(i);
    for (uint32_t j = 0; j < count(f.inputs()); ++j) {
      const fb::Tensor &t = *f.inputs()->Get(j);
      if (std::strcmp(t.name()->c_str(), name) != 0)
        continue;
      found = true;
      if (tensor && static_cast<uint32_t>(tensor->dtype) !=
                        static_cast<uint32_t>(t.dtype()))
        return fail(error, IST_INVALID_ARGUMENT,
                    "input '%s' of function '%s' has type %s, and what is to "
                    "be bound to it has another",
                    name, f.name()->c_str(), fb::EnumNameDType(t.dtype()));
    }
  }
  if (!found)
    return fail(error, IST_NOT_FOUND,
                "no function of the program has an input '%.100s'; ist-info "
                "lists them",
                name);
  // What is freed below may still be written.
  if (ist_status s = own(error))
    return s;
  if (ist_status s = settle(UINT64_MAX, error))
    return s;
  size_t at = 0;
  while (at < bindings.size() && std::strcmp(bindings[at].name, name) != 0)
    ++at;
  if (!tensor) {
    if (at == bindings.size())
      return IST_OK;
    memory.free(&bindings[at].owned);
    std::free(bindings[at].name);
    bindings[at] = bindings.back();
    bindings.pop();
    return IST_OK;
  }
  if (tensor->rank < 0 || tensor->rank > IST_MAX_RANK)
    return fail(error, IST_INVALID_ARGUMENT,
                "'%s' is to be bound to a tensor of rank %d", name,
                tensor->rank);
  ist_driver_memory fresh = {};
  ist_tensor bound = *tensor;
  if (!bound.data) {
    if (!bound.capacity)
      return fail(error, IST_INVALID_ARGUMENT,
                  "'%s' is to be bound to a tensor with neither data nor a "
                  "capacity to allocate",
                  name);
    ist_status s = ready(error);
    if (!s)
      s = memory.alloc(IST_MEMORY_KIND_DEVICE, bound.capacity, "state", &fresh,
                       error);
    if (s)
      return s;
    s = device->fill(queue, fresh.address, 0, bound.capacity, error);
    if (!s)
      s = wait(UINT64_MAX, error);
    if (s) {
      recover();
      memory.free(&fresh);
      return s;
    }
    bound.data = reinterpret_cast<void *>(fresh.address);
    bound.memory = IST_MEMORY_DEVICE;
  }
  if (at == bindings.size()) {
    char *copy = ::strdup(name);
    if (!copy || !bindings.push({copy, {}, {}})) {
      std::free(copy);
      memory.free(&fresh);
      return outOfMemory(error, sizeof(Binding), "a binding");
    }
  }
  Binding &b = bindings[at];
  // The runtime's own memory may be bound again, with other dims.
  if (reinterpret_cast<uint64_t>(bound.data) != b.owned.address) {
    memory.free(&b.owned);
    b.owned = fresh;
  }
  b.tensor = bound;
  tensor->data = bound.data;
  tensor->memory = bound.memory;
  return IST_OK;
}
