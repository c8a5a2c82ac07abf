module {
  func.func @main(%x: tensor<4xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [4]})
      -> (tensor<4xf32> {graph.name = "y", graph.dtype = "f32"}) {
    return %x : tensor<4xf32>
  }
}
