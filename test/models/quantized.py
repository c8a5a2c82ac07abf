"""A model in bytes, as ONNX Runtime's quantizer makes it."""

import os

import onnx
from onnx import version_converter


def convert(source, feeds, folder, dynamic):
    """The path of the model at `source` with weights in 8 bits, a scale a channel.

    dynamic: DynamicQuantizeLinear and MatMulInteger, scales found on every call.
    Else QuantizeLinear and DequantizeLinear around operations, with the ranges
    that `feeds`, a list of {input: array}, show.
    """
    path = os.path.join(folder, "model.onnx")
    if os.path.exists(path) and os.path.getmtime(path) > max(map(os.path.getmtime, (source, __file__))):
        return path
    import onnxruntime
    from onnxruntime import quantization as q

    model = onnx.load(source)
    if model.opset_import[0].version < 13:  # scales a channel
        model = version_converter.convert_version(model, 13)
    whole, folded = os.path.join(folder, "whole.onnx"), os.path.join(folder, "folded.onnx")
    onnx.save(model, whole)
    # Batch norms folded into convolutions, transposed weights into weights.
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    settings.optimized_model_filepath = folded
    onnxruntime.InferenceSession(whole, settings, providers=["CPUExecutionProvider"])
    if dynamic:
        q.quantize_dynamic(folded, path + ".part", per_channel=True, weight_type=q.QuantType.QInt8)
    else:
        class Reader(q.CalibrationDataReader):
            rest = iter(feeds)

            def get_next(self):
                return next(self.rest, None)

        q.quantize_static(folded, path + ".part", Reader(), quant_format=q.QuantFormat.QDQ, per_channel=True,
                          activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8)
    os.unlink(whole)
    os.unlink(folded)
    os.rename(path + ".part", path)
    return path
