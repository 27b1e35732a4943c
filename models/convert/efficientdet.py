"""EfficientDet-Lite, int8 TFLite, to ONNX with quantise/dequantise pairs and decoded boxes.

    python efficientdet.py lite-model.tflite efficientdet-lite0.onnx

The network stays what it was: the same int8 weights, the same int32 biases, the same scale and
zero point on every tensor, written as the QuantizeLinear/DequantizeLinear pairs from which ONNX
Runtime (and other runtimes that read QDQ) makes int8 kernels. What changes:

* layout: NHWC to NCHW, the order ONNX convolutions take;
* input `image` f32 [1, 3, H, W]: RGB, 0..255, as it comes from the letterbox;
* the TFLite custom operation that decodes anchors and suppresses overlaps becomes plain ONNX
  arithmetic for the decoding, and nothing for the suppression: thresholds belong to the card;
* of all anchors the N surest go out, by their best class; boxes and probabilities of the others
  are never computed, nor is there room for them;
* output `boxes` f32 [1, N, 4]: x0, y0, x1, y1 as fractions of the input's width and height;
* output `scores` f32 [1, N, C]: one probability per class, class i = COCO id - 1.

Only what EfficientDet-Lite uses is translated. Anything else is refused by name, because a
converter that guesses makes a detector that is subtly wrong.

The same input gives the same bytes: no time, no path and no version of a library is written.
"""

import argparse
import hashlib
import pathlib
import sys

import numpy as np
import onnx
import tflite
from flatbuffers import flexbuffers
from onnx import TensorProto, helper, numpy_helper

# Opset 13 is the first with per-channel DequantizeLinear; every runtime in the field reads it.
OPSET = 13
IR_VERSION = 8
# Anchors that go out. Lite0 has 19,206, of which a busy street brings some hundreds to half of the
# card's threshold; the program compares at most 1,024 boxes of a frame with one another.
SUREST = 2048

DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.INT8: np.int8,
    tflite.TensorType.UINT8: np.uint8,
}
OPERATORS = {
    code: name
    for name, code in vars(tflite.BuiltinOperator).items()
    if isinstance(code, int)
}


class Unsupported(Exception):
    """The TFLite file holds something this converter does not translate."""


