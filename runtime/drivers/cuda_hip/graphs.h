//===- graphs.h - recorded graphs of both vendors ------------------------===//
#ifndef ISTHMUS_DRIVERS_CUDA_HIP_GRAPHS_H
#define ISTHMUS_DRIVERS_CUDA_HIP_GRAPHS_H

#include "streams.h"

namespace isthmus::gpu {

template <typename V> struct Graphs {
  using Self = Gpu<V>;
  using Symbols = typename V::Symbols;

  struct Graph {
    void *exec, *graph;
    Array<void *> nodes; // of each command; null when it does nothing
  };

  static Code add(Self &gpu, void *graph, void *const *after, size_t count,
                  const Command &c, void **node) {
    if (c.kind == Command::copy)
      return V::addCopy(gpu, graph, after, count, c, node);
    if (c.kind == Command::fill)
      return V::addFill(gpu, graph, after, count, c, node);
    if (c.cluster > 1)
      return kNotSupported; // the node would need an attribute
    void *arguments[kMaxArgs + 1];
    typename V::KernelNode n = V::kernelNode(c, arguments);
    return gpu.api->GraphAddKernelNode(node, graph, after, count, &n);
  }

  static Code graphCreate(Device &d, const Command *commands, size_t count,
                          void **out) {
    Self &gpu = self<V>(d);
    Graph *g = make<Graph>();
    if (!g || !g->nodes.resize(count)) {
      destroy(g);
      return 2; // out of memory
    }
    g->exec = g->graph = nullptr;
    Code code = gpu.api->GraphCreate(&g->graph, 0);
    void *last = nullptr; // a queue is in order, so each waits for the former
    for (size_t i = 0; i < count && !code; ++i) {
      if (commands[i].empty())
        continue;
      code = add(gpu, g->graph, &last, last ? 1 : 0, commands[i], &g->nodes[i]);
      last = g->nodes[i];
    }
    if (!code)
      code = gpu.api->GraphInstantiate(&g->exec, g->graph, 0);
    if (code)
      graphDestroy(d, g);
    else
      *out = g;
    return code;
  }
  static Code graphUpdate(Device &d, void *graph, size_t index,
                          const Command &c) {
    Self &gpu = self<V>(d);
    Graph *g = static_cast<Graph *>(graph);
    void *node = g->nodes[index];
    if (c.kind == Command::copy)
      return V::changeCopy(gpu, g->exec, node, c);
    if (c.kind == Command::fill)
      return V::changeFill(gpu, g->exec, node, c);
    void *arguments[kMaxArgs + 1];
    typename V::KernelNode n = V::kernelNode(c, arguments);
    return gpu.api->GraphExecKernelNodeSetParams(g->exec, node, &n);
  }
  static Code graphLaunch(Device &d, void *stream, void *graph) {
    return api<V>(d).GraphLaunch(static_cast<Graph *>(graph)->exec,
                                 Streams<V>::raw(stream));
  }
  static void graphDestroy(Device &d, void *graph) {
    Graph *g = static_cast<Graph *>(graph);
    if (g->exec)
      api<V>(d).GraphExecDestroy(g->exec);
    if (g->graph)
      api<V>(d).GraphDestroy(g->graph);
    destroy(g);
  }
};

} // namespace isthmus::gpu

#endif // ISTHMUS_DRIVERS_CUDA_HIP_GRAPHS_H
