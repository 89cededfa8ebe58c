"""Read a `torch.save` file without running anything that it names.

Some authors pickle whole modules, and a pickle may call any function by name. Here torch's
weights-only loader does the reading, and each class that it does not know is replaced by an inert
stand-in that keeps the attributes and has no code.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from stereo_depth_ros.checkpoints.error import CheckpointError

# What the published files are known to name besides tensors: the authors' modules, the libraries
# these are built from, and what training state beside the weights consists of. Any other name
# would be as inert, but it speaks of a file that is not what it claims to be.
_KNOWN_NAME = re.compile(
    r"(core|foundation_stereo_ori|timm|torch\.(nn|optim|torch_version)|omegaconf|numpy)\.[\w.]+"
    r"|builtins\.(bool|bytes|dict|float|int|list|object|set|slice|str|tuple|type)"
    r"|argparse\.Namespace|collections\.defaultdict|datetime\.\w+|pathlib\.(Pure)?PosixPath"
    r"|typing\.Any"
)

# Before it, a crafted file can write past its memory (CVE-2026-24747).
_SAFE_TORCH = (2, 10)


class StandIn:
    """An object of a class that is not here: ``state`` holds its attributes, ``path`` its class."""

    # Without __dict__, so that a file cannot replace a method of the object it fills.
    __slots__ = ("state",)
    path = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> StandIn:
        """Take what the class would take, and ignore it."""
        made = super().__new__(cls)
        made.state = {}
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.state = state

    @property
    def kind(self) -> str:
        """The name of the class, without its module."""
        return self.path.rsplit(".", 1)[-1]


def load_pickled(path: Path) -> Any:
    """Return what the `torch.save` file holds, `StandIn` objects in place of foreign ones.

    Raises
    ------
    CheckpointError
        For a file that is damaged, or that names code of no known checkpoint.
    """
    if tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) < _SAFE_TORCH:
        raise CheckpointError(
            f"torch {torch.__version__} cannot read such a file safely (CVE-2026-24747); install "
            f"torch {'.'.join(map(str, _SAFE_TORCH))} or newer to import it, on any machine (its "
            ".safetensors then works with every torch)"
        )
    _check_container(path)
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception as error:
        raise _damaged(error) from error
    refused = sorted(name for name in names if not _KNOWN_NAME.fullmatch(name))
    if refused:
        named = ", ".join(map(repr, refused[:5]))
        raise CheckpointError(
            f"names code that no known checkpoint needs: {named}. Nothing of it was run; do not "
            "trust this file, and fetch the weights from their authors (stereo-depth models lists "
            "where)"
        )
    stand_ins: list[Any] = [
        (type(name, (StandIn,), {"__slots__": (), "path": name}), name) for name in names
    ]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _damaged(error) from error


def _check_container(path: Path) -> None:
    """Refuse a zip that torch would not have written, or whose checksums are wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise CheckpointError(
                    "is a compressed archive, not what torch.save writes, and is not opened; "
                    "unpack it, or fetch the weights from their authors"
                )
            wrong = archive.testzip()
    except (zipfile.BadZipFile, EOFError) as error:
        raise _damaged(error) from error
    if wrong is not None:
        raise CheckpointError(f"is damaged: the checksum of '{wrong}' is wrong; fetch it again")


def _damaged(error: Exception) -> CheckpointError:
    # torch puts advice before its reason, to run what the file asks for.
    reason = str(error).rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    return CheckpointError(
        f"cannot be read as weights ({type(error).__name__}: {reason}); it is truncated, "
        "altered or something else: fetch it again and compare its size with the publisher's"
    )
