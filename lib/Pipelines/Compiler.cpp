//===- Compiler.cpp - from a model file to an artifact --------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/Compiler.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Constants.h"
#include "dialects/Graph/Transforms/Dequantized.h"
#include "dialects/Graph/Transforms/Fuse.h"
#include "dialects/Graph/Transforms/Hoist.h"
#include "dialects/Graph/Transforms/Layout.h"
#include "dialects/Graph/Transforms/Outline.h"
#include "dialects/Graph/Transforms/Requantized.h"
#include "dialects/Graph/Transforms/SplitReductions.h"
#include "dialects/Graph/Transforms/WeightMath.h"
#include "dialects/Graph/Transforms/ZeroPoints.h"
#include "dialects/Hal/Hal.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Kernel/Transforms/Distribute.h"
#include "dialects/Kernel/Transforms/Plan.h"
#include "dialects/Kernel/Transforms/Work.h"
#include "lib/Artifact/ArtifactWriter.h"
#include "lib/Import/OnnxImporter.h"
#include "lib/Pipelines/KernelCache.h"
#include "lib/Pipelines/ProgramWriter.h"
#include "targets/Target.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/xxhash.h"

#include <atomic>
#include <mutex>

using namespace mlir;
using namespace isthmus;

void isthmus::registerCompilerDialects(DialectRegistry &registry) {
  registry.insert<affine::AffineDialect, arith::ArithDialect,
                  bufferization::BufferizationDialect, func::FuncDialect,
                  graph::GraphDialect, hal::HalDialect, kernel::KernelDialect,
                  linalg::LinalgDialect, LLVM::LLVMDialect, math::MathDialect,
                  memref::MemRefDialect, scf::SCFDialect, tensor::TensorDialect,
                  vector::VectorDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

namespace {

class Compilation {
public:
  Compilation(const CompileOptions &options, llvm::raw_ostream &out,
              llvm::raw_ostream &errors)
      : options(options), out(out), errors(errors) {
    registerCompilerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    context.disableMultithreading();
    context.getDiagEngine().registerHandler(
        [this](Diagnostic &d) { return report(d); });
  }

  bool run();

private:
  LogicalResult report(Diagnostic &d);
  bool fail(const std::string &code, const std::string &text);
  /// Writes a stage to --dump-dir, under the command that reproduces it. One of
  /// several variants has a folder there, called as its `target`.
  bool dump(StringRef stage, StringRef target,
            function_ref<void(llvm::raw_ostream &)> print);
  bool dump(ModuleOp module, StringRef stage, StringRef target = "") {
    return dump(stage, target,
                [&](llvm::raw_ostream &file) { file << module << "\n"; });
  }
  bool import();
  bool bindStates();
  bool compileVariant(StringRef spec, const Target &target,
                      const TargetInfo &info, fb::ManifestT &manifest,
                      std::vector<SmallVector<char, 0>> &codes);
  bool compileKernels(ModuleOp module, const Target &target,
                      const TargetInfo &info,
                      std::vector<KernelObject> &objects);
  bool write(fb::ManifestT &manifest,
             const std::vector<SmallVector<char, 0>> &codes);

  const CompileOptions &options;
  llvm::raw_ostream &out, &errors;
  DialectRegistry registry;
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  WeightTable weights;
  std::mutex errorMutex;
};

} // namespace

LogicalResult Compilation::report(Diagnostic &d) {
  if (d.getSeverity() != DiagnosticSeverity::Error)
    return success();
  std::lock_guard<std::mutex> lock(errorMutex);
  errors << "error: IST-C0001";
  std::vector<std::string> nodes = nodesOf(d.getLocation());
  if (!nodes.empty())
    errors << ": node '" << llvm::join(nodes, "', '") << "'";
  errors << ": " << d.str() << "\n";
  for (Diagnostic &note : d.getNotes())
    errors << "note: " << note.str() << "\n";
  return success();
}

bool Compilation::fail(const std::string &code, const std::string &text) {
  errors << "error: " << code << ": " << text << "\n";
  return false;
}

bool Compilation::dump(StringRef stage, StringRef target,
                       function_ref<void(llvm::raw_ostream &)> print) {
  if (options.dumpDir.empty())
    return true;
  std::string folder = options.dumpDir;
  if (!target.empty() && options.targets.size() > 1)
    folder += "/" + target.str();
  if (std::error_code ec = llvm::sys::fs::create_directories(folder))
    return fail("IST-C0002", "cannot make " + folder + ": " + ec.message());
  std::error_code ec;
  std::string path = folder + "/" + stage.str() + ".mlir";
  llvm::raw_fd_ostream file(path, ec);
  if (ec)
    return fail("IST-C0002", "cannot write " + path + ": " + ec.message());
  file << "// istc " << options.input << " --emit=" << stage;
  if (!target.empty())
    file << " --target=" << target;
  for (const auto &[name, range] : options.shapes)
    file << " --shape=" << name << ":" << range.first << ".." << range.second;
  for (const auto &[input, output] : options.states)
    file << " --state=" << input << "=" << output;
  if (!options.fuse)
    file << " -O0";
  if (options.tf32)
    file << " --tf32";
  if (!options.tuningFile.empty())
    file << " --tuning=" << options.tuningFile;
  if (options.reference)
    file << " --reference";
  if (options.refuseEvery)
    file << " --test-refuse-plans=" << options.refuseEvery;
  if (!options.breakKernel.empty())
    file << " --test-break-kernel=" << options.breakKernel;
  file << "\n";
  print(file);
  return true;
}

bool Compilation::import() {
  if (StringRef(options.input).ends_with(".mlir")) {
    module = parseSourceFile<ModuleOp>(options.input, ParserConfig(&context));
    return bool(module);
  }
  OnnxImportOptions import;
  for (auto &[name, range] : options.shapes)
    import.shapes[name] = DimRange{range.first, range.second};
  SmallVector<ImportDiagnostic> diags;
  module = importOnnx(options.input, context, import, diags);
  for (const ImportDiagnostic &d : diags)
    errors << d.str() << "\n";
  return bool(module);
}

/// Marks the outputs that live in inputs, see graph::kInoutAttr.
bool Compilation::bindStates() {
  auto func = module->lookupSymbol<func::FuncOp>("main");
  for (const auto &[input, output] : options.states) {
    std::string option = "--state=" + input + "=" + output + ": ";
    auto name = StringAttr::get(&context, input),
         outName = StringAttr::get(&context, output);
    std::optional<unsigned> in, out;
    for (unsigned i = 0; func && i < func.getNumArguments(); ++i)
      if (func.getArgAttr(i, graph::kNameAttr) == name)
        in = i;
    for (unsigned i = 0; func && i < func.getNumResults(); ++i)
      if (func.getResultAttr(i, graph::kNameAttr) == outName)
        out = i;
    if (!in || !out)
      return fail("IST-C0009",
                  option + "the model has no " +
                      (in ? "output '" + output : "input '" + input) + "'");
    auto from = cast<RankedTensorType>(func.getArgumentTypes()[*in]),
         to = cast<RankedTensorType>(func.getResultTypes()[*out]);
    if (from.getRank() != to.getRank() ||
        func.getArgAttr(*in, graph::kDTypeAttr) !=
            func.getResultAttr(*out, graph::kDTypeAttr) ||
        (from.hasStaticShape() && to.hasStaticShape() && from != to))
      return fail("IST-C0009",
                  option + "the two have different types or shapes");
    if (func.getArgAttr(*in, graph::kInoutAttr) ||
        func.getResultAttr(*out, graph::kInoutAttr))
      return fail("IST-C0009", option + "one of the two has a state already");
    func.setArgAttr(*in, graph::kInoutAttr, outName);
    func.setResultAttr(*out, graph::kInoutAttr, name);
  }
  return true;
}

/// Work for one worker thread at a time: its context is its own.
bool Compilation::compileKernels(ModuleOp m, const Target &target,
                                 const TargetInfo &info,
                                 std::vector<KernelObject> &objects) {
  std::vector<std::string> texts;
  for (auto k : m.getOps<kernel::FuncOp>()) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    k->print(stream, OpPrintingFlags().assumeVerified().useLocalScope());
    texts.push_back(std::move(text));
  }
  objects.resize(texts.size());
  KernelCache cache(info, errors);
  std::atomic<size_t> next{0};
  std::atomic<bool> ok{true};
  unsigned jobs = options.jobs
                      ? options.jobs
                      : llvm::hardware_concurrency().compute_thread_count();
  auto work = [&] {
    MLIRContext own(registry, MLIRContext::Threading::DISABLED);
    own.loadAllAvailableDialects();
    own.getDiagEngine().registerHandler(
        [this](Diagnostic &d) { return report(d); });
    for (size_t i; (i = next++) < texts.size();) {
      if (std::optional<KernelObject> found = cache.find(texts[i])) {
        objects[i] = std::move(*found);
        continue;
      }
      OwningOpRef<ModuleOp> one =
          parseSourceString<ModuleOp>(texts[i], ParserConfig(&own, false));
      FailureOr<KernelObject> object =
          one ? target.compile(*one, info) : FailureOr<KernelObject>(failure());
      if (failed(object)) {
        std::lock_guard<std::mutex> lock(errorMutex);
        errors << "note: while compiling this kernel:\n" << texts[i] << "\n";
        ok = false;
        return;
      }
      cache.keep(texts[i], *object);
      objects[i] = std::move(*object);
    }
  };
  if (jobs <= 1 || texts.size() <= 1) {
    work();
  } else {
    llvm::DefaultThreadPool pool(llvm::hardware_concurrency(jobs));
    for (unsigned i = 0; i < std::min<size_t>(jobs, texts.size()); ++i)
      pool.async(work);
    pool.wait();
  }
  if (options.remarks && cache.enabled())
    errors << "remark: " << cache.found() << " of " << texts.size()
           << " kernels were compiled before\n";
  return ok;
}

