"""The layers that not every machine can run, imported when a verb needs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from stereo_depth_ros.errors import UserError

_PACKAGE = "stereo_depth_ros"


def import_ros(module: str) -> ModuleType:
    """Import ``stereo_depth_ros.ros.<module>``.

    Raises
    ------
    UserError
        Where ROS is not installed; the text says how to install it.
    """
    cure = "source a ROS 2 installation, or pip install 'stereo_depth_ros[ros-jazzy]'"
    return _import(f"ros.{module}", cure)


def import_training(module: str) -> ModuleType:
    """Import ``stereo_depth_ros.<module>``, which needs PyTorch.

    Raises
    ------
    UserError
        Where PyTorch, or another package of the extra "training", is not installed.
    """
    return _import(module, "pip install 'stereo_depth_ros[training]'")


def _import(module: str, cure: str) -> ModuleType:
    try:
        return importlib.import_module(f"{_PACKAGE}.{module}")
    except ImportError as error:
        if error.name and error.name.partition(".")[0] == _PACKAGE:
            raise  # a fault of the package, which no installation mends
        raise UserError(f"{error}; {cure}") from error
