"""Engines whose answer is known, and a tiny graph that keeps the graph contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import EngineSpec, Provenance


def make_camera(
    width: int = 64,
    height: int = 48,
    focal: float = 103.7,
    baseline: float = 0.12,
    offset: float = 0.0,
) -> StereoCamera:
    """A pair whose principal point is off centre, so that sign and axis mix-ups show."""
    cx, cy = width / 2 + 1.25, height / 2 - 2.5
    return StereoCamera(width, height, focal, focal, cx, cy, cx - offset, baseline)


def encode(disparity: np.ndarray, confidence: np.ndarray | float = 1.0) -> np.ndarray:
    """An image that tells `EncodedEngine` its answer: quarter px in red, confidence in green."""
    image = np.zeros((*np.shape(disparity), 3), np.uint8)
    image[..., 0] = np.rint(np.asarray(disparity) * 4)
    image[..., 1] = np.rint(np.asarray(confidence) * 255)
    return image


class _Recording:
    """What all fakes share: a spec and the pairs they were given."""

    def __init__(
        self,
        width: int | None = None,
        height: int | None = None,
        max_disparity: float | None = None,
    ) -> None:
        self.spec = EngineSpec(
            "fake", "none", height, width, max_disparity, "float32", "none", Provenance("a test")
        )
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []

    def infer(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert left.shape == right.shape
        assert left.dtype == right.dtype == np.uint8
        if self.spec.width is not None:
            assert left.shape == (self.spec.height, self.spec.width, 3)
        self.pairs.append((left.copy(), right.copy()))
        disparity, confidence = self.answer(left)
        return disparity.astype(np.float32), confidence.astype(np.float32)

    def answer(self, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def close(self) -> None:
        pass


class FixedEngine(_Recording):
    """Answers one disparity, in px of its input, and one confidence for every pixel."""

    def __init__(
        self,
        disparity: float,
        width: int | None = None,
        height: int | None = None,
        max_disparity: float | None = None,
    ) -> None:
        super().__init__(width, height, max_disparity)
        self.disparity = disparity

    def answer(self, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(left.shape[:2], self.disparity), np.ones(left.shape[:2])


class TrueEngine(_Recording):
    """Answers the given truth of an image; columns added at its left raise every disparity."""

    def __init__(self, disparity: np.ndarray, confidence: np.ndarray | float = 1.0) -> None:
        super().__init__()
        self.disparity = np.asarray(disparity, np.float32)
        self.confidence = np.broadcast_to(np.float32(confidence), self.disparity.shape)

    def answer(self, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        added = left.shape[1] - self.disparity.shape[1]
        disparity = self.disparity + np.float32(added)
        assert np.nanmin(disparity) >= 0, "an engine finds no negative disparity"
        border = ((0, 0), (added, 0))
        return np.pad(disparity, border), np.pad(self.confidence, border)


class EncodedEngine(_Recording):
    """Answers what `encode` put into the left image, as the graph of `save_graph` does."""

    def answer(self, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return left[..., 0] / np.float32(4), left[..., 1] / np.float32(255)


METADATA = {"network": "encoded", "max_disparity": "64", "precision": "fp32"}


def save_graph(
    path: Path,
    width: int = 16,
    height: int = 12,
    inputs: tuple[str, str] = ("left", "right"),
    image_type: str = "UINT8",
    image_shape: tuple[int | str, ...] | None = None,
    outputs: tuple[str, str] = ("disparity", "confidence"),
    output_type: str = "FLOAT",
    trailing_axis: bool = False,
    metadata: dict[str, str] = METADATA,
    prior: tuple[str, ...] = (),
    prior_type: str = "FLOAT",
    prior_shape: tuple[int, ...] | None = None,
) -> Path:
    """Write an ONNX graph of the answers of `EncodedEngine`; the options break its contract.

    With inputs named ``prior`` it adds the first to the disparity, and its confidence is that of
    the last where this is the larger.
    """
    from onnx import TensorProto, checker, helper, save

    kind, answer_kind = getattr(TensorProto, image_type), getattr(TensorProto, output_type)
    index_shape = [1] if trailing_axis else []
    constants = [
        helper.make_tensor("red", TensorProto.INT64, index_shape, [0]),
        helper.make_tensor("green", TensorProto.INT64, index_shape, [1]),
        helper.make_tensor("quarter", TensorProto.FLOAT, [], [0.25]),
        helper.make_tensor("full", TensorProto.FLOAT, [], [255.0]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
    ]
    nodes = [
        helper.make_node("Cast", [inputs[0]], ["left_float"], to=TensorProto.FLOAT),
        helper.make_node("Cast", [inputs[1]], ["right_float"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["left_float", "red"], ["left_red"], axis=3),
        helper.make_node("Gather", ["left_float", "green"], ["left_green"], axis=3),
        helper.make_node("Gather", ["right_float", "red"], ["right_red"], axis=3),
        helper.make_node("Mul", ["left_red", "quarter"], ["shift"]),
        # The right image takes part, if without effect, as an unused input may be dropped.
        helper.make_node("Mul", ["right_red", "zero"], ["nothing"]),
        helper.make_node("Add", ["shift", "nothing"], ["plain_answer"]),
        helper.make_node("Div", ["left_green", "full"], ["plain_sureness"]),
        *(
            helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT)
            for name in prior
        ),
        helper.make_node("Sum", ["plain_answer", *(f"{n}_float" for n in prior[:1])], ["answer"]),
        helper.make_node(
            "Max", ["plain_sureness", *(f"{n}_float" for n in prior[-1:])], ["sureness"]
        ),
        helper.make_node("Cast", ["answer"], [outputs[0]], to=answer_kind),
        helper.make_node("Cast", ["sureness"], [outputs[1]], to=answer_kind),
    ]
    image = list(image_shape or (1, height, width, 3))
    answer = image[:3] + [1] * trailing_axis
    told_kind, told_shape = getattr(TensorProto, prior_type), list(prior_shape or image[:3])
    graph = helper.make_graph(
        nodes,
        "encoded",
        [
            *(helper.make_tensor_value_info(name, kind, image) for name in inputs),
            *(helper.make_tensor_value_info(name, told_kind, told_shape) for name in prior),
        ],
        [helper.make_tensor_value_info(name, answer_kind, answer) for name in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    checker.check_model(model)
    save(model, str(path))
    return path
