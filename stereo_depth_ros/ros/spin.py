"""Run one node as a process, from start to a clean end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from stereo_depth_ros.engines import EngineLostError
from stereo_depth_ros.ros.allocator import keep_large_blocks


def run(create: Callable[[], Node], args: list[str] | None = None) -> int:
    """Create a node and spin it until SIGINT or SIGTERM; return the exit status.

    `os.EX_TEMPFAIL` says that its engine is lost and starting again may help.

    What a user can cause and cure (a parameter, a file) ends in one line instead of a traceback.
    """
    keep_large_blocks()
    # ROS ends the spinning by itself. A KeyboardInterrupt besides, raised wherever the interpreter
    # is, would turn into other errors within rclpy, as while it makes a message.
    signal.signal(signal.SIGINT, lambda *_: None)
    rclpy.init(args=args)
    node = None
    try:
        node = create()
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
    except (ParameterException, ValueError, OSError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    finally:
        # Launch and the terminal both send SIGINT; the second must not interrupt the clean-up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
