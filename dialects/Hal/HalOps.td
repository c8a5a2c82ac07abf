#ifndef ISTHMUS_HAL_OPS_TD
#define ISTHMUS_HAL_OPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Hal_Dialect : Dialect {
  let name = "hal";
  let cppNamespace = "::isthmus::hal";
  let description = [{
    The host side of a model after outlining: launches of kernels on tensors
    that stand for device buffers, between integer arithmetic. The program
    writer gives every tensor a buffer and a lifetime. See
    docs/rationale/hal.md.
  }];
}

class Hal_Op<string mnemonic, list<Trait> traits = []>
    : Op<Hal_Dialect, mnemonic, traits>;

def Hal_LaunchOp : Hal_Op<"launch", [Pure, AttrSizedOperandSegments]> {
  let summary = "run a kernel over its grid";
  let description = [{
    `scalars` are the kernel's sizes, `inputs` its `in` and `inout` bindings, the
    results its `out` bindings; `sizes` are the results' dynamic dims, in order.
    The op's location names the model's nodes.

    `in_place` gives for each result the input whose binding is `inout` and
    becomes the result, or -1. The input's value is not changed by that: it is
    copied unless nothing needs it any more.

    ```mlir
    %y = hal.launch @k_relu scalars(%n) ins(%x) sizes(%n) : (tensor<?xf32>) -> tensor<?xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<Index>:$scalars,
                       Variadic<AnyRankedTensor>:$inputs, Variadic<Index>:$sizes,
                       OptionalAttr<DenseI64ArrayAttr>:$in_place);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $kernel (`scalars` `(` $scalars^ `)`)? (`ins` `(` $inputs^ `)`)?
    (`sizes` `(` $sizes^ `)`)? attr-dict `:` functional-type($inputs, $results)
  }];
  let extraClassDeclaration = [{
    ::mlir::ValueRange getSizesOf(unsigned i);
    /// The input that becomes result `i`, or -1.
    int64_t getStart(unsigned i) {
      return getInPlace() ? (*getInPlace())[i] : -1;
    }
  }];
}

def Hal_DerivedOp : Hal_Op<"derived", [Pure]> {
  let summary = "a derived weight: what `init` made of weights alone, once";
  let arguments = (ins I64Attr:$index);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$index attr-dict `:` type($result)";
}

#endif // ISTHMUS_HAL_OPS_TD