/// Makes the kernel compute something else, for tests of what finds that.
static void breakKernel(kernel::FuncOp k) {
  bool done = false;
  k.walk([&](Operation *op) {
    OpBuilder b(op);
    Value other;
    if (isa<arith::AddFOp>(op))
      other = arith::SubFOp::create(b, op->getLoc(), op->getOperand(0),
                                    op->getOperand(1));
    else if (isa<arith::SubFOp, arith::MulFOp, arith::DivFOp, arith::MaximumFOp,
                 arith::MinimumFOp>(op))
      other = arith::AddFOp::create(b, op->getLoc(), op->getOperand(0),
                                    op->getOperand(1));
    else if (op->getDialect()->getNamespace() == "math" &&
             op->getNumResults() == 1)
      other = arith::NegFOp::create(b, op->getLoc(), op->getOperand(0));
    if (!other || done)
      return;
    done = true;
    op->getResult(0).replaceAllUsesWith(other);
  });
}

bool Compilation::compileVariant(StringRef spec, const Target &target,
                                 const TargetInfo &info,
                                 fb::ManifestT &manifest,
                                 std::vector<SmallVector<char, 0>> &codes) {
  OwningOpRef<ModuleOp> variant = module->clone();
  ModuleOp m = *variant;
  // What is work for `init` first: arithmetic on weights, packing them.
  if (options.fuse) {
    graph::moveBytes(m);
    graph::separateWeightMath(m);
  }
  if (options.fuse) {
    graph::multiplyBeforeDequantizing(m, info);
    graph::separateZeroPoints(m, info);
  }
  if (options.fuse && failed(graph::chooseLayouts(m, info)))
    return false;
  graph::hoistInvariants(m);
  if (failed(graph::hoistInit(m)))
    return false;
  if (options.fuse && failed(graph::fuseElementwise(m)))
    return false;
  if (options.fuse) {
    graph::splitReductions(m, info);
    graph::shareByConstants(m);
  }
  if (options.reference)
    graph::addCompareFunctions(m);
  if (failed(graph::outlineKernels(m, info, options.fuse)) || failed(verify(m)))
    return false;
  if (!dump(m, "kernel", spec))
    return false;
  if (options.stage == Stage::kernel) {
    out << m << "\n";
    return true;
  }
  llvm::StringMap<KernelFacts> facts;
  for (auto k : m.getOps<kernel::FuncOp>())
    facts[k.getSymName()].work = kernel::workOf(k);
  kernel::PlanOptions plans;
  plans.refuseEvery = options.refuseEvery;
  for (auto k : llvm::to_vector(m.getOps<kernel::FuncOp>())) {
    SmallVector<kernel::PlanRemark> remarks;
    std::string name = k.getSymName().str();
    plans.reference = graph::isReferenceKernel(name);
    if (!plans.reference && !options.breakKernel.empty() &&
        StringRef(name).contains(options.breakKernel))
      breakKernel(k);
    if (options.tuning)
      options.tuning->setKernel(name);
    if (failed(kernel::planKernel(k, info, plans, remarks)))
      return false;
    for (const kernel::PlanRemark &r : remarks)
      if (!r.declined.empty() && r.tried)
        facts[name].declined.push_back(r.plan + ": " + r.declined);
    if (options.remarks)
      for (const kernel::PlanRemark &r : remarks)
        errors << "remark: " << name << ": " << r.plan << ": "
               << (r.declined.empty() ? "taken" : r.declined)
               << (r.taken == r.plan || r.taken.empty() ? "" : ": " + r.taken)
               << "\n";
  }
  if (options.tuning)
    options.tuning->setKernel("");
  if (failed(verify(m)))
    return false;
  if (options.tuning)
    for (const std::string &text : options.tuning->takeRefused())
      errors << "warning: IST-C0011: " << text << "\n";
  if (!dump(m, "tiled", spec))
    return false;
  if (options.stage == Stage::tiled) {
    out << m << "\n";
    return true;
  }
  if (info.form == kernel::Form::lanes) {
    for (auto k : m.getOps<kernel::FuncOp>())
      if (failed(kernel::distribute(k, info)))
        return false;
    if (failed(verify(m)))
      return false;
  }
  if (!dump(m, "lanes", spec))
    return false;
  if (options.stage == Stage::lanes) {
    out << m << "\n";
    return true;
  }
  std::vector<KernelObject> objects;
  if (!compileKernels(m, target, info, objects))
    return false;
  for (const KernelObject &object : objects) {
    KernelFacts &of = facts[object.name];
    of.errors = object.errors;
    of.usesErrorWord = object.usesErrorWord;
    of.workgroupBytes = object.workgroupBytes;
    of.registers = object.registers;
  }
  auto program = writeProgram(m, info, facts, weights);
  if (failed(program))
    return false;
  if (options.remarks)
    remarkKernels(**program, errors);
  if (options.stage == Stage::program) {
    printProgram(**program, out);
    return true;
  }
  std::string error;
  auto code = target.link(objects, info, error);
  if (failed(code))
    return fail("IST-C0003", error);

  auto v = std::make_unique<fb::VariantT>();
  v->target = info.name;
  v->program = std::move(*program);
  v->format = target.format;
  v->code = "variants/" + std::to_string(manifest.variants.size()) + "/code." +
            target.format;
  auto required = info.requires_;
  if (target.requirements)
    for (auto &[key, value] : target.requirements(*code)) {
      auto same = llvm::find_if(
          required, [&key = key](auto &fact) { return fact.first == key; });
      if (same == required.end())
        required.push_back({key, value});
      else
        same->second += "," + value;
    }
  for (auto &[key, value] : required) {
    auto fact = std::make_unique<fb::FactT>();
    fact->key = key;
    fact->value = value;
    v->facts.push_back(std::move(fact));
  }
  manifest.variants.push_back(std::move(v));
  codes.push_back(std::move(*code));
  return true;
}

