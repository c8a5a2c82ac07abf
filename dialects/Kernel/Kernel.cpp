//===- Kernel.cpp - the kernel dialect: types, tiles, rings ---------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Kernel.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace isthmus::kernel;

//===----------------------------------------------------------------------===//
// Assembly helpers named in the .td files
//===----------------------------------------------------------------------===//

static ParseResult parseRingTiles(OpAsmParser &parser, Type ring,
                                  SmallVectorImpl<Type> &tiles) {
  auto type = dyn_cast<RingType>(ring);
  if (!type)
    return parser.emitError(parser.getCurrentLocation(), "expected a ring");
  tiles.assign(type.getTiles().begin(), type.getTiles().end());
  return success();
}
static void printRingTiles(OpAsmPrinter &, Operation *, Type, TypeRange) {}

#include "dialects/Kernel/KernelOpsDialect.cpp.inc"
#include "dialects/Kernel/KernelOpsEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Kernel/KernelOpsAttributes.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Kernel/KernelOpsTypes.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.cpp.inc"

void KernelDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Kernel/KernelOpsAttributes.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Kernel/KernelOpsTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Kernel/KernelOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Layout
//===----------------------------------------------------------------------===//

static FailureOr<SmallVector<int64_t>> parseBits(AsmParser &parser,
                                                 StringRef name) {
  SmallVector<int64_t> bits;
  if (parser.parseKeyword(name) || parser.parseEqual() ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
        return parser.parseInteger(bits.emplace_back());
      }))
    return failure();
  return bits;
}

Attribute LayoutAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess())
    return {};
  auto registers = parseBits(parser, "register");
  if (failed(registers) || parser.parseComma())
    return {};
  auto lanes = parseBits(parser, "lane");
  if (failed(lanes) || parser.parseComma())
    return {};
  auto subgroups = parseBits(parser, "subgroup");
  if (failed(subgroups) || parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    *registers, *lanes, *subgroups);
}

void LayoutAttr::print(AsmPrinter &printer) const {
  auto bits = [&](StringRef name, ArrayRef<int64_t> list) {
    printer << name << " = [";
    llvm::interleaveComma(list, printer);
    printer << "]";
  };
  printer << "<";
  bits("register", getRegisterBits());
  bits(", lane", getLaneBits());
  bits(", subgroup", getSubgroupBits());
  printer << ">";
}

LogicalResult LayoutAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 ArrayRef<int64_t> registers,
                                 ArrayRef<int64_t> lanes,
                                 ArrayRef<int64_t> subgroups) {
  // Two registers of one lane may not hold one element twice; lanes and
  // subgroups may (a broadcast).
  int64_t seen = 0;
  for (int64_t bit : registers) {
    if (bit <= 0 || !llvm::isPowerOf2_64(bit))
      return emitError() << "register offset " << bit
                         << " is not a power of two";
    if (seen & bit)
      return emitError() << "register offset " << bit << " appears twice";
    seen |= bit;
  }
  for (ArrayRef<int64_t> list : {lanes, subgroups})
    for (int64_t bit : list) {
      if (bit < 0)
        return emitError() << "offset " << bit << " is negative";
    }
  return success();
}

//===----------------------------------------------------------------------===//
// Ring
//===----------------------------------------------------------------------===//

Type RingType::parse(AsmParser &parser) {
  int64_t depth;
  SmallVector<Type> tiles;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseInteger(depth) ||
      parser.parseKeyword("x") ||
      parser.parseCommaSeparatedList(
          AsmParser::Delimiter::Paren,
          [&] { return parser.parseType(tiles.emplace_back()); }) ||
      parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    depth, tiles);
}

void RingType::print(AsmPrinter &printer) const {
  printer << "<" << getDepth() << " x (";
  llvm::interleaveComma(getTiles(), printer);
  printer << ")>";
}

LogicalResult RingType::verify(function_ref<InFlightDiagnostic()> emitError,
                               int64_t depth, ArrayRef<Type> tiles) {
  if (depth < 1)
    return emitError() << "ring depth must be at least 1, got " << depth;
  if (tiles.empty())
    return emitError() << "ring slot has no tiles";
  for (Type type : tiles) {
    auto memref = dyn_cast<MemRefType>(type);
    if (!memref || !memref.hasStaticShape() ||
        memref.getMemorySpaceAsInt() != kWorkgroupSpace)
      return emitError() << "ring tile " << type
                         << " must be a static memref in memory space "
                         << kWorkgroupSpace;
  }
  return success();
}

LogicalResult AllocOp::verify() {
  auto type = cast<MemRefType>(getResult().getType());
  if (!type.hasStaticShape() || type.getMemorySpaceAsInt() != kWorkgroupSpace)
    return emitOpError("workgroup memory is a static memref in memory space ")
           << kWorkgroupSpace << ", got " << type;
  SmallVector<int64_t> strides;
  int64_t offset = 0;
  if (failed(type.getStridesAndOffset(strides, offset)) || offset != 0 ||
      llvm::any_of(strides, [](int64_t s) { return s < 0; }))
    return emitOpError("workgroup memory has constant strides and begins at "
                       "its first element, got ")
           << type;
  return success();
}

LogicalResult ShuffleOp::verify() {
  if (!llvm::isPowerOf2_64(getDistance()))
    return emitOpError("distance must be a power of two, got ")
           << int64_t(getDistance());
  return success();
}

