"""The node's parameters: one table drives declaration, validation, the YAML file and the docs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node

from stereo_depth_ros.engines import BACKENDS
from stereo_depth_ros.engines.default_model import AUTO, MATCHER, NETWORK
from stereo_depth_ros.engines.tensorrt.cuda import BACKENDS as CUDA_BACKENDS
from stereo_depth_ros.engines.tensorrt.options import PRECISIONS
from stereo_depth_ros.excerpt import excerpt, excerpt_repr
from stereo_depth_ros.ros.roi import parse_roi
from stereo_depth_ros.settings import MAX_BASELINE, MAX_DISPARITY, MEANINGS, Settings

MAX_TEXT = 4096
"""Longest text that a parameter takes, in characters."""

Value = bool | int | float | str


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


_PARSERS = {"roi": parse_roi}
"""Of the settings whose parameter is a text."""


def _setting_row(setting: str) -> Parameter:
    meaning = MEANINGS[setting]
    return Parameter(
        meaning.parameter or setting,
        "" if setting in _PARSERS else getattr(Settings, setting),
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
        "A name in models/, or the path of an .onnx or .engine file; auto: "
        f"{NETWORK}, or {MATCHER} where that does not run",
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
        "first unless all their cards tell the error on the same real pairs",
    ),
    Parameter(
        "backend",
        "auto",
        "What runs the model; auto: the first that can of TensorRT, TensorRT-RTX, ONNX Runtime on "
        "the GPU, ONNX Runtime on the CPU",
        choices=BACKENDS,
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
        (0.0, MAX_BASELINE),
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

_BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


def declare(node: Node) -> None:
    """Declare every parameter on ``node``.

    Raises
    ------
    ValueError
        Where a parameter was given a value of another type.
    rclpy.exceptions.ParameterException
        Where a number is beyond its limits.
    """
    for parameter in PARAMETERS:
        try:
            node.declare_parameter(parameter.name, parameter.default, parameter.descriptor())
        except InvalidParameterTypeException:
            given = node._parameter_overrides[parameter.name].value
            raise ValueError(problem(parameter.name, given)) from None


def current(node: Node) -> dict[str, Any]:
    """Return the values of all parameters of the table."""
    return {p.name: node.get_parameter(p.name).value for p in PARAMETERS}


NAMES = tuple(_BY_NAME)

LIVE = frozenset(parameter.name for parameter in PARAMETERS if parameter.live)
"""Names of the parameters that act while the node runs."""


def type_problem(name: str, value: Any) -> str | None:
    """Return why no ``value`` of its type may be given to ``name``, or None where one may."""
    parameter = _BY_NAME.get(name)
    if parameter is None or type(value) is type(parameter.default):
        return None
    return f"{name} is {excerpt_repr(value)}; {_cure_of_type(type(parameter.default), value)}"


def problem(name: str, value: Any) -> str | None:
    """Return why ``name`` may never be ``value``, or None where it may."""
    parameter = _BY_NAME.get(name)
    reason = type_problem(name, value)
    if parameter is None or reason:
        return reason
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"{name} is {len(value)} characters long; at most {MAX_TEXT} are allowed"
    if parameter.choices and value not in parameter.choices:
        return f"{name} is '{excerpt(value, 100)}'; it must be one of {parameter.constraint}"
    return None


def _cure_of_type(kind: type, value: Any) -> str:
    """Return what to write where a parameter of type ``kind`` was given ``value``."""
    if value is None:
        return "it cannot be deleted"
    if kind is float and type(value) is int and abs(value) < 1e15:
        return f"it takes a decimal number: write {float(value)}"
    if kind is int and type(value) is float and value.is_integer() and abs(value) < 1e15:
        return f"it takes a whole number: write {int(value)}"
    if kind is not str and type(value) is str and _is_written_as(kind, value):
        return f"write {value} without quotes"
    if kind is str and type(value) is not list:
        return f"it takes text: write '\"{excerpt(value, 100)}\"'"
    return (
        "it takes "
        + {
            bool: "true or false",
            int: "a whole number",
            float: "a decimal number such as 1.5",
            str: "text",
        }[kind]
    )


def _is_written_as(kind: type, text: str) -> bool:
    pattern = {bool: "true|false", int: r"-?\d{1,15}", float: r"-?\d{1,15}\.\d{1,15}"}[kind]
    return re.fullmatch(pattern, text, re.ASCII) is not None


def refusal(values: dict[str, Any], changes: dict[str, Any], configured: bool) -> str | None:
    """Return why ``changes`` may not be made to the node's ``values`` now, or None.

    A change to the value that a parameter has already is none.
    """
    own = {n: v for n, v in changes.items() if n in _BY_NAME and v != values[n]}
    for name, value in own.items():
        reason = problem(name, value)
        if reason:
            return reason
        if configured and name not in LIVE:
            return (
                f"{name} is used when the node is configured; 'ros2 lifecycle set' it to "
                "deactivate and cleanup first, then change it"
            )
    if own.keys() & LIVE:
        try:
            settings_from({**values, **own})
        except ValueError as error:
            return str(error)
    return None


def check(values: dict[str, Any]) -> None:
    """Raise ValueError for the first of ``values`` that is not allowed."""
    for name, value in values.items():
        reason = problem(name, value)
        if reason:
            raise ValueError(reason)


def settings_from(values: dict[str, Any]) -> Settings:
    """Return the pipeline settings of parameter ``values``.

    Raises
    ------
    ValueError
        When values contradict each other; the text says which and how.
    """
    settings: dict[str, Any] = {}
    for setting, meaning in MEANINGS.items():
        value = values[meaning.parameter or setting]
        settings[setting] = _PARSERS[setting](value) if setting in _PARSERS else value
    return Settings(**settings)