bool Compilation::write(fb::ManifestT &manifest,
                        const std::vector<SmallVector<char, 0>> &codes) {
  ArtifactWriter writer;
  std::string error;
  auto failed = [&] { return fail("IST-C0004", error); };
  if (!writer.open(options.output, error))
    return failed();
  // Weights in one member, each at a multiple of 64 bytes.
  static constexpr uint64_t kAlign = 64;
  if (!weights.entries().empty() && !writer.beginMember("weights/0", error))
    return failed();
  llvm::StringMap<std::unique_ptr<llvm::MemoryBuffer>> files;
  for (const WeightTable::Entry &entry : weights.entries()) {
    static const char zeros[kAlign] = {};
    if (uint64_t over = writer.memberSize() % kAlign)
      if (!writer.append(zeros, kAlign - over, error))
        return failed();
    auto w = std::make_unique<fb::WeightT>();
    w->name = entry.name;
    w->member = "weights/0";
    w->offset = writer.memberSize();
    w->bytes = entry.bytes;
    w->dtype = entry.dtype;
    w->dims = entry.dims;
    ArrayRef<uint8_t> bytes(
        reinterpret_cast<const uint8_t *>(entry.data.data()),
        entry.data.size());
    if (!entry.file.empty()) {
      auto &file = files[entry.file];
      if (!file) {
        auto opened = llvm::MemoryBuffer::getFile(
            entry.file, /*IsText=*/false, /*RequiresNullTerminator=*/false);
        if (!opened)
          return fail("IST-C0005", "cannot read weights from " + entry.file +
                                       ": " + opened.getError().message());
        file = std::move(*opened);
      }
      if (entry.offset > file->getBufferSize() ||
          entry.bytes > file->getBufferSize() - entry.offset)
        return fail("IST-C0005",
                    "weight '" + entry.name + "' lies outside " + entry.file);
      bytes = ArrayRef<uint8_t>(
          reinterpret_cast<const uint8_t *>(file->getBufferStart()) +
              entry.offset,
          entry.bytes);
    }
    w->hash = llvm::xxh3_64bits(bytes);
    if (!writer.append(bytes.data(), bytes.size(), error))
      return failed();
    manifest.weights.push_back(std::move(w));
  }
  for (size_t i = 0; i < codes.size(); ++i)
    if (!writer.beginMember(manifest.variants[i]->code, error) ||
        !writer.append(codes[i].data(), codes[i].size(), error))
      return failed();
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::Manifest::Pack(builder, &manifest), "ISTM");
  if (!writer.beginMember("manifest", error) ||
      !writer.append(builder.GetBufferPointer(), builder.GetSize(), error) ||
      !writer.finish(error))
    return failed();
  return true;
}

