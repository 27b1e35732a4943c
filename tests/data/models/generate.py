#!/usr/bin/env python3
"""Writes the miniature detectors beside this file.

They are real ONNX models with real layouts, but what they "see" is fixed, `colours.onnx` apart: boxes are constants,
and every score is a constant times the mean brightness of the input (0..1). A test can thus tell
that its pixels reached the model: a bright frame shows what is listed in DETECTIONS, a black
one shows nothing.

Needs nothing but Python 3: the few messages of the ONNX format (onnx.proto3, IR version 8) are
written by hand. Run it in this folder; the output is the same on every machine.
"""

import struct
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, HEIGHT = 64, 32
CLASSES = 3
STRIDES = (8, 16, 32)
# Left, top, right, bottom in pixels of the 64x32 canvas, class, score at full brightness.
DETECTIONS = [
    (8.0, 4.0, 24.0, 28.0, 0, 0.9),
    (9.0, 4.0, 25.0, 28.0, 0, 0.8),  # the first one again: suppressed, but not in end_to_end
    (40.0, 8.0, 56.0, 24.0, 1, 0.6),
    (30.0, 2.0, 38.0, 10.0, 2, 0.7),  # a class that tests give no role
]

FLOAT, UINT8, INT64, BOOL = 1, 2, 7, 9


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def integer(field, n):
    return varint(field << 3) + varint(n)


