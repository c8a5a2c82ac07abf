#ifndef ISTHMUS_GRAPH_OPS_TD
#define ISTHMUS_GRAPH_OPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Graph_Dialect : Dialect {
  let name = "graph";
  let cppNamespace = "::isthmus::graph";
  let description = [{
    Operations on tensors that upstream cannot say: weights by reference,
    reshapes with run-time sizes, convolutions, host reads, and irregular
    loops. Everything regular is `linalg.generic` on tensors. See
    docs/rationale/graph.md.
  }];
}

class Graph_Op<string mnemonic, list<Trait> traits = []>
    : Op<Graph_Dialect, mnemonic, traits>;

def Graph_WeightOp : Graph_Op<"weight", [Pure]> {
  let summary = "a tensor that the model file holds";
  let description = [{
    The bytes stay where the model has them: `bytes` of them at `offset` of
    `file`, little-endian and row-major. The artifact copies them once.

    ```mlir
    %w = graph.weight "conv1.weight" in "resnet.onnx" at 1024 bytes 37632 : tensor<64x3x7x7xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, StrAttr:$file, I64Attr:$offset, I64Attr:$bytes);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$name `in` $file `at` $offset `bytes` $bytes attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Graph_ReshapeOp : Graph_Op<"reshape", [Pure]> {
  let summary = "the same elements in row-major order under another shape";
  let description = [{
    `sizes` gives the dynamic dims of the result in order. Costs nothing: the
    result is the source's buffer. That the element counts agree is the
    importer's duty, with a `graph.check` where it cannot be proven.

    ```mlir
    %y = graph.reshape %x sizes(%n) : tensor<?x3x4xf32> -> tensor<?x12xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$source, Variadic<Index>:$sizes);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$source (`sizes` `(` $sizes^ `)`)? attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Graph_ConvOp : Graph_Op<"conv", [Pure, AttrSizedOperandSegments]> {
  let summary = "grouped convolution of any spatial rank, channels first";
  let description = [{
    `input` is N x C x D1 x .. x Dr, `filter` OC x C/group x K1 x .. x Kr,
    `bias` OC. `pads` holds the begins, then the ends, one of each per spatial
    dim, and pads with zero. `sizes` are the dynamic dims of the result.
    Definition: ONNX Conv (opset 22). The sum is in f32 for narrower floats.

    Integers of 8 bits, signed if not said otherwise, have a sum of i32 and no
    bias; they are padded with `pad_value`, where there is one.

    ```mlir
    %y = graph.conv %x, %w bias %b {strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>,
         pads = array<i64: 3, 3, 3, 3>, group = 1 : i64} sizes(%n)
       : tensor<?x3x224x224xf32>, tensor<64x3x7x7xf32>, tensor<64xf32> -> tensor<?x64x112x112xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$filter,
                       Optional<AnyRankedTensor>:$bias, Variadic<Index>:$sizes,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads, I64Attr:$group,
                       UnitAttr:$input_unsigned, UnitAttr:$filter_unsigned,
                       OptionalAttr<I64Attr>:$pad_value);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $input `,` $filter (`bias` $bias^)? (`sizes` `(` $sizes^ `)`)? attr-dict `:`
    type($input) `,` type($filter) (`,` type($bias)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def Graph_ParallelOp : Graph_Op<"parallel",
    [Pure, AttrSizedOperandSegments, IsolatedFromAbove, SingleBlock]> {
  let summary = "run a body for every point of an index space, irregular operations";
  let description = [{
    The body runs once for every point of the space 0..space[0]) x 0..space[1])
    .., in any order and at the same time; a space of rank 0 is one serial run.
    It reads the inputs and writes the outputs through memrefs of the tensors'
    shapes. Outputs start undefined: every element must be written, and no two
    points may write the same one. `op` names the operation for people, plans
    and plug-ins. `sizes` are the dynamic dims of all results, in order.

    Block arguments: one index per space dim, one memref per input, one index
    per scalar, one memref per result.

    `in_place` gives for each result the input whose elements it starts with, or
    -1: the body sees both as one memory, and writes only what it changes. An
    input that is still needed is copied before.

    ```mlir
    %y = graph.parallel "Gather" space(%n, %c8) ins(%x, %i) scalars(%n) sizes(%n)
       : (tensor<100x8xf32>, tensor<?xi64>) -> (tensor<?x8xf32>) {
    ^bb0(%p: index, %q: index, %xm: memref<100x8xf32>, %im: memref<?xi64>, %n0: index, %ym: memref<?x8xf32>):
      %j = memref.load %im[%p] : memref<?xi64>
      %k = arith.index_cast %j : i64 to index
      %v = memref.load %xm[%k, %q] : memref<100x8xf32>
      memref.store %v, %ym[%p, %q] : memref<?x8xf32>
      graph.yield
    }
    ```
  }];
  let arguments = (ins StrAttr:$op, Variadic<Index>:$space,
                       Variadic<AnyRankedTensor>:$inputs, Variadic<Index>:$scalars,
                       Variadic<Index>:$sizes,
                       OptionalAttr<DenseI64ArrayAttr>:$in_place);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $op (`space` `(` $space^ `)`)? (`ins` `(` $inputs^ `)`)? (`scalars` `(` $scalars^ `)`)?
    (`sizes` `(` $sizes^ `)`)? attr-dict `:` functional-type($inputs, $results) $body
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The dynamic sizes of result `i`, in order of its `?` dims.
    ::mlir::ValueRange getSizesOf(unsigned i);
    /// The input that result `i` starts with, or -1.
    int64_t getStart(unsigned i) {
      return getInPlace() ? (*getInPlace())[i] : -1;
    }
  }];
}

def Graph_YieldOp : Graph_Op<"yield", [Terminator, Pure, HasParent<"ParallelOp">]> {
  let summary = "ends the body of graph.parallel";
  let assemblyFormat = "attr-dict";
}

def Graph_ReadOp : Graph_Op<"read", [Pure]> {
  let summary = "an integer element of a tensor, read by the host: waits for the device";
  let description = [{
    Becomes `hal.read`, the only wait of a program. Only for sizes, axes and
    trip counts that nothing cheaper tells.

    ```mlir
    %k = graph.read %t at %i : tensor<2xi64>
    ```
    `index` is the row-major element number. Elements must be integers or i1.
  }];
  let arguments = (ins AnyRankedTensor:$source, Index:$index);
  let results = (outs Index:$result);
  let assemblyFormat = "$source `at` $index attr-dict `:` type($source)";
  let hasVerifier = 1;
}

def Graph_CheckOp : Graph_Op<"check"> {
  let summary = "ends the call with INVALID_ARGUMENT and a message when the condition is false";
  let arguments = (ins I1:$condition, StrAttr:$message);
  let assemblyFormat = "$condition `,` $message attr-dict";
}

#endif // ISTHMUS_GRAPH_OPS_TD
