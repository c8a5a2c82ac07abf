//===- recording.cpp - the simulated device's recordings ------------------===//
#include "queue.h"

using namespace isthmus;
using namespace isthmus::sim;

ist_driver_recording::~ist_driver_recording() {
  for (Command *c : commands)
    isthmus::destroy(c);
}

void sim::unhold(ist_driver_recording *r) {
  if (--r->pending == 0 && r->destroyed)
    isthmus::destroy(r);
}

namespace {

int begin(ist_driver_queue *q, ist_error *error) {
  if (ist_status s = q->device->enter("recording.begin", error))
    return s;
  Lock l(*q->device);
  if (q->recording)
    return q->device->breach(error, "a recording begins within another");
  q->recording = true;
  q->recordingFailure = {};
  return IST_OK;
}

int end(ist_driver_queue *q, ist_driver_recording **out, ist_error *error) {
  ist_status s = q->device->enter("recording.end", error);
  ist_driver_recording *r = s ? nullptr : make<ist_driver_recording>();
  if (!s && !r)
    s = outOfMemory(error, sizeof *r, "a recording");
  Lock l(*q->device);
  if (!s && !q->recording)
    s = q->device->breach(error, "a recording ends that did not begin");
  if (!s && q->recordingFailure.code)
    s = fail(error, q->recordingFailure.code, "%s",
             q->recordingFailure.message);
  q->recording = false;
  for (Command *c : q->recorded)
    if (s || !r->commands.push(c)) {
      destroy(c);
      if (!s)
        s = outOfMemory(error, sizeof c, "a recording");
    }
  q->recorded.clear();
  if (s) {
    destroy(r);
    return s;
  }
  r->device = q->device;
  r->queue = nullptr;
  r->pending = 0;
  r->destroyed = false;
  link(q->device->recordings, r);
  *out = r;
  return IST_OK;
}

ist_status makeReplay(ist_driver_queue *q, ist_driver_recording *r,
                      const ist_patch *patches, size_t patchCount,
                      ist_error *error) {
  ist_driver_device &d = *q->device;
  Lock l(d);
  if (r->device != &d)
    return d.breach(error, "a recording is replayed on another device");
  if (r->pending && r->queue != q)
    return d.breach(error, "a recording is replayed while another queue runs "
                           "it");
  if (q->recording)
    return d.breach(error, "a recording is replayed within another");
  for (size_t i = 0; i < patchCount; ++i) {
    if (patches[i].command >= r->commands.size())
      return d.breach(error, "a patch of command %u, and there are %zu",
                      patches[i].command, r->commands.size());
    if (ist_status s =
            r->commands[patches[i].command]->patch(d, patches[i], error))
      return s;
  }
  Command *c = make<Command>();
  bool ok = c;
  if (ok)
    c->kind = Kind::replay;
  for (size_t i = 0; i < r->commands.size() && ok; ++i) {
    Command *one = r->commands[i]->clone();
    ok = one && c->commands.push(one);
    if (!ok)
      destroy(one);
  }
  if (!ok) {
    destroy(c);
    return outOfMemory(error, sizeof *c, "a replay");
  }
  if (ist_status s = q->give(c, error))
    return s;
  c->recording = r;
  r->queue = q;
  ++r->pending;
  return IST_OK;
}

int replay(ist_driver_queue *q, ist_driver_recording *r,
           const ist_patch *patches, size_t patchCount, ist_error *error) {
  ist_status s = q->device->enter("recording.replay", error);
  if (!s)
    s = makeReplay(q, r, patches, patchCount, error);
  return noted(q, s, error);
}

void destroyRecording(ist_driver_recording *r) {
  callWithoutResult();
  Lock l(*r->device);
  if (r->destroyed) {
    r->device->breach(nullptr, "a recording is destroyed twice");
    return;
  }
  if (r->pending)
    r->device->breach(nullptr, "a recording is destroyed with replays to run");
  unlink(r->device->recordings, r);
  r->destroyed = true;
  if (!r->pending)
    isthmus::destroy(r);
}

} // namespace

const ist_recording_extension sim::recordingExtension = {
    sizeof(ist_recording_extension), begin, end, replay, destroyRecording};
