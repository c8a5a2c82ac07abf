//===- recording.cpp - recorded commands ----------------------------------===//
//
// The commands are kept here, and the vendor's graph is made of them at the
// end: a patch changes the kept command, and then its node.
//
//===----------------------------------------------------------------------===//
#include "stream.h"

using namespace isthmus;
using namespace isthmus::stream;

static void freeCopies(Command &c) {
  std::free(const_cast<void *>(c.args));
  std::free(const_cast<ist_tile *>(c.tiles));
  std::free(const_cast<char *>(c.descriptors));
}

/// The launch's memory becomes the recording's. False: no memory.
static bool keepCopies(Command &c) {
  auto copy = [](const void *from, size_t bytes) -> void * {
    if (!bytes)
      return nullptr;
    void *to = std::aligned_alloc(64, alignUp(bytes, 64));
    return to ? std::memcpy(to, from, bytes) : nullptr;
  };
  size_t args = c.kind == Command::launch ? c.kernel->argsBytes : 0;
  c.args = copy(c.args, args);
  c.tiles = static_cast<const ist_tile *>(
      copy(c.tiles, c.tileCount * sizeof *c.tiles));
  c.descriptors = static_cast<const char *>(
      copy(c.descriptors, c.tileCount * kDescriptorBytes));
  return (c.args || !args) && ((c.tiles && c.descriptors) || !c.tileCount);
}

void stream::destroyRecording(Recording *r) {
  if (!r)
    return;
  Device &d = *r->device;
  if (r->graph) {
    Entered entered(d);
    d.ops->graphDestroy(d, r->graph);
  }
  for (Command &c : r->commands)
    freeCopies(c);
  destroy(r);
}

void stream::spoilRecording(Queue &q, const ist_error &error) {
  if (q.recording && !q.recordingFailure)
    q.recordingFailure = copyOf(error);
  // Without memory to remember it there is none for the graph either.
}

int stream::record(Queue &q, Command c, ist_error *error) {
  if (!keepCopies(c) || !q.recording->commands.push(c)) {
    freeCopies(c);
    outOfMemory(error, sizeof c, "a recording");
    spoilRecording(q, *error);
    return IST_RESOURCE_EXHAUSTED;
  }
  return IST_OK;
}

namespace {

int begin(ist_driver_queue *queue, ist_error *error) {
  Queue &q = *of(queue);
  if (ist_status s = q.device->alive(error))
    return s;
  if (q.recording)
    return fail(error, IST_INVALID_ARGUMENT,
                "the queue is recording already; end that first");
  q.recording = make<Recording>();
  if (!q.recording)
    return outOfMemory(error, sizeof(Recording), "a recording");
  q.recording->device = q.device;
  q.recording->graph = nullptr;
  return IST_OK;
}

int end(ist_driver_queue *queue, ist_driver_recording **out, ist_error *error) {
  Queue &q = *of(queue);
  Device &d = *q.device;
  Recording *r = q.recording;
  if (!r)
    return fail(error, IST_INVALID_ARGUMENT, "the queue is not recording");
  q.recording = nullptr;
  ist_status s = d.alive(error);
  if (!s && q.recordingFailure) {
    *error = *q.recordingFailure;
    s = error->code;
  }
  std::free(q.recordingFailure);
  q.recordingFailure = nullptr;
  if (!s && !r->changed.resize(r->commands.size()))
    s = outOfMemory(error, r->commands.size(), "a recording");
  if (!s) {
    Entered entered(d);
    s = entered.ok(error);
    Code code = 0;
    if (!s && (code = d.ops->graphCreate(d, r->commands.data(),
                                         r->commands.size(), &r->graph)))
      s = d.failed(code, error, "making a graph of %zu commands",
                   r->commands.size());
  }
  if (s) {
    destroyRecording(r);
    return s;
  }
  *out = reinterpret_cast<ist_driver_recording *>(r);
  return IST_OK;
}

/// Where a patch goes, or null.
char *target(Command &c, const ist_patch &p) {
  switch (p.field) {
  case IST_PATCH_ARGS:
    if (c.kind != Command::launch || p.offset > c.kernel->argsBytes ||
        p.size > c.kernel->argsBytes - p.offset)
      return nullptr;
    return static_cast<char *>(const_cast<void *>(c.args)) + p.offset;
  case IST_PATCH_TILE:
    return p.offset < c.tileCount && p.size == sizeof(ist_tile)
               ? reinterpret_cast<char *>(
                     const_cast<ist_tile *>(c.tiles + p.offset))
               : nullptr;
  case IST_PATCH_TO:
    return c.kind == Command::launch || p.size != 8
               ? nullptr
               : reinterpret_cast<char *>(&c.to);
  case IST_PATCH_FROM:
    return c.kind != Command::copy || p.size != 8
               ? nullptr
               : reinterpret_cast<char *>(&c.from);
  }
  return nullptr;
}

int replay(ist_driver_queue *queue, ist_driver_recording *recording,
           const ist_patch *patches, size_t count, ist_error *error) {
  Queue &q = *of(queue);
  Device &d = *q.device;
  Recording &r = *of(recording);
  if (ist_status s = d.alive(error))
    return s;
  for (size_t i = 0; i < count; ++i)
    if (patches[i].command >= r.commands.size() ||
        (patches[i].size &&
         !target(r.commands[patches[i].command], patches[i])))
      return fail(error, IST_INVALID_ARGUMENT,
                  "patch %zu names command %u, field %d, bytes %u to %u, which "
                  "the recording of %zu commands does not have",
                  i, patches[i].command, static_cast<int>(patches[i].field),
                  patches[i].offset, patches[i].offset + patches[i].size,
                  r.commands.size());
  Entered entered(d, /*commands=*/true);
  if (ist_status s = entered.ok(error))
    return s;
  for (size_t i = 0; i < count; ++i) {
    const ist_patch &p = patches[i];
    if (!p.size)
      continue;
    char *at = target(r.commands[p.command], p);
    if (std::memcmp(at, p.data, p.size) == 0)
      continue;
    std::memcpy(at, p.data, p.size);
    r.changed[p.command] = 1;
  }
  // What an earlier, failed replay left is done again.
  for (size_t i = 0; i < r.changed.size(); ++i) {
    if (!r.changed[i])
      continue;
    // Of another address or dim the descriptor is another.
    Command &c = r.commands[i];
    if (c.tileCount)
      if (ist_status s =
              encodeTiles(d, c, const_cast<char *>(c.descriptors), error))
        return s;
    if (!c.empty())
      if (Code code = d.ops->graphUpdate(d, r.graph, i, c))
        return d.failed(code, error, "changing command %zu of a graph", i);
    r.changed[i] = 0;
  }
  if (Code code = d.ops->graphLaunch(d, q.stream, r.graph)) {
    q.failed = true;
    return d.failed(code, error, "launching a graph of %zu commands",
                    r.commands.size());
  }
  return IST_OK;
}

void destroyHandle(ist_driver_recording *recording) {
  destroyRecording(of(recording));
}

} // namespace

const ist_recording_extension stream::recordingExtension = {
    sizeof(ist_recording_extension), begin, end, replay, destroyHandle};
