//===- Registry.cpp - operators by name and opset ---------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Registry.h"
#include "lib/Import/OnnxImporter.h"

#include "llvm/ADT/StringExtras.h"

#include <algorithm>

using namespace isthmus;

namespace isthmus {
// One per file of Ops/.
void registerAttentionOps(Registry &);
void registerContractionOps(Registry &);
void registerControlOps(Registry &);
void registerConvTransposeOps(Registry &);
void registerConvertOps(Registry &);
void registerCumulativeOps(Registry &);
void registerDeformConvOps(Registry &);
void registerEinsumOps(Registry &);
void registerElementwiseOps(Registry &);
void registerGatherOps(Registry &);
void registerGeluOps(Registry &);
void registerLayerNormOps(Registry &);
void registerLayoutOps(Registry &);
void registerLinearAttentionOps(Registry &);
void registerLoopOps(Registry &);
void registerLossOps(Registry &);
void registerNormalizationOps(Registry &);
void registerPoolOps(Registry &);
void registerQuantizeOps(Registry &);
void registerRandomOps(Registry &);
void registerRecurrentOps(Registry &);
void registerReduceOps(Registry &);
void registerRegionOps(Registry &);
void registerResizeOps(Registry &);
void registerRotaryEmbeddingOps(Registry &);
void registerSampleOps(Registry &);
void registerScanOps(Registry &);
void registerScatterOps(Registry &);
void registerSelectOps(Registry &);
void registerSequenceOps(Registry &);
void registerShapeOps(Registry &);
void registerSignalOps(Registry &);
void registerTrainingOps(Registry &);
void registerUnaryOps(Registry &);
} // namespace isthmus

/// The most inputs that any opset of an operator allows. Those that are not
/// here take any number, or are not of ONNX itself.
static constexpr struct {
  int inputs;
  llvm::StringLiteral ops;
} kMaxInputs[] = {
    {0, "Constant RandomNormal RandomUniform SequenceEmpty"},
    {1, "Abs Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh AveragePool "
        "Bernoulli BitCast BitwiseNot BlackmanWindow Cast Ceil Celu "
        "ConcatFromSequence ConstantOfShape Cos Cosh DepthToSpace Det "
        "DynamicQuantizeLinear Elu Erf Exp EyeLike Flatten Floor Gelu "
        "GlobalAveragePool GlobalLpPool GlobalMaxPool HammingWindow "
        "HannWindow HardSigmoid HardSwish Hardmax Identity If IsInf "
        "IsNaN LRN LeakyRelu Log LogSoftmax LpNormalization LpPool "
        "MaxPool MeanVarianceNormalization Mish Multinomial Neg NonZero "
        "Not Optional OptionalGetElement OptionalHasElement "
        "RandomNormalLike RandomUniformLike Reciprocal Relu Round Selu "
        "SequenceLength Shape Shrink Sigmoid Sign Sin Sinh Size Softmax "
        "Softplus Softsign SpaceToDepth Sqrt Swish Tan Tanh "
        "ThresholdedRelu Transpose Unique"},
    {2, "Add AffineGrid And BitShift BitwiseAnd BitwiseOr BitwiseXor "
        "CastLike CenterCropPad Compress CumProd CumSum Div Equal "
        "Expand Gather GatherElements GatherND Greater GreaterOrEqual "
        "GridSample Less LessOrEqual MatMul MaxRoiPool Mod Mul Or PRelu "
        "Pow RMSNormalization ReduceL1 ReduceL2 ReduceLogSum "
        "ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
        "ReduceSum ReduceSumSquare Reshape ReverseSequence SequenceAt "
        "SequenceErase Split SplitToSequence Squeeze Sub TopK Trilu "
        "Unsqueeze Upsample Xor"},
    {3, "Clip Col2Im Conv ConvTranspose DFT DequantizeLinear Dropout "
        "Gemm GroupNormalization InstanceNormalization "
        "LayerNormalization MaxUnpool NegativeLogLikelihoodLoss OneHot "
        "QuantizeLinear Range RoiAlign Scatter ScatterElements "
        "ScatterND SequenceInsert SoftmaxCrossEntropyLoss TensorScatter "
        "Tile Where"},
    {4, "CausalConvWithState ConvInteger MatMulInteger Pad Resize "
        "RotaryEmbedding STFT"},
    {5, "BatchNormalization DeformConv NonMaxSuppression Slice"},
    {6, "GRU LinearAttention RNN"},
    {7, "Attention"},
    {8, "LSTM QLinearMatMul"},
    {9, "QLinearConv"},
};

