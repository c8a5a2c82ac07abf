//===- module.cpp - code for the simulated device -------------------------===//
#include "backend.h"

using namespace isthmus;
using namespace isthmus::sim;

ist_status sim::unknown(const char *what, ist_error *error) {
  return fail(error, IST_UNIMPLEMENTED,
              "the sim driver was given a %s with members that it does not "
              "know; update it",
              what);
}

static void release(ist_driver_module *m) {
  for (ist_driver_kernel *k = m->kernels; k;) {
    ist_driver_kernel *next = k->next;
    std::free(k->name);
    destroy(k);
    k = next;
  }
  if (m->code)
    backend::unload(m->code);
  destroy(m);
}

void sim::unhold(ist_driver_module *m) {
  if (--m->held == 0 && m->unloaded)
    release(m);
}

int sim::moduleLoad(ist_driver_device *device, const void *code, size_t size,
                    const ist_module_options *options, ist_driver_module **out,
                    ist_error *error) {
  if (ist_status s = device->enter("module_load", error))
    return s;
  if (!ist_tail_is_zero(options, sizeof *options))
    return unknown("module's options", error);
  ist_driver_module *m = make<ist_driver_module>();
  if (!m)
    return outOfMemory(error, sizeof *m, "a module");
  m->device = device;
  m->kernels = nullptr;
  m->held = 0;
  m->unloaded = false;
  m->code = nullptr;
  if (ist_status s = backend::load(*device, code, size, options->format,
                                   &m->code, error)) {
    release(m);
    return s;
  }
  Lock l(*device);
  link(device->modules, m);
  *out = m;
  return IST_OK;
}

void sim::moduleUnload(ist_driver_module *m) {
  callWithoutResult();
  Lock l(*m->device);
  if (m->unloaded) {
    m->device->breach(nullptr, "a module is unloaded twice");
    return;
  }
  if (m->held)
    m->device->breach(nullptr,
                      "a module is unloaded with %u of its launches to run",
                      m->held);
  unlink(m->device->modules, m);
  m->unloaded = true;
  if (!m->held)
    release(m);
}

int sim::kernelGet(ist_driver_module *m, const ist_kernel_desc *desc,
                   const ist_driver_kernel **out, ist_error *error) {
  if (ist_status s = m->device->enter("kernel_get", error))
    return s;
  if (!ist_tail_is_zero(desc, sizeof *desc))
    return unknown("kernel's description", error);
  const void *entry = nullptr;
  if (ist_status s = backend::find(m->code, *desc, &entry, error))
    return s;
  for (size_t i = 0; i < desc->arg_count; ++i) {
    const ist_arg &a = desc->args[i];
    uint32_t size = a.kind == IST_ARG_BYTES ? a.size : 8;
    if (a.kind == IST_ARG_TILE)
      return fail(error, IST_UNIMPLEMENTED,
                  "kernel '%.100s' wants tile descriptors, which the sim "
                  "driver does not make",
                  desc->name);
    if (a.kind > IST_ARG_TILE || size > desc->args_bytes ||
        a.offset > desc->args_bytes - size)
      return m->device->breach(error,
                               "argument %zu of kernel '%.100s' lies outside "
                               "the blob of %u bytes",
                               i, desc->name, desc->args_bytes);
  }
  ist_driver_kernel *k = make<ist_driver_kernel>();
  char *name = ::strdup(desc->name);
  if (!k || !name || !k->args.resize(desc->arg_count)) {
    destroy(k);
    std::free(name);
    return outOfMemory(error, sizeof *k, "a kernel");
  }
  k->entry = entry;
  k->module = m;
  k->name = name;
  for (size_t i = 0; i < desc->arg_count; ++i)
    k->args[i] = desc->args[i];
  k->argsBytes = desc->args_bytes;
  k->block = desc->block;
  k->dynamicShared = desc->dynamic_shared;
  Lock l(*m->device);
  k->next = m->kernels;
  m->kernels = k;
  *out = k;
  return IST_OK;
}
