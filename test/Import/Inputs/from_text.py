"""from_text.py FILE...: ONNX's text form to FILE.onnx."""

import sys

import onnx

for path in sys.argv[1:]:
    with open(path) as f:
        onnx.save(onnx.parser.parse_model(f.read()), path + ".onnx")
