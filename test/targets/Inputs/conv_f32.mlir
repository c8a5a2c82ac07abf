// A convolution of 3 x 3 over 64 channels, whose tile fills the registers.
module {
  func.func @main(%x: tensor<1x64x30x30xf32> {graph.name = "x", graph.dtype = "f32", graph.dims = [1, 64, 30, 30]})
      -> (tensor<1x64x28x28xf32> {graph.name = "y", graph.dtype = "f32"}) {
    %w = graph.weight "w" in "w.bin" at 0 bytes 147456 : tensor<64x64x3x3xf32>
    %y = graph.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>,
        pads = array<i64: 0, 0, 0, 0>, group = 1 : i64} : tensor<1x64x30x30xf32>, tensor<64x64x3x3xf32> -> tensor<1x64x28x28xf32>
    return %y : tensor<1x64x28x28xf32>
  }
}
