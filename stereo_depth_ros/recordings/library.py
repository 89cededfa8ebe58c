"""The library that reads and writes bags, imported when a bag is at hand."""

from __future__ import annotations

import importlib
from types import ModuleType

from stereo_depth_ros.errors import UserError


def import_rosbags(module: str) -> ModuleType:
    """Import ``rosbags.<module>``.

    Raises
    ------
    UserError
        Where it is not installed; the text says how to install it.
    """
    try:
        return importlib.import_module(f"rosbags.{module}")
    except ImportError as error:
        raise UserError(
            f"bags are read and written by rosbags, which is not installed ({error}); "
            "pip install 'stereo_depth_ros[recordings]'"
        ) from error