def blob(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(name, dims, values, kind=FLOAT):
    raw = struct.pack(f"<{len(values)}{'f' if kind == FLOAT else 'q'}", *values)
    dims = b"".join(integer(1, d) for d in dims)
    return blob(5, dims + integer(2, kind) + blob(8, name) + blob(9, raw))


def attribute(name, value):
    if isinstance(value, list):
        return blob(5, blob(1, name) + b"".join(integer(8, v) for v in value) + integer(20, 7))
    return blob(5, blob(1, name) + integer(3, value) + integer(20, 2))


def node(op, inputs, outputs, **attributes):
    body = b"".join(blob(1, i) for i in inputs) + b"".join(blob(2, o) for o in outputs)
    body += blob(4, op) + b"".join(attribute(k, v) for k, v in attributes.items())
    return blob(1, body)


def value(field, name, dims, kind=FLOAT):
    shape = b"".join(
        blob(1, integer(1, d) if isinstance(d, int) else blob(2, d)) for d in dims
    )
    return blob(field, blob(1, name) + blob(2, blob(1, integer(1, kind) + blob(2, shape))))


def write(file, body):
    model = integer(1, 8) + blob(2, "lingmou tests") + blob(7, blob(2, "mini") + body)
    (HERE / file).write_bytes(model + blob(8, blob(1, "") + integer(2, 13)))


def brightness(image="image"):
    """Nodes that compute `light`, the input's mean in 0..1."""
    return (
        tensor("one_255th", [], [1 / 255])
        + node("ReduceMean", [image], ["mean"], axes=[0, 1, 2, 3], keepdims=0)
        + node("Mul", ["mean", "one_255th"], ["light"])
    )


def lit(name, dims, still, glowing):
    """Nodes that compute `name` = still + glowing * light."""
    return (
        tensor(f"{name}_still", dims, still)
        + tensor(f"{name}_glowing", dims, glowing)
        + node("Mul", [f"{name}_glowing", "light"], [f"{name}_lit"])
        + node("Add", [f"{name}_still", f"{name}_lit"], [name])
    )


def image(dims=(1, 3, HEIGHT, WIDTH), kind=FLOAT):
    return value(11, "image", dims, kind)


def efficientdet(file, dims=(1, 3, HEIGHT, WIDTH), kind=FLOAT):
    n = len(DETECTIONS)
    boxes, scores = [], []
    for x0, y0, x1, y1, c, score in DETECTIONS:
        boxes += [x0 / WIDTH, y0 / HEIGHT, x1 / WIDTH, y1 / HEIGHT]
        scores += [score if i == c else 0.0 for i in range(CLASSES)]
    cast = node("Cast", ["image"], ["floats"], to=FLOAT) if kind != FLOAT else b""
    write(
        file,
        image(dims, kind)
        + cast
        + brightness("floats" if cast else "image")
        + tensor("fixed", [1, n, 4], boxes)
        + node("Identity", ["fixed"], ["boxes"])
        + lit("scores", [1, n, CLASSES], [0.0] * len(scores), scores)
        + value(12, "boxes", (1, n, 4))
        + value(12, "scores", (1, n, CLASSES)),
    )


def yolox(file):
    from math import log

    still, glowing = [], []
    pending = list(DETECTIONS)
    for s in STRIDES:
        for gy in range(HEIGHT // s):
            for gx in range(WIDTH // s):
                row = [0.0] * (5 + CLASSES)
                glow = [0.0] * (5 + CLASSES)
                if pending and s == STRIDES[0]:
                    x0, y0, x1, y1, c, score = pending.pop(0)
                    row[0] = (x0 + x1) / 2 / s - gx
                    row[1] = (y0 + y1) / 2 / s - gy
                    row[2] = log((x1 - x0) / s)
                    row[3] = log((y1 - y0) / s)
                    row[5 + c] = 1.0
                    glow[4] = score
                still += row
                glowing += glow
    dims = (1, len(still) // (5 + CLASSES), 5 + CLASSES)
    write(file, image() + brightness() + lit("output", dims, still, glowing) + value(12, "output", dims))


def centred():
    return [((a + c) / 2, (b + d) / 2, c - a, d - b, k, s) for a, b, c, d, k, s in DETECTIONS]


def yolo_rows(file):
    still, glowing = [], []
    for x, y, w, h, c, score in centred():
        still += [x, y, w, h, 0.0] + [1.0 if i == c else 0.0 for i in range(CLASSES)]
        glowing += [0.0] * 4 + [score] + [0.0] * CLASSES
    dims = (1, len(DETECTIONS), 5 + CLASSES)
    write(file, image() + brightness() + lit("output", dims, still, glowing) + value(12, "output", dims))


def yolo_columns(file):
    n = len(DETECTIONS)
    still = [d[i] for i in range(4) for d in centred()] + [0.0] * (CLASSES * n)
    glowing = [0.0] * (4 * n)
    glowing += [d[5] if d[4] == c else 0.0 for c in range(CLASSES) for d in DETECTIONS]
    dims = (1, 4 + CLASSES, n)
    write(file, image() + brightness() + lit("output", dims, still, glowing) + value(12, "output", dims))


def end_to_end(file):
    """As many rows as there are scores above 0.01: none for a black frame."""
    still, glowing = [], []
    for x0, y0, x1, y1, c, score in DETECTIONS:
        still += [x0, y0, x1, y1, 0.0, float(c)]
        glowing += [0.0] * 4 + [score, 0.0]
    dims = (len(DETECTIONS), 6)
    write(
        file,
        image()
        + brightness()
        + lit("rows", dims, still, glowing)
        + tensor("column", [], [4], INT64)
        + tensor("least", [], [0.01])
        + node("Gather", ["rows", "column"], ["score"], axis=1)
        + node("Greater", ["score", "least"], ["found"])
        + node("Compress", ["rows", "found"], ["output"], axis=0)
        + value(12, "output", ("found", 6)),
    )


# Class by class: is there red, green, blue in it?
COLOURS = [
    (1, 0, 0),  # red: a truck
    (0, 1, 0),  # green: goods
    (0, 0, 1),  # blue: a person
    (1, 1, 0),  # yellow: a plate
    (1, 0, 1),  # magenta: debris
    (0, 1, 1),  # cyan: a tricycle
]
COLOURS_WIDTH, COLOURS_HEIGHT = 256, 192
# A row or column of pixels has the colour when so many of its pixels have it.
ENOUGH = 3


def channel(name, index):
    """Nodes that compute `name`_much and `name`_little, [1, 1, H, W], of channel `index`."""
    return (
        tensor(f"{name}_index", [1], [index], INT64)
        + node("Gather", ["image", f"{name}_index"], [name], axis=1)
        + node("Greater", [name, "bright"], [f"{name}_much"])
        + node("Less", [name, "dark"], [f"{name}_little"])
    )


def edge(name, line, length):
    """Nodes that compute the first and the last place, [1] each, at which `line` is true."""
    return (
        node("Cast", [line], [f"{name}_there"], to=FLOAT)
        + node("ArgMax", [f"{name}_there"], [f"{name}_from_int"], axis=0, keepdims=1)
        + node("Cast", [f"{name}_from_int"], [f"{name}_from"], to=FLOAT)
        + node("Slice", [f"{name}_there", "last", "before_first", "axis", "back"], [f"{name}_turned"])
        + node("ArgMax", [f"{name}_turned"], [f"{name}_left_int"], axis=0, keepdims=1)
        + node("Cast", [f"{name}_left_int"], [f"{name}_left"], to=FLOAT)
        + tensor(f"{name}_length", [1], [float(length)])
        + node("Sub", [f"{name}_length", f"{name}_left"], [f"{name}_to"])
    )


def colours(file):
    """The one that really looks: of each class the box round everything that has its colour."""
    body = (
        tensor("bright", [], [150.0])
        + tensor("dark", [], [90.0])
        + tensor("last", [1], [-1], INT64)
        + tensor("before_first", [1], [-(2**31)], INT64)
        + tensor("axis", [1], [0], INT64)
        + tensor("back", [1], [-1], INT64)
        + tensor("enough_of_column", [], [(ENOUGH - 0.5) / COLOURS_HEIGHT])
        + tensor("enough_of_row", [], [(ENOUGH - 0.5) / COLOURS_WIDTH])
        + tensor("sure", [1], [0.9])
        + tensor("column", [], [4], INT64)
        + tensor("least", [], [0.01])
        + tensor("shape", [2], [len(COLOURS), 6], INT64)
    )
    for index, name in enumerate("rgb"):
        body += channel(name, index)
    rows = []
    for k, colour in enumerate(COLOURS):
        c = f"class{k}"
        r, g, b = (f"{n}_{'much' if there else 'little'}" for n, there in zip("rgb", colour))
        body += node("And", [r, g], [f"{c}_two"]) + node("And", [f"{c}_two", b], [f"{c}_pixels"])
        body += node("Cast", [f"{c}_pixels"], [f"{c}_ones"], to=FLOAT)
        for side, axes, length in (("x", [0, 1, 2], COLOURS_WIDTH), ("y", [0, 1, 3], COLOURS_HEIGHT)):
            line = f"{c}_{side}"
            enough = "enough_of_column" if side == "x" else "enough_of_row"
            body += node("ReduceMean", [f"{c}_ones"], [f"{line}_share"], axes=axes, keepdims=0)
            body += node("Greater", [f"{line}_share", enough], [f"{line}_line"])
            body += edge(line, f"{line}_line", length)
        body += node("ReduceMax", [f"{c}_x_there"], [f"{c}_found"], axes=[0], keepdims=1)
        body += node("Mul", [f"{c}_found", "sure"], [f"{c}_score"])
        body += tensor(f"{c}_class", [1], [float(k)])
        rows += [f"{c}_x_from", f"{c}_y_from", f"{c}_x_to", f"{c}_y_to", f"{c}_score", f"{c}_class"]
    write(
        file,
        image((1, 3, COLOURS_HEIGHT, COLOURS_WIDTH))
        + body
        + node("Concat", rows, ["flat"], axis=0)
        + node("Reshape", ["flat", "shape"], ["rows"])
        + node("Gather", ["rows", "column"], ["score"], axis=1)
        + node("Greater", ["score", "least"], ["certain"])
        + node("Compress", ["rows", "certain"], ["output"], axis=0)
        + value(12, "output", ("found", 6)),
    )


def unknown_operator(file):
    write(
        file,
        image()
        + node("Frobnicate", ["image"], ["output"])
        + value(12, "output", (1, 3, HEIGHT, WIDTH)),
    )


efficientdet("efficientdet.onnx")
efficientdet("dynamic_input.onnx", (1, 3, "height", "width"))
efficientdet("byte_input.onnx", kind=UINT8)
yolox("yolox.onnx")
yolo_rows("yolo_rows.onnx")
yolo_columns("yolo_columns.onnx")
end_to_end("end_to_end.onnx")
colours("colours.onnx")
unknown_operator("unknown_operator.onnx")
(HERE / "text.onnx").write_text(
    "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4593211\n"
)
