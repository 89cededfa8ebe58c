"""Run one node as a process, from start to a clean end."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

import rclpy
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation as ros
from rclpy.node import Node

from stereo_depth_ros.engines import EngineLostError
from stereo_depth_ros.excerpt import shorten
from stereo_depth_ros.ros.allocator import keep_large_blocks

NodeT = TypeVar("NodeT", bound=Node)

_USER_ERRORS = (
    ParameterException,
    NameValidationException,
    ValueError,
    OSError,
    ros.RCLError,
    ros.RCLInvalidROSArgsError,
    ros.UnknownROSArgsError,
)

_CURES = {
    "parse log level": "use debug, info, warn, error or fatal",
    "parse remap rule": "names hold letters, digits, _ and /, and no part begins with a digit",
    "parse params file": "compare with config/stereo.yaml",
}
"""What rcl leaves out, by what it says."""


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(
    create: Callable[[], NodeT],
    args: list[str] | None = None,
    start: Callable[[NodeT], None] = lambda _: None,
) -> int:
    """Create a node, start it and spin it until SIGINT or SIGTERM; return the exit status.

    `os.EX_TEMPFAIL` says that its engine is lost and starting again may help.

    What a user can cause and cure at the start (an argument, a parameter, a file) ends in one line
    instead of a traceback. What goes wrong later is raised.
    """
    keep_large_blocks()
    is_starting = True
    interrupts: list[int] = []

    def interrupt(number: int, _: object) -> None:
        interrupts.append(number)
        # Spinning is ended by ROS. A KeyboardInterrupt besides, raised wherever the interpreter
        # is, would turn into other errors within rclpy, as while it makes a message.
        if is_starting and len(interrupts) == 1:
            raise KeyboardInterrupt

    for number in _SIGNALS:
        signal.signal(number, interrupt)
    node = None
    try:
        try:
            rclpy.init(args=args)
            node = create()
            start(node)
            is_starting = False
        except BaseException as error:
            is_starting = False
            # A signal ends the context too, whereupon anything may fail.
            if interrupts:
                return 0
            if not isinstance(error, _USER_ERRORS):
                raise
            print(f"cannot start: {_explain(error)}", file=sys.stderr)
            return 1
        # Within rclpy, the interrupt may have been swallowed before ROS listened.
        return 0 if interrupts else _spin(node)
    finally:
        # Launch and the terminal both send SIGINT; the second must not interrupt the clean-up.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


def _spin(node: Node) -> int:
    try:
        rclpy.spin(node)
    except ExternalShutdownException:
        pass
    except EngineLostError as error:
        node.get_logger().fatal(f"ending, as only a new process can match again: {error}")
        return os.EX_TEMPFAIL
    except RuntimeError:
        # An executor that was about to wait finds the context gone and reports an RCLError.
        if rclpy.ok():
            raise
    return 0


def _explain(error: BaseException) -> str:
    """Return the text of ``error`` on one line, without rcl's source lines, and with a cure."""
    text = re.sub(r", at \S+:\d+|\. Error: error not set", "", " ".join(str(error).split()))
    if isinstance(error, ros.UnknownROSArgsError):
        text = f"unknown arguments after --ros-args: {text}"
    cure = next((cure for key, cure in _CURES.items() if key in text), None)
    return shorten(text) + (f"; {cure}" if cure else "")
