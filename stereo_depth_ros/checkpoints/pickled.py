"""Read a `torch.save` file without running anything that it names.

Some authors pickle whole modules, and a pickle may call any function by name. Here torch's
weights-only loader does the reading, and each class that it does not know is replaced by an inert
stand-in that keeps the attributes and has no code, each subclass of dict by a plain mapping.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.excerpt import excerpt

# What the published files are known to name besides tensors: the authors' modules, the libraries
# these are built from, and what training state beside the weights consists of. Any other name
# would be as inert, but it speaks of a file that is not what it claims to be.
_MAPPINGS = ("bridgedepth.config.config.CfgNode", "yacs.config.CfgNode")  # subclasses of dict
_KNOWN_NAME = re.compile(
    r"(core|foundation_stereo_ori|timm|torch\.(nn|optim|torch_version)|omegaconf|numpy)\.[\w.]+"
    r"|(builtins|__builtin__)\."
    r"(bool|bytes|dict|float|int|list|long|object|set|slice|str|tuple|type|unicode)"
    r"|argparse\.Namespace|collections\.defaultdict|datetime\.\w+|pathlib\.(Pure)?PosixPath"
    r"|typing\.Any"
    rf"|{'|'.join(map(re.escape, _MAPPINGS))}"
)
# What torch's loader itself calls for tensors, but bytearray: that makes gigabytes of a few bytes.
_TORCH_NAME = re.compile(
    r"torch\.((storage|_utils|_tensor|serialization)\.)?\w+|_codecs\.encode"
    r"|collections\.(Counter|OrderedDict)|(builtins|__builtin__)\.complex"
)
_NAMES_SHOWN, _LETTERS_SHOWN = 5, 80

_FOLDER = 0x10  # among the attributes of an entry

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
    try:
        calls = {name for name in _list_names(path) if not _TORCH_NAME.fullmatch(name)}
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except CheckpointError:
        raise
    except Exception as error:
        raise _describe_damage(error) from error
    refused = sorted(name for name in calls.union(names) if not _KNOWN_NAME.fullmatch(name))
    if refused:
        shown = ", ".join(repr(excerpt(name, _LETTERS_SHOWN)) for name in refused[:_NAMES_SHOWN])
        raise CheckpointError(
            f"names code that no known checkpoint needs: {shown}. Nothing of it was run; do not "
            "trust this file, and fetch the weights from their authors (stereo-depth models lists "
            "where)"
        )
    # torch sets entries of its own kinds of mappings alone.
    stand_ins: list[Any] = [
        (
            OrderedDict
            if name in _MAPPINGS
            else type(name, (StandIn,), {"__slots__": (), "path": name}),
            name,
        )
        for name in names
    ]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _describe_damage(error) from error


def _list_names(path: Path) -> Iterator[str]:
    """Yield what the file names, after checking that it is an archive as torch writes them."""
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise CheckpointError(
                "is a compressed archive, not what torch.save writes, and is not opened; unpack "
                "it and give the folder, or fetch the weights from their authors"
            )
        # torch takes these for empty, and leaves the memory of their weights as it was.
        damaged = next((e.filename for e in archive.infolist() if e.external_attr & _FOLDER), None)
        damaged = damaged or archive.testzip()
        if damaged is not None:
            raise CheckpointError(
                f"is damaged: '{excerpt(damaged, _LETTERS_SHOWN)}' is not what was saved (checksum "
                "or kind of entry); fetch it again"
            )
        for name in archive.namelist():
            if name.endswith(".pkl"):
                for opcode, argument, _ in pickletools.genops(io.BytesIO(archive.read(name))):
                    if opcode.name in ("GLOBAL", "INST"):
                        yield str(argument).replace(" ", ".")


def _describe_damage(error: Exception) -> CheckpointError:
    # torch puts advice before its reason, to run what the file asks for.
    reason = str(error).rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    return CheckpointError(
        f"cannot be read as weights ({type(error).__name__}: {excerpt(reason, 300)}); it is "
        "truncated, altered or something else: fetch it again and compare its size with the "
        "publisher's"
    )
