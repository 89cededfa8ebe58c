"""The differences between TensorRT 8.5 to 11 and TensorRT-RTX, in one place.

Flags are named, never numbered: TensorRT 11 gave most of them new numbers. What a version lacks is
found by looking for its name, so that one yet to come needs no table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.error_log import logger_of

MODULES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}

_CURE = (
    "on a Jetson install JetPack's python3-libnvinfer (a virtual environment sees it with "
    "--system-site-packages); on a desktop 'pip install tensorrt', or tensorrt-rtx for RTX cards"
)


@dataclass(frozen=True)
class Runtime:
    """An imported TensorRT: ``name`` of its module, ``version`` in full, the ``module`` itself."""

    name: str
    version: str
    module: Any

    def __str__(self) -> str:
        return f"{MODULES[self.name]} {self.version}"

    @property
    def keeps_types(self) -> bool:
        """Whether a network computes in the types of its graph: TensorRT 10 and later, and RTX."""
        return hasattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED") or not hasattr(
            self.module.BuilderFlag, "FP16"
        )

    @property
    def reports_progress(self) -> bool:
        """Whether a build can be watched and stopped: TensorRT 10 and later, and RTX."""
        return hasattr(self.module, "IProgressMonitor")

    @property
    def builds_without_gpu(self) -> bool:
        """Whether a build may name the compute capability it is for: RTX only."""
        return hasattr(self.module, "ComputeCapability")

    @property
    def compiles_on_opening(self) -> bool:
        """Whether kernels are compiled, and memory may be given, when an engine is opened: RTX."""
        return hasattr(self.module, "IRuntimeCache")

    @property
    def keeps_timings(self) -> bool:
        """Whether measured kernels serve the next build too; RTX measures none."""
        return self.name == "tensorrt"

    def network_flags(self) -> int:
        """Return the flags of ``Builder.create_network``."""
        flags = self.module.NetworkDefinitionCreationFlag
        for name in ("STRONGLY_TYPED", "EXPLICIT_BATCH"):
            if hasattr(flags, name):
                return 1 << int(getattr(flags, name))
        return 0

    def logger(self) -> Any:
        """Return the one logger of this process; `ErrorLog` has what it is told."""
        return logger_of(self.module)

    def load_plugins(self) -> None:
        """Make known by name what TensorRT 8 needs to read and to run instance norms."""
        if not self.keeps_types:
            self.module.init_libnvinfer_plugins(self.logger(), "")

    def monitor(
        self,
        begins: Callable[[str, str | None, int], None],
        steps: Callable[[str, int], bool],
        ends: Callable[[str], None],
    ) -> Any:
        """Return a progress monitor; ``steps`` is asked after each step whether to go on."""
        module = self.module

        class Monitor(module.IProgressMonitor):  # type: ignore[name-defined]
            def __init__(self) -> None:
                module.IProgressMonitor.__init__(self)

            def phase_start(self, phase_name: str, parent_phase: Any, num_steps: int) -> None:
                begins(phase_name, parent_phase or None, num_steps)

            def step_complete(self, phase_name: str, step: int) -> bool:
                return steps(phase_name, step)

            def phase_finish(self, phase_name: str) -> None:
                ends(phase_name)

        return Monitor()

    def configure(
        self,
        config: Any,
        *,
        workspace_bytes: int,
        level: int | None,
        tf32: bool = True,
        compute_capability: str | None = None,
    ) -> None:
        """Set what does not depend on the network.

        ``tf32`` False keeps float32 products from being rounded to TF32. ``compute_capability``
        such as "8.6" is for RTX: the GPU to build for where none is here.

        Raises
        ------
        EngineError
            When this version cannot do what is asked.
        """
        config.set_memory_pool_limit(self.module.MemoryPoolType.WORKSPACE, workspace_bytes)
        if level is not None:
            if not hasattr(config, "builder_optimization_level"):
                raise EngineError(f"{self} has no optimisation levels; leave the level out")
            config.builder_optimization_level = level
        if hasattr(config, "max_aux_streams"):
            # A CUDA graph then captures one stream, and frames take the same time each.
            config.max_aux_streams = 0
        if hasattr(self.module.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
            # Else an engine may allocate while it runs, which no CUDA graph can hold.
            config.set_flag(self.module.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if not tf32 and hasattr(self.module.BuilderFlag, "TF32"):
            config.clear_flag(self.module.BuilderFlag.TF32)
        if self.builds_without_gpu:
            self._set_capability(config, compute_capability)

    def _set_capability(self, config: Any, asked: str | None) -> None:
        known = self.module.ComputeCapability
        name = "CURRENT" if asked is None else f"SM{asked.replace('.', '')}"
        config.num_compute_capabilities = 1
        if not (hasattr(known, name) and config.set_compute_capability(getattr(known, name), 0)):
            gpu = "the GPU here" if asked is None else f"compute capability {asked}"
            raise EngineError(
                f"{self} does not build for {gpu}; it knows "
                f"{', '.join(n for n in known.__members__ if n.startswith('SM'))}; install "
                "TensorRT for others"
            )

    def ask_for_types(self, network: Any, config: Any) -> None:
        """Make a version that chooses precisions itself (8.x) follow those of the graph."""
        flags, types = self.module.BuilderFlag, self.module.DataType
        config.set_flag(flags.FP16)
        config.set_flag(flags.OBEY_PRECISION_CONSTRAINTS)
        for index in range(network.num_layers):
            layer = network.get_layer(index)
            output = layer.get_output(0)
            if output is not None and output.dtype in (types.FLOAT, types.HALF):
                layer.precision = output.dtype


def find_runtime(name: str | None = None) -> Runtime:
    """Import TensorRT, else TensorRT-RTX; ``name`` insists on one of the modules.

    Raises
    ------
    EngineError
        When none can be imported; the text says why, and how to install it.
    """
    reasons = []
    for candidate in (name,) if name else MODULES:
        try:
            module = importlib.import_module(candidate)
        # A library that does not load is an OSError in some versions.
        except (ImportError, OSError) as error:
            reasons.append(f"{candidate}: {error}")
            continue
        if hasattr(module, "Builder"):
            return Runtime(candidate, module.__version__, module)
        # Any folder of that name on the path can be imported.
        reasons.append(f"{module!r} is not the package")
    raise EngineError(f"TensorRT cannot be imported ({'; '.join(reasons)}); {_CURE}")
