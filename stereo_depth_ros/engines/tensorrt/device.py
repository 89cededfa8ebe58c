"""The GPU, asked of the driver itself: before a CUDA back end is open, and where none is."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stereo_depth_ros.engines.base import EngineError

_MB = 2**20
_ABSENT = (34, 100)  # CUDA_ERROR_STUB_LIBRARY, as in images for containers; CUDA_ERROR_NO_DEVICE
# CUdevice_attribute; these numbers have been the same since CUDA 5.
_MULTIPROCESSORS, _INTEGRATED, _MAJOR, _MINOR = 16, 18, 75, 76


class NoGpuError(EngineError):
    """There is no GPU, as opposed to one that does not work."""


@dataclass(frozen=True)
class Device:
    """The first visible GPU.

    ``memory_mb`` is its whole memory; ``integrated`` says that it is the memory of the CPU too.
    """

    name: str
    compute_capability: str
    multiprocessors: int
    memory_mb: int
    integrated: bool

    @property
    def has_tf32(self) -> bool:
        """Whether it rounds float32 products to TF32 unless told not to: from Ampere on."""
        return int(self.compute_capability.partition(".")[0]) >= 8

    def __str__(self) -> str:
        return f"{self.name}, compute capability {self.compute_capability}"


def find_device() -> Device:
    """Ask the driver for the first visible GPU, without creating a context on it.

    Raises
    ------
    NoGpuError
        When there is no driver or no GPU.
    EngineError
        When there is a driver that does not work.
    """
    driver, handle = _first_device()
    name = ctypes.create_string_buffer(256)
    _call(driver, "cuDeviceGetName", name, len(name), handle)
    total = ctypes.c_size_t()
    _call(driver, "cuDeviceTotalMem_v2", ctypes.byref(total), handle)

    def attribute(number: int) -> int:
        value = ctypes.c_int()
        _call(driver, "cuDeviceGetAttribute", ctypes.byref(value), number, handle)
        return value.value

    return Device(
        name=name.value.decode(),
        compute_capability=f"{attribute(_MAJOR)}.{attribute(_MINOR)}",
        multiprocessors=attribute(_MULTIPROCESSORS),
        memory_mb=total.value // _MB,
        integrated=bool(attribute(_INTEGRATED)),
    )


def free_memory_mb(device: Device) -> int:
    """Return how much of the memory of ``device`` is free, in MB.

    Raises
    ------
    EngineError
        When the driver does not say.
    """
    if device.integrated:
        # The driver counts what the page cache holds as taken.
        return _available_host_mb()
    driver, handle = _first_device()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    with _primary_context(driver, handle):
        _call(driver, "cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    return free.value // _MB


def driver_version() -> str:
    """Return the release of the NVIDIA driver, such as "580.65.06", else its L4T, else "none"."""
    for file in ("/sys/module/nvidia/version", "/etc/nv_tegra_release"):
        with suppress(OSError):
            # Of the latter the first line, "# R36 (release), REVISION: 4.0, ...", tells it.
            return "".join(c for c in Path(file).read_text()[:40] if c.isalnum() or c == ".")
    return "none"


def cudnn_version() -> int:
    """Return the version of the cuDNN that TensorRT 8 loads, such as 8906, 0 where it has none."""
    try:
        library = ctypes.CDLL("libcudnn.so.8")
        library.cudnnGetVersion.restype = ctypes.c_size_t
        return int(library.cudnnGetVersion())
    except (OSError, AttributeError):
        return 0


# Of nvpmodel, and what jetson_clocks sets.
_SPEED_FILES = (
    "var/lib/nvpmodel/status",
    "sys/class/devfreq/*gpu*/min_freq",
    "sys/class/devfreq/*gpu*/max_freq",
)


def power_mode(root: Path = Path("/")) -> str:
    """Return what a Jetson's speed is set to, "" elsewhere: its power mode, its GPU's clocks."""
    texts = []
    for pattern in _SPEED_FILES:
        for file in sorted(root.glob(pattern)):
            with suppress(OSError, ValueError):
                texts += file.read_text().split()[:1]
    return "_".join(texts)


def board() -> str:
    """Return machine and, on a Jetson, the release of its Linux, such as "aarch64 R36.4.0"."""
    try:
        # "# R36 (release), REVISION: 4.0, GCID: ..."
        release = Path("/etc/nv_tegra_release").read_text().replace(",", " ").split()
        return f"{platform.machine()} {release[1]}.{release[release.index('REVISION:') + 1]}"
    except (OSError, ValueError, IndexError):
        return platform.machine()


def _available_host_mb() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    raise EngineError("/proc/meminfo does not tell the available memory")


def _first_device() -> tuple[Any, int]:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NoGpuError(f"no NVIDIA driver: {error}; install it, or run on the CPU") from error
    status = driver.cuInit(0)
    if status in _ABSENT:
        raise NoGpuError("the NVIDIA driver sees no GPU; check CUDA_VISIBLE_DEVICES")
    _check(driver, "cuInit", status)
    count, handle = ctypes.c_int(), ctypes.c_int()
    _call(driver, "cuDeviceGetCount", ctypes.byref(count))
    if not count.value:
        raise NoGpuError("the NVIDIA driver sees no GPU; check CUDA_VISIBLE_DEVICES")
    _call(driver, "cuDeviceGet", ctypes.byref(handle), 0)
    return driver, handle.value


@contextmanager
def _primary_context(driver: Any, handle: int) -> Iterator[None]:
    context = ctypes.c_void_p()
    _call(driver, "cuDevicePrimaryCtxRetain", ctypes.byref(context), handle)
    try:
        _call(driver, "cuCtxPushCurrent_v2", context)
        try:
            yield
        finally:
            _call(driver, "cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
    finally:
        _call(driver, "cuDevicePrimaryCtxRelease_v2", handle)


def _call(driver: Any, name: str, *arguments: Any) -> None:
    _check(driver, name, getattr(driver, name)(*arguments))


def _check(driver: Any, name: str, status: int) -> None:
    if status:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(status, ctypes.byref(text))
        reason = text.value.decode() if text.value else "unknown"
        raise EngineError(f"the NVIDIA driver refuses {name}: {reason} (error {status})")