static LogicalResult verifySlot(Operation *op, RingType ring, TypeRange tiles) {
  if (!llvm::equal(ring.getTiles(), tiles))
    return op->emitOpError("results must be the tiles of ") << ring;
  return success();
}
LogicalResult RingAcquireOp::verify() {
  return verifySlot(*this, getRing().getType(), getTiles().getTypes());
}
LogicalResult RingWaitOp::verify() {
  return verifySlot(*this, getRing().getType(), getTiles().getTypes());
}

LogicalResult AsyncCopyOp::verify() {
  auto from = cast<MemRefType>(getSource().getType());
  auto to = cast<MemRefType>(getTile().getType());
  if (from.getElementType() != to.getElementType())
    return emitOpError("source and tile differ in element type");
  if (int64_t(getIndices().size()) != from.getRank())
    return emitOpError("needs ")
           << from.getRank() << " indices, has " << getIndices().size();
  if (to.getRank() > from.getRank())
    return emitOpError("tile has a higher rank than the source");
  if (!to.hasStaticShape() || to.getMemorySpaceAsInt() != kWorkgroupSpace)
    return emitOpError("tile must be a static memref in memory space ")
           << kWorkgroupSpace << ", got " << to;
  return success();
}

LogicalResult RolesOp::verify() {
  if (int64_t(getProducers()) < 1 || int64_t(getConsumers()) < 1)
    return emitOpError("needs at least one producer and one consumer subgroup");
  return success();
}

LogicalResult AsyncRunOp::verify() {
  auto from = cast<MemRefType>(getSource().getType());
  auto to = cast<MemRefType>(getTile().getType());
  Type element = from.getElementType();
  if (element != to.getElementType() || !element.isIntOrFloat())
    return emitOpError("source and tile differ in element type");
  if (int64_t(getIndices().size()) != from.getRank() ||
      int64_t(getTileIndices().size()) != to.getRank())
    return emitOpError("needs an index for each dim of source and tile");
  if (to.getMemorySpaceAsInt() != kWorkgroupSpace)
    return emitOpError("tile must be in memory space ")
           << kWorkgroupSpace << ", got " << to;
  int64_t bytes = int64_t(getCount()) * element.getIntOrFloatBitWidth() / 8;
  if (bytes != 4 && bytes != 8 && bytes != 16)
    return emitOpError("copies 4, 8 or 16 bytes, not ") << bytes;
  return success();
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

LogicalResult EachOp::verify() {
  auto type = cast<VectorType>(getTile().getType());
  Block &block = getBody().front();
  unsigned rank = type.getRank();
  bool good = block.getNumArguments() == rank + 1 &&
              block.getArgument(rank).getType() == type.getElementType();
  for (unsigned d = 0; good && d < rank; ++d)
    good = block.getArgument(d).getType().isIndex();
  if (!good)
    return emitOpError("body takes an index for each dim of ")
           << type << " and an element";
  return success();
}

LogicalResult LoadMatricesOp::verify() {
  auto from = cast<MemRefType>(getMemref().getType());
  auto to = cast<VectorType>(getResult().getType());
  Type element = from.getElementType();
  if (int64_t(getIndices().size()) != from.getRank())
    return emitOpError("needs ")
           << from.getRank() << " indices, has " << getIndices().size();
  if (element != to.getElementType() || !element.isIntOrFloat() ||
      from.getMemorySpaceAsInt() != kWorkgroupSpace)
    return emitOpError("reads elements of ")
           << to << " from memory space " << kWorkgroupSpace;
  int64_t bits = to.getNumElements() * element.getIntOrFloatBitWidth();
  if (bits != 32 && bits != 64 && bits != 128)
    return emitOpError("results in 4, 8 or 16 bytes a lane, not ") << to;
  if (getTransposed() && element.getIntOrFloatBitWidth() != 16)
    return emitOpError("transposes elements of 2 bytes, not ") << element;
  return success();
}

void MmaOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  for (OpOperand *operand : {&getAMutable(), &getBMutable()})
    if (isa<MemRefType>(operand->get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), operand);
}

LogicalResult MmaOp::verify() {
  auto a = cast<ShapedType>(getA().getType()),
       b = cast<ShapedType>(getB().getType()),
       c = cast<ShapedType>(getAcc().getType());
  if (a.getRank() != 2 || b.getRank() != 2 || c.getRank() != 2)
    return emitOpError("operands must have rank 2");
  if (a.getDimSize(0) != c.getDimSize(0) ||
      b.getDimSize(1) != c.getDimSize(1) || a.getDimSize(1) != b.getDimSize(0))
    return emitOpError("shapes do not agree: ")
           << a << " * " << b << " + " << c;
  return success();
}

LogicalResult RelayoutOp::verify() {
  auto type = cast<VectorType>(getSource().getType());
  int64_t elements = type.getNumElements();
  if (!llvm::isPowerOf2_64(elements))
    return emitOpError("tile must have a power of two of elements");
  for (LayoutAttr layout : {getFrom(), getTo()})
    for (ArrayRef<int64_t> bits :
         {layout.getRegisterBits(), layout.getLaneBits(),
          layout.getSubgroupBits()})
      for (int64_t bit : bits)
        if (bit >= elements)
          return emitOpError("layout offset ")
                 << bit << " is outside the tile's " << elements << " elements";
  return success();
}
