//===- Intel.cpp - the intel target: SPIR-V -------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "targets/intel/Intel.h"
#include "targets/Emit.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/Endian.h"
#include "llvm/Transforms/Utils/Local.h"

using namespace isthmus;
using mlir::LLVM::cconv::CConv;

namespace {
struct Row {
  const char *arch;
  unsigned maxGroup, workgroupBytes;
};
} // namespace

// spirv64 asks for what every device since 2015 has. The others are the same
// code with the limits of one chip.
static const Row rows[] = {{"spirv64", 256, 64 << 10},
                           {"pvc", 1024, 128 << 10},
                           {"bmg", 1024, 128 << 10}};

static const std::pair<const char *, const char *> products[] = {
    {"max1100", "pvc"}, {"max1550", "pvc"}, {"b570", "bmg"}, {"b580", "bmg"}};

// The version is in the triple: without one, LLVM makes 1.4, which OpenCL 2
// does not take.
static constexpr const char *kTriple = "spirv64v1.2-unknown-unknown";

// OpenCL's names; LLVM's SPIR-V backend turns them into built-ins.
static const LanesFacts facts = {
    CConv::SPIR_KERNEL,
    CConv::SPIR_FUNC,
    {"_Z12get_group_idj", 64, 0},
    {"_Z12get_local_idj", 64, 0},
    {"_Z7barrierj", 0, 1}, // 1: workgroup memory
    {"_Z7barrierj", 0, 3}, // and global memory
    LanesFacts::Shuffle::none,
    nullptr,
    /*fenceScope=*/nullptr,
    /*fenceMemory=*/nullptr,
    /*privateSpace=*/0,
    /*bf16=*/false, // would need SPV_KHR_bfloat16
    /*attributes=*/{},
    /*async=*/{},
    /*loadMatrices=*/nullptr,
    /*wait=*/nullptr,
    /*wideWait=*/nullptr,
    {"_Z8prefetchPU3AS1Khm", "_Z8prefetchPU3AS1Ktm", "_Z8prefetchPU3AS1Kjm",
     "_Z8prefetchPU3AS1Kmm", "_Z8prefetchPU3AS1KDv4_jm"}};

static std::optional<TargetInfo> parse(llvm::StringRef arch,
                                       std::string &error) {
  arch = chipOf(arch, products);
  for (const Row &row : rows) {
    if (arch != row.arch)
      continue;
    TargetInfo info;
    info.name = std::string("intel:") + row.arch;
    info.form = kernel::Form::lanes;
    info.triple = kTriple;
    info.busyGroups = 64;
    info.maxGroup = row.maxGroup;
    info.workgroupBytes = row.workgroupBytes;
    info.prefetchesCaches = true;
    std::string chip = &row == rows ? "" : std::string(",") + row.arch;
    info.requires_ = {{"intel.features", "spirv64" + chip}};
    return info;
  }
  error = "unknown intel chip '" + arch.str() + "'; known:";
  for (const Row &row : rows)
    error += std::string(" ") + row.arch;
  return std::nullopt;
}

static std::vector<std::string> list() {
  std::vector<std::string> names;
  for (const Row &row : rows)
    names.push_back(row.arch);
  return names;
}

/// An integer of a width that SPIR-V does not have.
static bool isOdd(llvm::Type *type) {
  unsigned bits = type->isIntegerTy() ? type->getIntegerBitWidth() : 8;
  return bits != 1 && bits != 8 && bits != 16 && bits != 32 && bits != 64;
}

/// LLVM sees a reversal of bits in an index whose dims of two are turned round,
/// of as many bits as there are dims; SPIR-V has it for shaders only. Bit by
/// bit.
static void expandBitReversals(llvm::Module &code) {
  llvm::SmallVector<llvm::IntrinsicInst *> calls;
  for (llvm::Function &f : code)
    for (llvm::Instruction &i : llvm::instructions(f))
      if (auto *call = llvm::dyn_cast<llvm::IntrinsicInst>(&i))
        if (call->getIntrinsicID() == llvm::Intrinsic::bitreverse &&
            call->getType()->isIntegerTy())
          calls.push_back(call);
  for (llvm::IntrinsicInst *call : calls) {
    llvm::IRBuilder<> b(call);
    unsigned bits = call->getType()->getIntegerBitWidth();
    llvm::Type *wide = b.getIntNTy(bits <= 32 ? 32 : 64);
    llvm::Value *from = b.CreateZExt(call->getArgOperand(0), wide);
    llvm::Value *all = nullptr;
    for (unsigned i = 0; i < bits; ++i) {
      llvm::Value *bit = b.CreateAnd(b.CreateLShr(from, i), 1);
      bit = b.CreateShl(bit, bits - 1 - i);
      all = all ? b.CreateOr(all, bit) : bit;
    }
    call->replaceAllUsesWith(b.CreateTrunc(all, call->getType()));
    call->eraseFromParent();
  }
}

namespace {
/// Computes in 32 or 64 bits what LLVM computes in an odd number of them (its
/// SPIR-V backend takes an integer of 2 bits for one of 8). They come from
/// remainders by powers of two, as truncations, arithmetic and extensions. Bits
/// above the odd ones are anything until an extension masks them.
class OddIntegers {
public:
  void run(llvm::Module &code);

private:
  llvm::Value *widen(llvm::Value *v);
  llvm::DenseMap<llvm::Value *, llvm::Value *> wide;
};
} // namespace