bool Compilation::run() {
  if (!import())
    return false;
  if (failed(graph::verifySizes(*module)) || !bindStates())
    return false;
  PassManager clean(&context);
  clean.addPass(createCSEPass());
  if (failed(clean.run(*module)))
    return fail("IST-C0006", "cleaning the graph failed");
  if (!dump(*module, "graph"))
    return false;
  if (options.stage == Stage::graph) {
    out << *module << "\n";
    return true;
  }
  fb::ManifestT manifest;
  manifest.version = 1;
  manifest.producer = "isthmus 0.1";
  manifest.model = llvm::sys::path::filename(options.input).str();
  std::vector<SmallVector<char, 0>> codes;
  std::vector<std::string> specs = options.targets;
  if (specs.empty())
    specs.push_back("cpu:native");
  for (const std::string &spec : specs) {
    TargetInfo info;
    std::string error;
    const Target *target = findTarget(spec, info, error);
    if (!target)
      return fail("IST-C0007", error);
    info.tf32 = options.tf32;
    info.tuning = options.tuning;
    if (!compileVariant(spec, *target, info, manifest, codes))
      return false;
  }
  return options.stage == Stage::artifact ? write(manifest, codes) : true;
}

bool isthmus::compile(const CompileOptions &options, llvm::raw_ostream &out,
                      llvm::raw_ostream &errors) {
  return Compilation(options, out, errors).run();
}
