"""Get at the weights file in a folder or an archive that somebody put around it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from stereo_depth_ros.checkpoints.error import CheckpointError

_PICKLE = "data.pkl"  # what torch.save calls its main entry, in a folder named after the file
_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".safetensors")
_MAX_RATIO = 8  # of unpacked to packed; weights hardly pack at all


@contextmanager
def unwrap(path: Path) -> Iterator[Path]:
    """Yield the weights file that ``path`` is, or a temporary copy of the one that it holds.

    Raises
    ------
    CheckpointError
        For a folder that is no unpacked torch.save file, or an archive of several or none.
    """
    if path.is_dir():
        with TemporaryDirectory() as folder:
            yield _pack(path, Path(folder) / "packed.pth")
    elif _is_other_archive(path):
        with TemporaryDirectory() as folder:
            try:
                extracted = _extract(path, Path(folder))
            except CheckpointError:
                raise
            except Exception as error:  # of zipfile and the packers below it, which have no base
                raise CheckpointError(
                    f"cannot be unpacked ({error}); unpack it yourself, and give the file in it"
                ) from error
            yield extracted
    else:
        yield path


def _is_other_archive(path: Path) -> bool:
    """Tell whether this is a whole zip archive that torch.save did not write."""
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # it is damaged, which the reader of weights puts into words
        return False
    return not any(name.rpartition("/")[2] == _PICKLE for name in names)


def _pack(folder: Path, target: Path) -> Path:
    """Write the unpacked torch.save file in ``folder`` as one file again."""
    roots = [pickle.parent for pickle in (folder / _PICKLE, *folder.glob(f"*/{_PICKLE}"))]
    roots = [root for root in roots if (root / _PICKLE).is_file()]
    if len(roots) != 1:
        raise CheckpointError("is a folder, not an unpacked torch.save file; give the file in it")
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(roots[0].rglob("*")):
            if file.is_file():
                archive.write(file, Path("archive") / file.relative_to(roots[0]))
    return target


def _extract(path: Path, folder: Path) -> Path:
    """Write the one weights file in the archive at ``path`` into ``folder``."""
    with zipfile.ZipFile(path) as archive:
        members = [
            entry
            for entry in archive.infolist()
            if entry.filename.lower().endswith(_SUFFIXES)
            and not entry.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            raise CheckpointError(
                f"is an archive with {len(members)} weights files; unpack it, and give the file"
            )
        (member,) = members
        if member.file_size > _MAX_RATIO * member.compress_size:
            raise CheckpointError(
                f"claims to unpack into {member.file_size} bytes; do not trust it, and fetch the "
                "weights from their authors"
            )
        target = folder / f"unpacked{Path(member.filename).suffix}"
        with archive.open(member) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file)
    return target
