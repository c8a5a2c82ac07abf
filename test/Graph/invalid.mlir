// RUN: ist-opt %s --split-input-file --verify-diagnostics

func.func @f() {
  // expected-error@+1 {{element type must be an integer or a float}}
  %w = graph.weight "w" in "f" at 0 bytes 8 : tensor<1xindex>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{holds 8 bytes, its type needs 12}}
  %w = graph.weight "w" in "f" at 0 bytes 8 : tensor<3xf32>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{offset must not be negative}}
  %w = graph.weight "w" in "f" at -4 bytes 12 : tensor<3xf32>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{result #0 must be statically shaped tensor}}
  %w = graph.weight "w" in "f" at 0 bytes 12 : tensor<?xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{must keep the element type}}
  %y = graph.reshape %x : tensor<4xf32> -> tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{has 4 elements and 6 in its result}}
  %y = graph.reshape %x : tensor<4xf32> -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<?xf32>) {
  // expected-error@+1 {{has 0 sizes for 1 dynamic dims}}
  %y = graph.reshape %x : tensor<?xf32> -> tensor<2x?xf32>
  return
}

// -----

func.func @f(%x: tensor<1x4xf32>, %w: tensor<6x4xf32>) {
  // expected-error@+1 {{input, filter and result must have one rank of 3 or more}}
  %y = graph.conv %x, %w {strides = array<i64>, dilations = array<i64>, pads = array<i64>, group = 1 : i64}
     : tensor<1x4xf32>, tensor<6x4xf32> -> tensor<1x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x4x8xi8>, %w: tensor<6x4x3xi8>) {
  // expected-error@+1 {{of integers takes those of 8 bits and no bias}}
  %y = graph.conv %x, %w {strides = array<i64: 1>, dilations = array<i64: 1>, pads = array<i64: 0, 0>, group = 1 : i64}
     : tensor<1x4x8xi8>, tensor<6x4x3xi8> -> tensor<1x6x6xi8>
  return
}

// -----

func.func @f(%x: tensor<1x4x8xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error@+1 {{of floats has no signs and is padded with zero}}
  %y = graph.conv %x, %w {strides = array<i64: 1>, dilations = array<i64: 1>, pads = array<i64: 0, 0>, group = 1 : i64, pad_value = 1 : i64}
     : tensor<1x4x8xf32>, tensor<6x4x3xf32> -> tensor<1x6x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x4x8xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error@+1 {{needs 1 strides and dilations and 2 pads}}
  %y = graph.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1>, pads = array<i64: 0, 0>, group = 1 : i64}
     : tensor<1x4x8xf32>, tensor<6x4x3xf32> -> tensor<1x6x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x4x8xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error@+1 {{strides and dilations must be at least 1}}
  %y = graph.conv %x, %w {strides = array<i64: 0>, dilations = array<i64: 1>, pads = array<i64: 0, 0>, group = 1 : i64}
     : tensor<1x4x8xf32>, tensor<6x4x3xf32> -> tensor<1x6x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x4x8xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error@+1 {{group must be at least 1}}
  %y = graph.conv %x, %w {strides = array<i64: 1>, dilations = array<i64: 1>, pads = array<i64: 0, 0>, group = 0 : i64}
     : tensor<1x4x8xf32>, tensor<6x4x3xf32> -> tensor<1x6x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x4x8xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error@+1 {{input has 4 channels, the filter takes 8}}
  %y = graph.conv %x, %w {strides = array<i64: 1>, dilations = array<i64: 1>, pads = array<i64: 0, 0>, group = 2 : i64}
     : tensor<1x4x8xf32>, tensor<6x4x3xf32> -> tensor<1x6x6xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4x8xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error@+1 {{has 0 sizes for 1 dynamic dims}}
  %y = graph.conv %x, %w {strides = array<i64: 1>, dilations = array<i64: 1>, pads = array<i64: 0, 0>, group = 1 : i64}
     : tensor<?x4x8xf32>, tensor<6x4x3xf32> -> tensor<?x6x6xf32>
  return
}

// -----

func.func @f(%n: index) {
  // expected-error@+1 {{has 1 sizes for 2 dynamic dims}}
  %y = graph.parallel "X" sizes(%n) : () -> tensor<?x?xf32> {
  ^bb0(%a: memref<?x?xf32>):
    graph.yield
  }
  return
}

// -----

func.func @f(%n: index) {
  // expected-error@+1 {{body takes 1 arguments, needs 2}}
  %y = graph.parallel "X" space(%n) : () -> tensor<4xf32> {
  ^bb0(%a: memref<4xf32>):
    graph.yield
  }
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{body argument 0 is 'memref<4xf16>', needs 'memref<4xf32>'}}
  %y = graph.parallel "X" ins(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: memref<4xf16>, %b: memref<4xf32>):
    graph.yield
  }
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{'graph.yield' op expects parent op 'graph.parallel'}}
  graph.yield
}

// -----

func.func @f(%t: tensor<2xf32>, %i: index) {
  // expected-error@+1 {{reads integers only}}
  %k = graph.read %t at %i : tensor<2xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<2xi64>) {
  // expected-error@+1 {{result 0 cannot start with input 1}}
  %y = graph.parallel "X" ins(%x, %i) {in_place = array<i64: 1>} : (tensor<4xf32>, tensor<2xi64>) -> tensor<4xf32> {
  ^bb0(%a: memref<4xf32>, %b: memref<2xi64>, %c: memref<4xf32>):
    graph.yield
  }
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{in_place has 2 entries for 1 results}}
  %y = graph.parallel "X" ins(%x) {in_place = array<i64: 0, 0>} : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: memref<4xf32>, %c: memref<4xf32>):
    graph.yield
  }
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{input 0 is written in place and read as another input}}
  %y = graph.parallel "X" ins(%x, %x) {in_place = array<i64: 0>} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: memref<4xf32>, %b: memref<4xf32>, %c: memref<4xf32>):
    graph.yield
  }
  return
}