const Registry &Registry::get() {
  static const Registry registry = [] {
    Registry r;
    registerAttentionOps(r);
    registerContractionOps(r);
    registerControlOps(r);
    registerConvTransposeOps(r);
    registerConvertOps(r);
    registerCumulativeOps(r);
    registerDeformConvOps(r);
    registerEinsumOps(r);
    registerElementwiseOps(r);
    registerGatherOps(r);
    registerGeluOps(r);
    registerLayerNormOps(r);
    registerLayoutOps(r);
    registerLinearAttentionOps(r);
    registerLoopOps(r);
    registerLossOps(r);
    registerNormalizationOps(r);
    registerPoolOps(r);
    registerQuantizeOps(r);
    registerRandomOps(r);
    registerRecurrentOps(r);
    registerReduceOps(r);
    registerRegionOps(r);
    registerResizeOps(r);
    registerRotaryEmbeddingOps(r);
    registerSampleOps(r);
    registerScanOps(r);
    registerScatterOps(r);
    registerSelectOps(r);
    registerSequenceOps(r);
    registerShapeOps(r);
    registerSignalOps(r);
    registerTrainingOps(r);
    registerUnaryOps(r);
    for (const auto &[inputs, ops] : kMaxInputs)
      for (llvm::StringRef op : llvm::split(ops, ' '))
        r.maxInputs(op, inputs);
    return r;
  }();
  return registry;
}

static std::string key(llvm::StringRef domain, llvm::StringRef op) {
  if (domain == "ai.onnx")
    domain = "";
  return (llvm::Twine(domain) + ":" + op).str();
}

void Registry::add(llvm::StringRef op, int minInputs, OpHandler handler,
                   int64_t since, int64_t until, llvm::StringRef domain) {
  entries[key(domain, op)].push_back({handler, minInputs, since, until});
}

void Registry::takesLists(llvm::StringRef op, llvm::StringRef domain) {
  for (OpEntry &entry : entries[key(domain, op)])
    entry.takesLists = true;
}

void Registry::maxInputs(llvm::StringRef op, int maxInputs) {
  auto it = entries.find(key("", op));
  if (it == entries.end())
    llvm::report_fatal_error("kMaxInputs names " + op + ", which is not there");
  for (OpEntry &entry : it->second) {
    if (entry.maxInputs != std::numeric_limits<int>::max())
      llvm::report_fatal_error("kMaxInputs names " + op + " twice");
    entry.maxInputs = maxInputs;
  }
}

std::vector<std::string> Registry::names() const {
  std::vector<std::string> list;
  for (const auto &entry : entries) {
    auto [domain, op] = entry.getKey().split(':');
    list.push_back(domain.empty() ? op.str() : (domain + "." + op).str());
  }
  std::sort(list.begin(), list.end());
  return list;
}

std::vector<std::string> isthmus::listOnnxOperators() {
  return Registry::get().names();
}

const OpEntry *Registry::find(llvm::StringRef domain, llvm::StringRef op,
                              int64_t opset, bool &otherOpset) const {
  otherOpset = false;
  auto it = entries.find(key(domain, op));
  if (it == entries.end())
    return nullptr;
  for (const OpEntry &entry : it->second)
    if (entry.since <= opset && opset <= entry.until)
      return &entry;
  otherOpset = true;
  return nullptr;
}
