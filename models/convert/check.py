"""Holds a converted EfficientDet-Lite against its TFLite original on frames of a video.

    python check.py lite-model.tflite video.avi efficientdet-lite0.onnx [other.onnx ...]

The original runs in TFLite's own interpreter, its raw outputs are decoded here by the formula of
the box coder, and both sides go through the same threshold and overlap suppression. One row per
ONNX file and mode: how far scores and boxes differ at worst where the original is at least half
of the threshold sure, and how the resulting detections agree.

`exact` is ONNX Runtime with session.x64quantprecision = 1. Without it, x86 CPUs that lack VNNI
multiply 8-bit numbers with sums that saturate; with it (or on ARM, or with VNNI) they do not.
Exits 1 when an exact row falls below the agreement that --agree asks for.
"""

import argparse
import pathlib
import subprocess
import sys
import time

import numpy as np
import onnxruntime
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType

PAD = 127


def frames(video: pathlib.Path, size: int, count: int, every: int):
    """Every n-th frame, letterboxed at the top left, RGB bytes [size, size, 3]."""
    box = f"scale={size}:{size}:force_original_aspect_ratio=decrease:flags=bilinear"
    pad = f"pad={size}:{size}:0:0:color=0x{PAD:02x}{PAD:02x}{PAD:02x}"
    picture = rf"select=not(mod(n\,{every})),{box},format=rgb24,{pad}"
    command = ["ffmpeg", "-v", "error", "-i", video, "-vf", picture, "-fps_mode", "vfr"]
    command += ["-frames:v", str(count), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, size, size, 3)


class Original:
    """The TFLite file in its own interpreter, without XNNPACK: the reference kernels."""

    def __init__(self, path: pathlib.Path):
        self.interpreter = Interpreter(
            str(path),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        self.interpreter.allocate_tensors()
        graph = tflite.Model.GetRootAsModel(path.read_bytes(), 0).Subgraphs(0)
        last = graph.Operators(graph.OperatorsLength() - 1)
        self.encoded, self.scores, self.anchors = (int(i) for i in last.InputsAsNumpy())
        self.input = self.interpreter.get_input_details()[0]

    def __call__(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.interpreter.set_tensor(self.input["index"], frame[None])
        self.interpreter.invoke()
        ty, tx, th, tw = np.moveaxis(self.interpreter.get_tensor(self.encoded)[0], -1, 0)
        ya, xa, ha, wa = self.interpreter.get_tensor(self.anchors).T
        x, y = tx * wa + xa, ty * ha + ya
        w, h = np.exp(tw) * wa / 2, np.exp(th) * ha / 2
        boxes = np.stack([x - w, y - h, x + w, y + h], -1)
        return boxes, self.interpreter.get_tensor(self.scores)[0].copy()


class Converted:
    def __init__(self, path: pathlib.Path, exact: bool):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.x64quantprecision", str(int(exact)))
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self.name = f"{path.name}{' exact' if exact else ''}"
        self.ms = []

    def __call__(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        image = np.ascontiguousarray(frame.transpose(2, 0, 1)[None], np.float32)
        start = time.process_time()
        boxes, scores = self.session.run(["boxes", "scores"], {"image": image})
        self.ms.append((time.process_time() - start) * 1e3)
        return boxes[0], scores[0]


def iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    inside = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return inside / (area - inside)


def detections(boxes, scores, threshold, overlap):
    """Best class per anchor, then suppression within the class: (box, class), surest first."""
    best, sure = scores.argmax(1), scores.max(1)
    kept = []
    for i in np.flatnonzero(sure >= threshold)[np.argsort(-sure[sure >= threshold], kind="stable")]:
        same = np.array([b for b, c in kept if c == best[i]]).reshape(-1, 4)
        if not (iou(boxes[i], same) > overlap).any():
            kept.append((boxes[i], best[i]))
    return kept


def matched(ours, theirs):
    """How many of `theirs` have one of `ours` of the same class at IoU >= 0.5, one to one."""
    free, hits = list(range(len(ours))), 0
    for box, label in theirs:
        rivals = [i for i in free if ours[i][1] == label]
        if not rivals:
            continue
        overlaps = iou(box, np.array([ours[i][0] for i in rivals]))
        if overlaps.max() >= 0.5:
            free.remove(rivals[int(overlaps.argmax())])
            hits += 1
    return hits


def apart(boxes, scores, box, score):
    """How far an anchor is from the row most like it; ours are fewer, in another order."""
    in_box, in_score = np.abs(boxes - box).max(1), np.abs(scores - score).max(1)
    nearest = (in_box + in_score).argmin()
    return in_score[nearest], in_box[nearest]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tflite", type=pathlib.Path)
    parser.add_argument("video", type=pathlib.Path)
    parser.add_argument("onnx", type=pathlib.Path, nargs="+")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--threshold", type=float, default=0.35)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--agree", type=float, default=0.95)
    args = parser.parse_args()

    original = Original(args.tflite)
    pictures = frames(args.video, original.input["shape"][1], args.frames, args.every)
    truth = [original(p) for p in pictures]
    wanted = [detections(*t, args.threshold, args.overlap) for t in truth]
    total = sum(len(w) for w in wanted)
    print(f"{len(pictures)} frames, {total} detections of the original at {args.threshold}")
    print("score diff, box diff: largest; of 1.0 and of the canvas")

    low = 1.0
    for path in args.onnx:
        for exact in (False, True):
            net, score_diff, box_diff, hits, found = Converted(path, exact), 0.0, 0.0, 0, 0
            for picture, (boxes, scores), want in zip(pictures, truth, wanted):
                b, s = net(picture)
                sure = scores.max(1) >= args.threshold / 2
                for box, score in zip(boxes[sure], scores[sure]):
                    in_score, in_box = apart(b, s, box, score)
                    score_diff, box_diff = max(score_diff, in_score), max(box_diff, in_box)
                got = detections(b, s, args.threshold, args.overlap)
                hits, found = hits + matched(got, want), found + len(got)
            recall, precision = hits / max(total, 1), hits / max(found, 1)
            if exact:
                low = min(low, recall, precision)
            print(
                f"{net.name:40} score diff {score_diff:.3f}  box diff {box_diff:.4f}  "
                f"found {recall:.3f} of the original's, {precision:.3f} of ours are its  "
                f"min {min(net.ms):.1f} median {np.median(net.ms):.1f} CPU-ms"
            )
    if low < args.agree:
        print(f"error: agreement {low:.3f} is below {args.agree}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
