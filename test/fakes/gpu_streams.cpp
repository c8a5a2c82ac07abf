//===- gpu_streams.cpp - streams, events and code of the fakes -----------===//
#include "gpu.h"

using namespace isthmus::fake;
using namespace isthmus::gpu;

extern "C" {

int fake_StreamCreate(void **stream, unsigned flags) {
  ENTER(StreamCreate, device | unsafe);
  if (flags != 1)
    engine().misused("a stream that waits for the default stream");
  Stream *s = engine().make<Stream>("stream");
  s->device = currentDevice();
  engine().streams.insert(s);
  *stream = s;
  return 0;
}
int fake_StreamDestroy(void *stream) {
  ENTER(StreamDestroy, unsafe);
  Stream *s = streamOf(stream);
  if (!s)
    return kInvalidHandle;
  if (!s->work.empty() && !engine().fault)
    engine().misused("a stream ends with work in it");
  if (s->ours)
    engine().misused("the caller's stream was destroyed");
  engine().streams.erase(s);
  engine().drop(s);
  return 0;
}
int fake_StreamSynchronize(void *stream) {
  ENTER(StreamSynchronize, device | unsafe);
  Stream *s = streamOf(stream);
  if (!s)
    return kInvalidHandle;
  engine().until([&] { return s->work.empty(); }, "StreamSynchronize");
  return faulted();
}
int fake_StreamWaitEvent(void *stream, void *event, unsigned flags) {
  ENTER(StreamWaitEvent, device);
  Stream *s = streamOf(stream);
  Event *e = engine().use<Event>(event, "event");
  if (!s || !e || flags)
    return kInvalidHandle;
  engine().wait(s, e);
  return 0;
}
int fake_StreamIsCapturing(void *stream, int *status) {
  ENTER(StreamIsCapturing, device);
  Stream *s = streamOf(stream);
  *status = s && s->capturing;
  return 0;
}
int fake_ExchangeCaptureMode(int *mode) {
  ENTER(ExchangeCaptureMode, plain);
  std::swap(*mode, thread.captureMode);
  return 0;
}
int fake_EventCreate(void **event, unsigned flags) {
  ENTER(EventCreate, device | unsafe);
  if (flags != 3 && flags != 0)
    engine().misused("an event that spins, or keeps time for nothing");
  auto *e = engine().make<Event>("event");
  e->keepsTime = flags == 0;
  *event = e;
  return 0;
}
int fake_EventDestroy(void *event) {
  ENTER(EventDestroy, unsafe);
  Event *e = engine().use<Event>(event, "event");
  if (!e)
    return kInvalidHandle;
  if (!e->done() && !engine().fault)
    engine().misused("an event ends before it was reached");
  engine().drop(e);
  return 0;
}
int fake_EventRecord(void *event, void *stream) {
  ENTER(EventRecord, device);
  Stream *s = streamOf(stream);
  Event *e = engine().use<Event>(event, "event");
  if (!s || !e)
    return kInvalidHandle;
  if (!e->done())
    engine().misused("an event is recorded again before it was reached");
  engine().record(s, e);
  return 0;
}
int fake_EventQuery(void *event) {
  ENTER(EventQuery, device | unsafe);
  Event *e = engine().use<Event>(event, "event");
  if (!e)
    return kInvalidHandle;
  engine().step();
  if (int code = faulted())
    return code;
  return e->done() ? 0 : kNotReady;
}
int fake_EventSynchronize(void *event) {
  ENTER(EventSynchronize, device | unsafe);
  Event *e = engine().use<Event>(event, "event");
  if (!e)
    return kInvalidHandle;
  engine().until([&] { return e->done(); }, "EventSynchronize");
  return faulted();
}
int fake_EventElapsedTime(float *ms, void *first, void *last) {
  ENTER(EventElapsedTime, plain);
  Event *b = engine().use<Event>(first, "event"),
        *e = engine().use<Event>(last, "event");
  if (!b || !e || !b->keepsTime || !e->keepsTime || !b->recorded ||
      !e->recorded)
    return kInvalidHandle;
  if (!b->done() || !e->done())
    return kNotReady;
  *ms = static_cast<float>(e->when - b->when) / 1e6f;
  return 0;
}
int fake_MemsetD8Async(uint64_t to, unsigned char value, size_t bytes,
                       void *stream) {
  ENTER(MemsetD8Async, device);
  if (!valid(to, bytes))
    return kInvalidValue;
  return enqueue(stream, engine().fill(to, value, bytes));
}
int fake_LaunchKernel(void *f, unsigned x, unsigned y, unsigned z, unsigned bx,
                      unsigned by, unsigned bz, unsigned shared, void *stream,
                      void **arguments, void **extra) {
  ENTER(LaunchKernel, device);
  auto *k = engine().use<isthmus::fake::Kernel>(f, "kernel");
  if (!k || extra)
    return kInvalidHandle;
  if (!x || y != 1 || z != 1 || !bx || bx > 1024 || by != 1 || bz != 1)
    return kInvalidValue;
  return enqueue(stream,
                 engine().launch({k, x, bx, argumentsOf(arguments), shared}));
}
int fake_ModuleUnload(void *module) {
  ENTER(ModuleUnload, unsafe);
  Module *m = engine().use<Module>(module, "module");
  if (!m)
    return kInvalidHandle;
  for (auto it = engine().objects.begin(); it != engine().objects.end();)
    if (it->second.kind == "kernel" &&
        static_cast<isthmus::fake::Kernel *>(it->first)->module == m)
      it = engine().objects.erase(it);
    else
      ++it;
  engine().drop(m);
  return 0;
}
int fake_ModuleGetFunction(void **out, void *module, const char *name) {
  ENTER(ModuleGetFunction, device);
  Module *m = engine().use<Module>(module, "module");
  if (!m)
    return kInvalidHandle;
  // An execution of no workgroups asks whether it is there.
  bool there = engine().exec
                   ? engine().exec(engine().execUser, m->code.data(),
                                   m->code.size(), name, 0, 0, 0, nullptr, 0)
                   : m->find(name) != nullptr;
  if (!there)
    return kNotFound;
  auto *k = engine().make<isthmus::fake::Kernel>("kernel");
  *k = {m, name};
  *out = k;
  return 0;
}
int fake_FuncGetAttribute(int *value, int attribute, void *f) {
  ENTER(FuncGetAttribute, device);
  *value = attribute == 0 ? 1024 : 0;
  return engine().use<isthmus::fake::Kernel>(f, "kernel") ? 0 : kInvalidHandle;
}
}
