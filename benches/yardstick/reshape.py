"""Gives a YOLOX model another input size: reshape.py FROM TO HEIGHT WIDTH.

The network is convolutional and its reshapes leave the number of cells open, so only the declared
shapes change.
"""

import sys

import onnx

source, target, height, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
model = onnx.load(source)
image = model.graph.input[0].type.tensor_type.shape.dim
image[2].dim_value, image[3].dim_value = height, width
cells = sum((height // stride) * (width // stride) for stride in (8, 16, 32))
model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = cells
del model.graph.value_info[:]
onnx.checker.check_model(model)
onnx.save(model, target)