/// Null for what is not known here.
llvm::Value *OddIntegers::widen(llvm::Value *v) {
  if (llvm::Value *known = wide.lookup(v))
    return known;
  unsigned bits = v->getType()->getIntegerBitWidth();
  llvm::Type *type =
      llvm::IntegerType::get(v->getContext(), bits <= 32 ? 32 : 64);
  llvm::Value *result = nullptr;
  if (auto *c = llvm::dyn_cast<llvm::ConstantInt>(v)) {
    result = llvm::ConstantInt::get(
        type, c->getValue().zext(type->getIntegerBitWidth()));
  } else if (auto *cut = llvm::dyn_cast<llvm::TruncInst>(v)) {
    if (isOdd(cut->getOperand(0)->getType()))
      return nullptr;
    result = llvm::IRBuilder<>(cut).CreateZExtOrTrunc(cut->getOperand(0), type);
  } else if (auto *op = llvm::dyn_cast<llvm::BinaryOperator>(v)) {
    switch (op->getOpcode()) {
    case llvm::Instruction::And:
    case llvm::Instruction::Or:
    case llvm::Instruction::Xor:
    case llvm::Instruction::Add:
    case llvm::Instruction::Sub:
    case llvm::Instruction::Mul:
      break;
    default:
      return nullptr;
    }
    llvm::Value *x = widen(op->getOperand(0)), *y = widen(op->getOperand(1));
    if (!x || !y)
      return nullptr;
    result = llvm::IRBuilder<>(op).CreateBinOp(op->getOpcode(), x, y);
  }
  if (result)
    wide[v] = result;
  return result;
}

void OddIntegers::run(llvm::Module &code) {
  llvm::SmallVector<llvm::CastInst *> ends;
  for (llvm::Function &f : code)
    for (llvm::Instruction &i : llvm::instructions(f))
      if (llvm::isa<llvm::ZExtInst, llvm::TruncInst>(i) &&
          isOdd(i.getOperand(0)->getType()) && !isOdd(i.getType()))
        ends.push_back(llvm::cast<llvm::CastInst>(&i));
  for (llvm::CastInst *end : ends) {
    llvm::Value *from = end->getOperand(0), *v = widen(from);
    if (!v)
      continue;
    llvm::IRBuilder<> b(end);
    if (llvm::isa<llvm::ZExtInst>(end))
      v = b.CreateAnd(
          v, llvm::APInt::getLowBitsSet(v->getType()->getIntegerBitWidth(),
                                        from->getType()->getIntegerBitWidth()));
    end->replaceAllUsesWith(b.CreateZExtOrTrunc(v, end->getType()));
    llvm::RecursivelyDeleteTriviallyDeadInstructions(end);
  }
}

/// An instruction that gives an odd integer, or null.
static const llvm::Instruction *findOddInteger(const llvm::Module &code) {
  for (const llvm::Function &f : code)
    for (const llvm::Instruction &i : llvm::instructions(f))
      if (isOdd(i.getType()))
        return &i;
  return nullptr;
}

/// The kernel as LLVM bitcode: SPIR-V modules have no linker of LLVM's.
static mlir::FailureOr<KernelObject> compile(mlir::ModuleOp module,
                                             const TargetInfo &info) {
  mlir::Location loc = module.getLoc();
  KernelObject object;
  std::string error;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(info, error);
  if (!machine)
    return mlir::emitError(module.getLoc(), error);
  auto code = makeLanesModule(module, info, facts, *machine, context, object);
  if (failed(code))
    return mlir::failure();
  expandBitReversals(**code);
  OddIntegers().run(**code);
  if (const llvm::Instruction *odd = findOddInteger(**code))
    return mlir::emitError(loc, "kernel '")
           << object.name << "' has an integer of "
           << odd->getType()->getIntegerBitWidth()
           << " bits, which SPIR-V has not; report this";
  llvm::raw_svector_ostream stream(object.bytes);
  llvm::WriteBitcodeToFile(**code, stream);
  return object;
}

static mlir::FailureOr<llvm::SmallVector<char, 0>>
link(llvm::ArrayRef<KernelObject> objects, const TargetInfo &info,
     std::string &error) {
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(
      // The device's compiler optimizes again; LLVM's loop strength reduction
      // would make integers of odd widths once more.
      info, error, llvm::CodeGenOptLevel::None);
  if (!machine)
    return mlir::failure();
  llvm::LLVMContext context;
  llvm::Module all("kernels", context);
  all.setTargetTriple(machine->getTargetTriple());
  all.setDataLayout(machine->createDataLayout());
  for (const KernelObject &object : objects) {
    auto code = llvm::parseBitcodeFile(
        {{object.bytes.data(), object.bytes.size()}, object.name}, context);
    if (!code) {
      error = llvm::toString(code.takeError());
      return mlir::failure();
    }
    if (llvm::Linker::linkModules(all, std::move(*code))) {
      error = "linking the kernels failed at " + object.name;
      return mlir::failure();
    }
  }
  llvm::SmallVector<char, 0> bytes;
  emitFile(all, *machine, llvm::CodeGenFileType::ObjectFile, bytes);
  return bytes;
}

/// Capabilities that OpenCL leaves to the device.
static std::vector<std::pair<std::string, std::string>>
requirements(llvm::ArrayRef<char> code) {
  static const std::pair<uint32_t, const char *> optional[] = {{9, "float16"},
                                                               {10, "float64"}};
  std::vector<std::pair<std::string, std::string>> found;
  size_t words = code.size() / 4;
  auto word = [&](size_t i) {
    return llvm::support::endian::read32le(code.data() + 4 * i);
  };
  // Capabilities come first, behind a header of five words.
  for (size_t i = 5; i + 1 < words && word(i) == (2u << 16 | 17); i += 2)
    for (auto [number, feature] : optional)
      if (word(i + 1) == number)
        found.push_back({"intel.features", feature});
  return found;
}

Target intel::target() {
  return {"intel", "Intel GPUs and OpenCL devices, as SPIR-V",
          parse,   list,
          compile, link,
          "spirv", requirements};
}
