#ifndef ISTHMUS_KERNEL_FUNC_OPS_TD
#define ISTHMUS_KERNEL_FUNC_OPS_TD

include "dialects/Kernel/KernelDialect.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

def Kernel_Form : I32EnumAttr<"Form", "how far a kernel has been lowered", [
    I32EnumAttrCase<"tensor", 0>, I32EnumAttrCase<"tiled", 1>,
    I32EnumAttrCase<"lanes", 2>]> {
  let cppNamespace = "::isthmus::kernel";
}

def Kernel_FuncOp : Kernel_Op<"func", [IsolatedFromAbove, Symbol, AutomaticAllocationScope, SingleBlock]> {
  let summary = "a kernel in one of its three forms";
  let description = [{
    `sizes` are the dims that the host passes, with their ranges. Bindings are
    memrefs; each `?` of a binding names the size that it is, in braces.
    `align` is the least alignment of the binding's address, in bytes.
    Nothing aliases but what is `inout`.

    * `form(tensor)`: pure linalg/tensor/graph between `bufferization.to_tensor`
      and `bufferization.materialize_in_destination`; no grid.
    * `form(tiled)`: one workgroup's program: a 1-D `grid`, statically shaped
      tiles as vectors, `scf.forall` for independent elements, uniform control
      flow, no lanes. `group` is optional: how many lanes it was planned for.
    * `form(lanes)`: one lane's program: `group` lanes a workgroup, lane ids,
      barriers, workgroup memory in space 3 (`kernel.alloc`), a lane's own
      memory in space 5 (`memref.alloca`).

    ```mlir
    kernel.func @relu form(tiled) sizes(%n in 1..4096) in %x: memref<?xf32>{%n} align 16,
        out %y: memref<?xf32>{%n} align 16 grid((%n) ceildiv 256) {
      ...
      kernel.return
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Kernel_Form:$form,
                       DenseI64ArrayAttr:$size_min, DenseI64ArrayAttr:$size_max,
                       DenseI32ArrayAttr:$access, ArrayAttr:$binding_dims,
                       DenseI64ArrayAttr:$align, OptionalAttr<AffineMapAttr>:$grid,
                       OptionalAttr<I64Attr>:$group, OptionalAttr<StrAttr>:$plan);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
  let skipDefaultBuilders = 1;
  let builders = [
    OpBuilder<(ins "::llvm::StringRef":$name, "::isthmus::kernel::Form":$form,
                   "::llvm::ArrayRef<::isthmus::kernel::SizeRange>":$sizes,
                   "::llvm::ArrayRef<::isthmus::kernel::Binding>":$bindings)>
  ];
  let extraClassDeclaration = [{
    unsigned getNumSizes() { return getSizeMin().size(); }
    unsigned getNumBindings() { return getAccess().size(); }
    ::mlir::BlockArgument getSize(unsigned i) { return getBody().getArgument(i); }
    ::mlir::BlockArgument getBinding(unsigned i) { return getBody().getArgument(getNumSizes() + i); }
    ::isthmus::kernel::Access getAccessOf(unsigned i) { return static_cast<::isthmus::kernel::Access>(getAccess()[i]); }
    /// For each `?` of binding `i`, which size it is.
    ::llvm::ArrayRef<int64_t> getDimsOf(unsigned i);
    /// The sizes of binding `i`, constants for static dims.
    ::llvm::SmallVector<::mlir::OpFoldResult> getMixedSizesOf(unsigned i);
  }];
}

def Kernel_ReturnOp : Kernel_Op<"return", [Terminator, Pure, HasParent<"FuncOp">]> {
  let summary = "ends a kernel";
  let assemblyFormat = "attr-dict";
}

def Kernel_GroupIdOp : Kernel_Op<"group_id", [Pure]> {
  let summary = "the number of this workgroup in the 1-D grid";
  let results = (outs Index:$result);
  let assemblyFormat = "attr-dict";
}

def Kernel_LaneIdOp : Kernel_Op<"lane_id", [Pure]> {
  let summary = "the number of this lane in its workgroup; form(lanes) only";
  let results = (outs Index:$result);
  let assemblyFormat = "attr-dict";
}

def Kernel_BarrierOp : Kernel_Op<"barrier"> {
  let summary = "all lanes of the workgroup arrive, workgroup memory is visible; form(lanes) only";
  let description = [{ With `bindings`, what lanes wrote to bindings is visible to the others too. }];
  let arguments = (ins UnitAttr:$bindings);
  let assemblyFormat = "(`bindings` $bindings^)? attr-dict";
}

def Kernel_ShuffleOp : Kernel_Op<"shuffle", [Pure, AllTypesMatch<["source", "result"]>]> {
  let summary = "the value of the lane whose number differs by `xor`; form(lanes) only";
  let description = [{
    Both lanes are of one subgroup and run it. For targets whose subgroup size
    is known.

    ```mlir
    %other = kernel.shuffle %v xor 16
    ```
  }];
  let arguments = (ins I32:$source, I64Attr:$distance);
  let results = (outs I32:$result);
  let assemblyFormat = "$source `xor` $distance attr-dict";
  let hasVerifier = 1;
}

def Kernel_AllocOp : Kernel_Op<"alloc", [MemoryEffects<[MemAlloc]>]> {
  let summary = "static workgroup memory, undefined at first";
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Kernel_FailIfOp : Kernel_Op<"fail_if"> {
  let summary = "store an error code into the launch's error word when the condition holds";
  let description = [{
    Does not stop the kernel: what follows must have defined values. The first
    code stored wins or any of them; the host turns the code into `message` and
    the model's node.

    ```mlir
    kernel.fail_if %out, "index out of range"
    ```
  }];
  let arguments = (ins I1:$condition, StrAttr:$message);
  let assemblyFormat = "$condition `,` $message attr-dict";
}

#endif // ISTHMUS_KERNEL_FUNC_OPS_TD