class Source:
    """The TFLite file: its operators in order, and its tensors by number."""

    def __init__(self, content: bytes):
        if content[4:8] != b"TFL3":
            raise Unsupported("not a TFLite file (no TFL3 mark)")
        self.model = tflite.Model.GetRootAsModel(content, 0)
        if self.model.SubgraphsLength() != 1:
            raise Unsupported(f"{self.model.SubgraphsLength()} subgraphs, expected 1")
        self.graph = self.model.Subgraphs(0)

    def operators(self):
        """Yields (name, operator) in execution order."""
        for i in range(self.graph.OperatorsLength()):
            op = self.graph.Operators(i)
            code = self.model.OperatorCodes(op.OpcodeIndex())
            # Codes above 127 live in the newer field, the others in both.
            yield OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())], op

    def shape(self, index: int) -> list[int]:
        return [int(n) for n in self.graph.Tensors(index).ShapeAsNumpy()]

    def constant(self, index: int) -> np.ndarray:
        """The values of a constant tensor (weights, biases, anchors, sizes)."""
        tensor = self.graph.Tensors(index)
        data = self.model.Buffers(tensor.Buffer())
        if data.DataLength() == 0:
            raise Unsupported(f"tensor {tensor.Name()!r} should be a constant and is not")
        dtype = DTYPES[tensor.Type()]
        return np.frombuffer(data.DataAsNumpy().tobytes(), dtype).reshape(self.shape(index))

    def quantisation(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Scales and zero points: one of each, or one per output channel."""
        tensor = self.graph.Tensors(index)
        q = tensor.Quantization()
        if q is None or q.ScaleLength() == 0:
            raise Unsupported(f"tensor {tensor.Name()!r} is not quantised")
        return q.ScaleAsNumpy().astype(np.float32), q.ZeroPointAsNumpy().astype(np.int64)


class Target:
    """The ONNX graph in the making: nodes and constants with counted, stable names."""

    def __init__(self):
        self.nodes = []
        self.constants = []
        self.known: dict[tuple, str] = {}

    def constant(self, value: np.ndarray) -> str:
        """Stores a constant; single numbers (scales, zero points) are stored once.

        Arrays are not shared, although the five levels of the pyramid share theirs: ONNX Runtime
        1.31 on x86 rewrites weights and their zero points in place (session.x64quantprecision)
        and then fails to load a model in which two convolutions name the same array.
        """
        value = np.asarray(value, order="C")
        key = (value.dtype.str, value.shape, value.tobytes())
        if value.ndim > 0 or key not in self.known:
            self.known[key] = f"c{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(value, self.known[key]))
        return self.known[key]

    def node(self, kind: str, inputs: list[str], output: str | None = None, **attributes) -> str:
        name = f"{kind}_{len(self.nodes)}"
        output = output or name
        self.nodes.append(helper.make_node(kind, inputs, [output], name, **attributes))
        return output


class Converter:
    def __init__(self, source: Source):
        self.source = source
        self.target = Target()
        # TFLite tensor number -> name of the ONNX value that holds it, dequantised, NCHW.
        self.values: dict[int, str] = {}
        # The same tensors -> name of the uint8 value before it is dequantised.
        self.integers: dict[int, str] = {}
        # Tensor of probabilities -> tensor of logits; tensor of reals -> tensor of integers.
        self.logits: dict[int, int] = {}
        self.origin: dict[int, int] = {}
        self.surest = self.classes = 0

    def run(self) -> None:
        steps = {
            "QUANTIZE": self.image,
            "CONV_2D": self.convolution,
            "DEPTHWISE_CONV_2D": self.depthwise,
            "ADD": self.add,
            "MAX_POOL_2D": self.max_pool,
            "RESIZE_NEAREST_NEIGHBOR": self.resize,
            "RESHAPE": self.reshape,
            "CONCATENATION": self.concatenation,
            "LOGISTIC": self.logistic,
            "DEQUANTIZE": self.dequantize,
            "CUSTOM": self.detections,
        }
        for name, op in self.source.operators():
            if name not in steps:
                raise Unsupported(f"operator {name}")
            inputs = [int(i) for i in op.InputsAsNumpy()]
            outputs = [int(i) for i in op.OutputsAsNumpy()]
            steps[name](op, inputs, outputs[0])

    # -- quantisation ------------------------------------------------------------------------

    def quantised(self, value: str, index: int) -> str:
        """Rounds a value to what tensor `index` can hold: a quantise/dequantise pair.

        TFLite's activations are int8, these are uint8, both numbers and zero point 128 higher:
        the same reals. ONNX Runtime on x86 has kernels for uint8 activations only; of an int8
        graph it moves some tensors to uint8 itself and leaves 58 of 182 convolutions in f32.
        """
        q = self.target.node("QuantizeLinear", [value, *self.pair(index)])
        self.integers[index] = q
        return self.dequantised(q, index)

    def dequantised(self, integers: str, index: int) -> str:
        """The reals of integers that tensor `index` holds, or of some of them."""
        return self.target.node("DequantizeLinear", [integers, *self.pair(index)])

    def pair(self, index: int) -> list[str]:
        """Scale and zero point of tensor `index`, as uint8 has it."""
        scale, zero = self.source.quantisation(index)
        return [self.target.constant(scale[0]), self.target.constant(np.uint8(zero[0] + 128))]

    def weight(self, index: int, order: tuple[int, ...]) -> tuple[str, list[int]]:
        """An int8 weight in ONNX order, stored as int8, one scale per output channel."""
        values = self.source.constant(index).transpose(order)
        scale, zero = self.source.quantisation(index)
        if zero.any():
            raise Unsupported("a weight with a zero point other than 0")
        if scale.size != values.shape[0]:
            raise Unsupported("a weight that is not quantised per output channel")
        parts = [values, scale, np.zeros(scale.size, np.int8)]
        inputs = [self.target.constant(p) for p in parts]
        return self.target.node("DequantizeLinear", inputs, axis=0), list(values.shape)

    def bias(self, index: int) -> str:
        """An int32 bias; its scale is the input's times the weight's, channel by channel."""
        values = self.source.constant(index)
        scale, _ = self.source.quantisation(index)
        parts = [values, scale, np.zeros(scale.size, np.int32)]
        return self.target.node("DequantizeLinear", [self.target.constant(p) for p in parts], axis=0)

    def clamp_is_implied(self, activation: int, index: int) -> None:
        """A fused ReLU6 needs no node when the output's int8 range is exactly 0..6 or less."""
        if activation == tflite.ActivationFunctionType.NONE:
            return
        if activation != tflite.ActivationFunctionType.RELU6:
            raise Unsupported(f"fused activation {activation}")
        scale, zero = self.source.quantisation(index)
        low, high = (-128 - zero[0]) * scale[0], (127 - zero[0]) * scale[0]
        if low < 0.0 or high > 6.0 + scale[0] / 2:
            raise Unsupported(f"ReLU6 on a tensor that holds {low:.2f}..{high:.2f}")

    def same_integers(self, inputs: list[int], output: int) -> None:
        """Operators that only move numbers about must not change their meaning."""
        for index in inputs:
            for a, b in zip(self.source.quantisation(index), self.source.quantisation(output)):
                if not np.array_equal(a, b):
                    raise Unsupported("a moved tensor that changes its scale")

    # -- geometry ----------------------------------------------------------------------------

    def window(self, options, index: int, kernel: list[int]) -> dict:
        """Kernel, strides and pads. TFLite's SAME pads the odd pixel at the end."""
        strides = [options.StrideH(), options.StrideW()]
        pads = [0, 0, 0, 0]
        if options.Padding() == tflite.Padding.SAME:
            for axis, size in enumerate(self.source.shape(index)[1:3]):
                steps = -(-size // strides[axis])
                total = max((steps - 1) * strides[axis] + kernel[axis] - size, 0)
                pads[axis], pads[axis + 2] = total // 2, total - total // 2
        return {"kernel_shape": kernel, "strides": strides, "pads": pads}

    # -- operators ---------------------------------------------------------------------------

    def image(self, op, inputs, output) -> None:
        """The first operator: pixels 0..255 to bytes.

        A byte is the pixel itself, so quantising has scale 1 and zero point 0. The dequantise
        that follows reads the same byte with the network's own scale and zero point, which
        makes it (pixel - 127) / 128: normalisation without a pass over the image.
        """
        if self.values:
            raise Unsupported("QUANTIZE anywhere but at the input")
        self.size = self.source.shape(inputs[0])[1:3]
        (scale_in,), (zero_in,) = self.source.quantisation(inputs[0])
        (scale,), (zero,) = self.source.quantisation(output)
        if scale_in != scale or zero_in != zero + 128:
            raise Unsupported("an input quantised in another way than uint8 to int8, same scale")
        to_byte = [self.target.constant(np.float32(1.0)), self.target.constant(np.uint8(0))]
        to_real = [self.target.constant(scale), self.target.constant(np.uint8(zero_in))]
        q = self.target.node("QuantizeLinear", ["image", *to_byte])
        self.values[output] = self.target.node("DequantizeLinear", [q, *to_real])

    def convolution(self, op, inputs, output) -> None:
        options = tflite.Conv2DOptions()
        # TFLite weights: output, height, width, input.
        self.any_convolution(op, options, (0, 3, 1, 2), inputs, output)

    def depthwise(self, op, inputs, output) -> None:
        options = tflite.DepthwiseConv2DOptions()
        # TFLite weights: 1, height, width, channel; ONNX has the channel first, 1 input each.
        self.any_convolution(op, options, (3, 0, 1, 2), inputs, output)

    def any_convolution(self, op, options, order, inputs, output) -> None:
        options.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
        if options.DilationHFactor() != 1 or options.DilationWFactor() != 1:
            raise Unsupported("a dilated convolution")
        self.clamp_is_implied(options.FusedActivationFunction(), output)
        weight, shape = self.weight(inputs[1], order)
        channels = self.source.shape(inputs[0])[3]
        y = self.target.node(
            "Conv",
            [self.values[inputs[0]], weight, self.bias(inputs[2])],
            group=channels // shape[1],
            **self.window(options, inputs[0], shape[2:]),
        )
        self.values[output] = self.quantised(y, output)

    def add(self, op, inputs, output) -> None:
        options = tflite.AddOptions()
        options.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
        self.clamp_is_implied(options.FusedActivationFunction(), output)
        y = self.target.node("Add", [self.values[i] for i in inputs])
        self.values[output] = self.quantised(y, output)

    def max_pool(self, op, inputs, output) -> None:
        options = tflite.Pool2DOptions()
        options.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
        self.clamp_is_implied(options.FusedActivationFunction(), output)
        self.same_integers(inputs, output)
        kernel = [options.FilterHeight(), options.FilterWidth()]
        y = self.target.node(
            "MaxPool", [self.values[inputs[0]]], **self.window(options, inputs[0], kernel)
        )
        self.values[output] = self.quantised(y, output)

    def resize(self, op, inputs, output) -> None:
        options = tflite.ResizeNearestNeighborOptions()
        options.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
        if options.AlignCorners() or options.HalfPixelCenters():
            raise Unsupported("nearest-neighbour resize other than floor(i * in / out)")
        self.same_integers(inputs[:1], output)
        height, width = (int(n) for n in self.source.constant(inputs[1]))
        sizes = np.array([1, self.source.shape(inputs[0])[3], height, width], np.int64)
        y = self.target.node(
            "Resize",
            [self.values[inputs[0]], "", "", self.target.constant(sizes)],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        self.values[output] = self.quantised(y, output)

    def reshape(self, op, inputs, output) -> None:
        """[1, H, W, anchors * k] to [1, H * W * anchors, k]: channels last again, then flat."""
        self.same_integers(inputs[:1], output)
        shape = np.array(self.source.shape(output), np.int64)
        y = self.target.node("Transpose", [self.values[inputs[0]]], perm=[0, 2, 3, 1])
        y = self.target.node("Reshape", [y, self.target.constant(shape)])
        self.values[output] = self.quantised(y, output)

    def concatenation(self, op, inputs, output) -> None:
        options = tflite.ConcatenationOptions()
        options.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
        self.same_integers(inputs, output)
        y = self.target.node("Concat", [self.values[i] for i in inputs], axis=options.Axis())
        self.values[output] = self.quantised(y, output)

    def logistic(self, op, inputs, output) -> None:
        """Put off: only the surest anchors' probabilities are computed, in `detections`."""
        self.logits[output] = inputs[0]

    def dequantize(self, op, inputs, output) -> None:
        """Put off likewise: what it gives only `detections` may ask for."""
        self.origin[output] = inputs[0]

    def detections(self, op, inputs, output) -> None:
        """TFLite_Detection_PostProcess, its decoding half.

        The sigmoid rises with what goes in, so the anchors whose best logit is largest are those
        whose best probability is, and rows are picked before anything is computed of them.

        Faster R-CNN box coder, as TensorFlow's object detection library writes it: with anchor
        centre (xa, ya) and size (wa, ha), all as fractions of the picture,
            x = tx / x_scale * wa + xa        w = exp(tw / w_scale) * wa
        and the same for y and h. The network gives (ty, tx, th, tw), anchors are (y, x, h, w).
        """
        options = flexbuffers.Loads(bytearray(op.CustomOptionsAsNumpy()))
        encoded, probabilities = (self.origin[i] for i in inputs[:2])
        logits = self.logits[probabilities]
        anchor = self.source.constant(inputs[2]).astype(np.float32)
        count, self.classes = self.source.shape(logits)[1:]
        self.surest = min(SUREST, count)
        scale_xy = np.array([options["x_scale"], options["y_scale"]], np.float32)
        scale_wh = np.array([options["w_scale"], options["h_scale"]], np.float32)

        t = self.target

        best = t.node("ReduceMax", [self.integers[logits]], axes=[2], keepdims=0)
        best = self.dequantised(best, logits)
        wanted = t.constant(np.array([self.surest], np.int64))
        t.nodes.append(helper.make_node("TopK", [best, wanted], ["best", "rows"], "TopK", axis=1))
        flat = t.constant(np.array([self.surest], np.int64))
        rows = t.node("Reshape", ["rows", flat])

        def picked(integers, index):
            return self.dequantised(t.node("Gather", [integers, rows], axis=1), index)

        def columns(value, numbers):
            return t.node("Gather", [value, t.constant(np.array(numbers, np.int64))], axis=2)

        code = picked(self.integers[encoded], encoded)
        places = t.node("Gather", [t.constant(anchor[None]), rows], axis=1)
        centre, size = columns(places, [1, 0]), columns(places, [3, 2])
        offset = t.node("Mul", [t.node("Div", [columns(code, [1, 0]), t.constant(scale_xy)]), size])
        middle = t.node("Add", [offset, centre])
        power = t.node("Div", [columns(code, [3, 2]), t.constant(scale_wh)])
        whole = t.node("Mul", [t.node("Exp", [power]), size])
        half = t.node("Mul", [whole, t.constant(np.float32(0.5))])
        corners = [t.node("Sub", [middle, half]), t.node("Add", [middle, half])]
        t.node("Concat", corners, "boxes", axis=2)
        y = t.node("Sigmoid", [picked(self.integers[logits], logits)])
        t.node("Identity", [self.quantised(y, probabilities)], "scores")

    # -- result ------------------------------------------------------------------------------

    def asked_for(self) -> list:
        """The nodes that lead to an output. What nobody reads a runtime computes all the same."""
        wanted, nodes = {"boxes", "scores"}, []
        for node in reversed(self.target.nodes):
            if wanted & set(node.output):
                wanted.update(node.input)
                nodes.append(node)
        return nodes[::-1]

    def model(self, name: str, origin: dict[str, str]) -> onnx.ModelProto:
        height, width = self.size

        def value(label, shape):
            return helper.make_tensor_value_info(label, TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self.asked_for(),
            name,
            [value("image", [1, 3, height, width])],
            [
                value("boxes", [1, self.surest, 4]),
                value("scores", [1, self.surest, self.classes]),
            ],
            self.target.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        model.producer_name = "lingmou models/convert"
        helper.set_model_props(model, origin)
        onnx.checker.check_model(model, full_check=True)
        return model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tflite", type=pathlib.Path)
    parser.add_argument("onnx", type=pathlib.Path)
    parser.add_argument("--name", default="efficientdet-lite0")
    args = parser.parse_args()

    content = args.tflite.read_bytes()
    try:
        converter = Converter(Source(content))
        converter.run()
    except Unsupported as why:
        print(f"error: {args.tflite}: {why}", file=sys.stderr)
        return 1
    origin = {
        "licence": "Apache-2.0",
        "converted_from_sha256": hashlib.sha256(content).hexdigest(),
    }
    data = converter.model(args.name, origin).SerializeToString(deterministic=True)
    args.onnx.write_bytes(data)
    print(f"{args.onnx}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
