// Loads a model and calls it, with runtime.hpp and without exceptions.
//   cpp MODEL [DEVICE]
#include "inputs.h"

#include <isthmus/runtime.hpp>

#include <cstdio>

using namespace isthmus;

static int report(const Status &status) {
  std::fprintf(stderr, "%s\n", status.describe().c_str());
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 2)
    return 2;
  Result<Device> device = Device::open(argc > 2 ? argv[2] : nullptr);
  if (!device)
    return report(device.status());
  Result<Program> program = Program::load(argv[1], *device);
  if (!program)
    return report(program.status());
  Result<Program::Function> f = program->function("main");
  Result<Session> session = Session::create(*program);
  if (!f || !session)
    return report(f ? session.status() : f.status());

  uint32_t count = 0;
  ist_tensor *made = make_inputs(program->get(), f->index, &count);
  std::vector<ist_tensor> inputs(made, made + count);
  // Memory of ours for the outputs, where their sizes can be known before.
  std::vector<ist_tensor> outputs(f->outputs.size());
  std::vector<Buffer> buffers;
  if (auto shapes = program->outputShapes(f->index, inputs)) {
    outputs = *shapes;
    for (ist_tensor &t : outputs) {
      Result<Buffer> b = device->alloc(t.bytes ? t.bytes : 1, IST_MEMORY_HOST);
      if (!b)
        return report(b.status());
      t.data = b->data();
      t.capacity = b->bytes();
      buffers.push_back(std::move(*b));
    }
  }
  Status status = session->call("main", inputs, outputs);
  free_inputs(made, count);
  if (!status)
    return report(status);
  for (size_t i = 0; i < outputs.size(); ++i)
    std::printf("%s: %zu bytes\n", f->outputs[i].name, outputs[i].bytes);
  ist_session_counters c = session->counters();
  std::printf("%llu launches, %llu bytes\n",
              static_cast<unsigned long long>(c.launches),
              static_cast<unsigned long long>(c.bytes));
  return 0;
}
