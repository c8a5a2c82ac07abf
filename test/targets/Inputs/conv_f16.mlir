// 3 x 3 over 64 channels of 56 x 56 in f16.
module {
  func.func @main(%x: tensor<8x64x56x56xf16> {graph.name = "x", graph.dtype = "f16", graph.dims = [8, 64, 56, 56]},
                  %w: tensor<64x64x3x3xf16> {graph.name = "w", graph.dtype = "f16", graph.dims = [64, 64, 3, 3]},
                  %b: tensor<64xf16> {graph.name = "b", graph.dtype = "f16", graph.dims = [64]})
      -> (tensor<8x64x56x56xf16> {graph.name = "y", graph.dtype = "f16"}) {
    %y = graph.conv %x, %w bias %b {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>,
         pads = array<i64: 1, 1, 1, 1>, group = 1 : i64}
       : tensor<8x64x56x56xf16>, tensor<64x64x3x3xf16>, tensor<64xf16> -> tensor<8x64x56x56xf16>
    return %y : tensor<8x64x56x56xf16>
  }
}
