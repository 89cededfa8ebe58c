"""The table of the node's parameters; declaration, checks, the YAML file and the docs follow it."""

from __future__ import annotations

from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from stereo_depth_ros.baseline import MAX_BASELINE_M
from stereo_depth_ros.engines import BACKEND_NAMES
from stereo_depth_ros.engines.default_model import AUTO, MATCHER, NETWORK
from stereo_depth_ros.engines.tensorrt.cuda import BACKENDS as CUDA_BACKENDS
from stereo_depth_ros.engines.tensorrt.options import PRECISIONS
from stereo_depth_ros.ros.roi import parse_roi
from stereo_depth_ros.settings import MAX_DISPARITY, MEANINGS, Settings

Value = bool | int | float | str

PARSERS = {"roi": parse_roi}
"""Of the settings whose parameter is a text."""


@dataclass(frozen=True)
class Parameter:
    """One row of the table.

    ``limits`` are inclusive; ``choices`` the allowed words. A parameter that is not ``live`` is
    used by the configure transition and may only be changed while the node is unconfigured.
    """

    name: str
    default: Value
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    @property
    def constraint(self) -> str:
        """The allowed values, for people."""
        if self.choices:
            return ", ".join(self.choices)
        return f"{self.limits[0]:g} to {self.limits[1]:g}" if self.limits else ""

    def descriptor(self) -> ParameterDescriptor:
        """Return what ``ros2 param describe`` shows; ROS itself enforces the range."""
        descriptor = ParameterDescriptor(
            description=self.description,
            additional_constraints=", ".join(self.choices),
        )
        if self.limits is not None:
            low, high = self.limits
            if isinstance(self.default, int):
                descriptor.integer_range = [
                    IntegerRange(from_value=int(low), to_value=int(high), step=1)
                ]
            else:
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=float(low), to_value=float(high))
                ]
        return descriptor


def _setting_row(setting: str) -> Parameter:
    meaning = MEANINGS[setting]
    return Parameter(
        meaning.parameter or setting,
        "" if setting in PARSERS else getattr(Settings, setting),
        meaning.description,
        meaning.limits,
        meaning.choices,
        live=True,
    )


PARAMETERS = (
    Parameter("autostart", True, "Configure and activate at start-up, without a lifecycle manager"),
    Parameter(
        "model",
        AUTO,
        "The name of an installed model, or the path of a card, an .onnx or .engine file; auto: "
        f"{NETWORK}, or {MATCHER} where that does not run, or an added model that was measured to "
        "be better and fast enough",
    ),
    Parameter(
        "latency_budget_ms",
        0.0,
        "Longest inference in ms: takes the most accurate of models that keeps it on this device, "
        "by measurement; 0: takes model",
        (0.0, 60000.0),
    ),
    Parameter(
        "models",
        "",
        "What latency_budget_ms chooses among, such as 'net_l, net_s, sgbm', the most accurate "
        "first unless the errors of all are known on the same real pairs; empty, with model auto: "
        f"all installed models that were compared with {NETWORK}",
    ),
    Parameter(
        "backend",
        "auto",
        "What runs the model; auto: the first that can of TensorRT, TensorRT-RTX, ONNX Runtime on "
        "the GPU, ONNX Runtime on the CPU",
        choices=BACKEND_NAMES,
    ),
    Parameter(
        "precision",
        "auto",
        "Of TensorRT engines; auto: mixed where NAME.mixed.onnx is there and passes the self-test",
        choices=PRECISIONS,
    ),
    Parameter(
        "build_workspace_mb",
        0,
        "Most scratch memory in MB for TensorRT; 0: three eighths of the GPU's",
        (0, 65536),
    ),
    Parameter(
        "build_level",
        -1,
        "How long TensorRT looks for faster kernels; -1: its own default",
        (-1, 5),
    ),
    Parameter(
        "build_fallback",
        True,
        "Run the model on ONNX Runtime while its TensorRT engine is being built, or sgbm where the "
        "GPU shares the CPU's memory",
    ),
    Parameter(
        "cuda_backend",
        "auto",
        "How TensorRT engines reach the GPU; auto: by pycuda where it is installed",
        choices=CUDA_BACKENDS,
    ),
    Parameter(
        "providers",
        "",
        "ONNX Runtime execution providers in order of preference, NAME or NAME:KEY=VALUE, such as "
        "'cuda:device_id=1,cpu'; empty: CPU",
    ),
    Parameter("threads", 0, "Threads of ONNX Runtime; 0: all cores", (0, 256)),
    Parameter(
        "max_disparity",
        0,
        MAX_DISPARITY.description
        + ". Of converging cameras it counts from the disparity of infinity",
        MAX_DISPARITY.limits,
    ),
    Parameter(
        "image_transport", "raw", "How images arrive on the network", choices=("raw", "compressed")
    ),
    Parameter(
        "sync",
        "latest",
        "How images are paired. latest: equal stamps first, within slop where stamps are never "
        "equal, and the newest pair wins; exact, approximate: by message_filters",
        choices=("latest", "exact", "approximate"),
    ),
    Parameter(
        "slop",
        0.01,
        "Largest difference of paired stamps in s, for latest and approximate",
        (0.0, 1.0),
    ),
    Parameter("queue_size", 10, "Images of each side that wait for a partner", (1, 100)),
    Parameter("max_age", 1.0, "Seconds of stamp for which latest lets an image wait", (0.01, 60.0)),
    Parameter(
        "rectify",
        "auto",
        "Rectify the images here: always, never, or (auto) when the topics are raw and the "
        "calibration asks for it",
        choices=("auto", "always", "never"),
    ),
    Parameter(
        "baseline",
        0.0,
        "Distance between the cameras in m, used where the right P[3] is 0 or not in metres; "
        "0: ask TF",
        (0.0, MAX_BASELINE_M),
    ),
    Parameter(
        "max_rate",
        0.0,
        "Most pairs processed per second in Hz; 0: no limit",
        (0.0, 1000.0),
        live=True,
    ),
    *map(_setting_row, MEANINGS),
)
