//===- recording.cpp - a call's commands, kept to be given again ----------===//
#include "recording.h"

using namespace isthmus;

Recording::~Recording() {
  if (driver)
    owner->recordingDestroy(driver);
}

bool Recording::use(Place p, Field field, uint32_t index) {
  if (p.slot == kNoSlot)
    return true;
  return uses.push(
      {p.slot, size() - 1, index, field, p.address - kEmptyAddress});
}

bool Recording::copy(Place to, Place from, uint64_t bytes) {
  Command c = {};
  c.kind = Kind::Copy;
  c.to = to.address;
  c.from = from.address;
  c.bytes = bytes;
  return size() < kMostCommands && commands.push(c) && use(to, Field::To, 0) &&
         use(from, Field::From, 0);
}

bool Recording::fill(Place to, uint8_t value, uint64_t bytes) {
  Command c = {};
  c.kind = Kind::Fill;
  c.value = value;
  c.to = to.address;
  c.bytes = bytes;
  return size() < kMostCommands && commands.push(c) && use(to, Field::To, 0);
}

bool Recording::launch(const ist_launch &launch, uint32_t index,
                       const char *name, const char *nodes,
                       const Frame &frame) {
  Command c = {};
  c.kind = Kind::Launch;
  c.launch = launch;
  c.name = name;
  c.nodes = nodes;
  c.args = static_cast<uint32_t>(args.size());
  c.ranges = static_cast<uint32_t>(ranges.size());
  if (size() >= kMostCommands || !commands.push(c))
    return false;
  for (uint32_t i = 0; i < frame.args.size(); ++i)
    if (!args.push(frame.args[i]) ||
        !use({frame.args[i], frame.argSlots[i]}, Field::Arg, i))
      return false;
  for (uint32_t i = 0; i < frame.ranges.size(); ++i)
    if (!ranges.push(frame.ranges[i]) ||
        !use({frame.ranges[i].address, frame.rangeSlots[i]}, Field::Range, i))
      return false;
  lastLaunch = index;
  if (!launches++)
    firstLaunch = lastLaunch;
  return true;
}

bool Recording::finish(uint32_t slots) {
  // Sorts the uses by slot, keeping their order.
  Array<Use> sorted;
  if (!begins.resize(slots + 1) || !current.resize(slots) ||
      !sorted.resize(uses.size()))
    return false;
  for (const Use &u : uses)
    ++begins[u.slot + 1];
  for (uint32_t i = 0; i < slots; ++i)
    begins[i + 1] += begins[i];
  for (const Use &u : uses)
    sorted[begins[u.slot]++] = u;
  for (uint32_t i = slots; i > 0; --i)
    begins[i] = begins[i - 1];
  begins[0] = 0;
  uses.clear();
  for (const Use &u : sorted)
    if (!uses.push(u))
      return false;
  uint32_t number = 0;
  for (Command &c : commands) {
    c.launch.args = args.data() + c.args;
    c.launch.ranges = ranges.data() + c.ranges;
    c.number = number;
    number += c.kind == Kind::Launch || c.bytes;
  }
  // Every slot was recorded at kEmptyAddress.
  for (uint64_t &address : current)
    address = kEmptyAddress;
  return true;
}

void Recording::apply(uint32_t slot, uint64_t address) {
  current[slot] = address;
  for (uint32_t i = begins[slot]; i < begins[slot + 1]; ++i) {
    const Use &u = uses[i];
    Command &c = commands[u.command];
    uint64_t value = address + u.offset;
    ist_patch patch = {c.number, IST_PATCH_ARGS, 0, 8, nullptr};
    switch (u.field) {
    case Field::Arg:
      args[c.args + u.index] = value;
      patch.offset = u.index * 8;
      patch.data = &args[c.args + u.index];
      break;
    case Field::Range:
      ranges[c.ranges + u.index].address = value;
      continue; // drivers follow the patches of the arguments
    case Field::To:
      c.to = value;
      if (!c.bytes)
        continue;
      patch.field = IST_PATCH_TO;
      patch.data = &c.to;
      break;
    case Field::From:
      c.from = value;
      if (!c.bytes)
        continue;
      patch.field = IST_PATCH_FROM;
      patch.data = &c.from;
      break;
    }
    // Room was made when the driver recorded; patches are of no use before.
    if (driver && !patches.push(patch))
      refused = true;
  }
}

ist_status Recording::issue(ist_device &device, ist_driver_queue *queue,
                            const Command &c, ist_error *error) {
  switch (c.kind) {
  case Kind::Copy:
    return c.bytes ? device.copy(queue, c.to, c.from, c.bytes, error) : IST_OK;
  case Kind::Fill:
    return c.bytes ? device.fill(queue, c.to, c.value, c.bytes, error) : IST_OK;
  case Kind::Launch:
    return device.launch(queue, c.launch, c.name, error, c.nodes);
  }
  return IST_OK;
}

ist_status Recording::recordByDriver(ist_device &device,
                                     ist_driver_queue *queue,
                                     ist_error *error) {
  if (stale) {
    device.recordingDestroy(driver);
    driver = nullptr;
    stale = false;
  }
  if (driver || refused || !device.recording)
    return IST_OK;
  // The caller's record is for failures only.
  ist_error first, second;
  ist_status s = device.recordingBegin(queue, &first);
  if (!s) {
    for (const Command &c : commands)
      if ((s = issue(device, queue, c, &first)))
        break;
    ist_status end = device.recordingEnd(queue, &driver, s ? &second : &first);
    if (!s)
      s = end;
  }
  if (s == IST_UNAVAILABLE || s == IST_UNIMPLEMENTED) {
    refused = true;
    return IST_OK;
  }
  if (s) {
    if (error)
      *error = first;
    return s;
  }
  owner = &device;
  // Each use can be patched once between two replays, so this is room enough.
  refused = !patches.resize(uses.size());
  patches.clear();
  return IST_OK;
}

ist_status Recording::replayByDriver(ist_device &device,
                                     ist_driver_queue *queue, bool *done,
                                     ist_error *error) {
  if (ist_status s = recordByDriver(device, queue, error))
    return s;
  *done = driver && !refused;
  if (!*done)
    return IST_OK;
  ist_status s = device.recordingReplay(queue, driver, patches.data(),
                                        patches.size(), error);
  // After a failure nobody knows which of them were applied.
  stale = s != IST_OK;
  patches.clear();
  return s;
}
