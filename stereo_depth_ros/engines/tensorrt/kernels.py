"""Kernels that TensorRT-RTX compiled when it opened an engine, kept for the next time.

They lie beside the plan, in a file named after the driver, whose compiler made them. Losing them
costs time alone, so whatever is wrong with the file is no error.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from stereo_depth_ros.engines.tensorrt.device import driver_version
from stereo_depth_ros.engines.tensorrt.parts import part_of

SUFFIX = ".kernels"

_LOG = logging.getLogger(__name__)


class KernelCache:
    """The runtime cache of ``engine``, filled from the file beside its ``plan``.

    ``config`` is the runtime configuration that the context of the engine has to be made with.
    """

    def __init__(self, engine: Any, plan: Path) -> None:
        self._path = plan.with_suffix(f".{driver_version()}{SUFFIX}")
        self.config = engine.create_runtime_config()
        self._cache = self.config.create_runtime_cache()
        try:
            self._store = self._path.read_bytes()
        except OSError:
            self._store = b""
        if self._store and not self._cache.deserialize(self._store):
            _LOG.warning("%s is of no use; kernels are compiled anew", self._path)
            self._cache.reset()
        self.config.set_runtime_cache(self._cache)

    def save(self) -> None:
        """Write the file, where there is something new."""
        serialized = self._cache.serialize()
        content = b"" if serialized is None else bytes(serialized)
        if content in (b"", self._store):
            return
        part = part_of(self._path)
        try:
            part.write_bytes(content)
            os.replace(part, self._path)
            self._store = content
        except OSError as error:
            _LOG.info("kernels are not kept: %s: %s", self._path, error.strerror)
            with suppress(OSError):  # even of no file, where nothing can be written
                part.unlink()
