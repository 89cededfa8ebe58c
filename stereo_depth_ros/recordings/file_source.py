"""Pairs of image files: two folders, two patterns, a list, or a dataset."""

from __future__ import annotations

import csv
import glob
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.evaluation.datasets import read_dataset
from stereo_depth_ros.pair_geometry import PairGeometry
from stereo_depth_ros.pair_images import load_pair
from stereo_depth_ros.recordings.frame import Frame, Skip
from stereo_depth_ros.recordings.rig import Rig

IMAGES = (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp")

PERIOD_NS = 100_000_000
"""Time between two pairs of files, whose names are no stamps."""


@dataclass(frozen=True)
class FilePair:
    """Two image files and what their results are called."""

    name: str
    left: Path
    right: Path


class FileSource:
    """Pairs of files; see `stereo_depth_ros.recordings.frame.Source`.

    ``missing`` counts what has no partner.
    """

    is_stream = False

    def __init__(
        self, pairs: Sequence[FilePair], rig: Rig, missing: dict[str, int] | None = None
    ) -> None:
        self._pairs = pairs
        self._rig = rig
        self.is_metric = bool(rig.calibration)
        self.losses = missing or {}
        self.expected = len(pairs)
        first = f"the first {pairs[0].left}, {pairs[0].right}"
        self.notes = [f"pairs of files: {len(pairs)}, {first}", *rig.notes]
        files = [[str(pair.left), str(pair.right)] for pair in pairs]
        self.identity = {"source": files, **rig.identity}

    def __iter__(self) -> Iterator[Frame | Skip]:
        """Yield the pairs in order."""
        known: dict[tuple[int, int], PairGeometry] = {}
        last = 0
        for index, pair in enumerate(self._pairs):
            stamp = _read_stamp(pair.left.stem)
            stamp = index * PERIOD_NS if stamp is None else stamp
            last = max(last, stamp)
            began = time.perf_counter()
            try:
                left, right = load_pair(pair.left, pair.right)
                size = left.shape[1], left.shape[0]
                if size not in known:
                    known[size] = self._rig.find_geometry(*size)
            except (InputError, OSError) as error:
                yield Skip(pair.name, stamp, last, str(error))
                continue
            seconds = time.perf_counter() - began
            yield Frame(pair.name, stamp, last, "", left, right, known[size], seconds)


def pair_folders(left: str, right: str) -> tuple[list[FilePair], dict[str, int]]:
    """Pair the images of two folders or patterns, by name or, where no name is in both, by order.

    Returns
    -------
    tuple
        The pairs in order, and the number of images without a partner by reason.

    Raises
    ------
    InputError
        When either holds no image, or they cannot be paired.
    FileNotFoundError
        When either is no pattern and not there.
    """
    lefts, rights = _list_images(left), _list_images(right)
    by_name = {file.stem: file for file in rights}
    shared = [file for file in lefts if file.stem in by_name]
    if shared:
        pairs = [(file, by_name[file.stem]) for file in shared]
    elif len(lefts) == len(rights):
        pairs = list(zip(lefts, rights, strict=True))
    else:
        raise InputError(
            f"{left} has {len(lefts)} images and {right} {len(rights)}, and no name is in both; "
            "name the two of a pair alike, or write the pairs into a list file"
        )
    missing = {
        "left images without a right one": len(lefts) - len(pairs),
        "right images without a left one": len(rights) - len(pairs),
    }
    return _name(pairs), {reason: number for reason, number in missing.items() if number}


def read_list(path: Path) -> list[FilePair]:
    """Read a list of pairs: two file names a line, relative to the list's.

    In a .csv they stand between commas, or semicolons, and may be quoted; else a space or comma
    divides them.

    Raises
    ------
    InputError
        For a line of another form, and for a list of nothing.
    """
    pairs = []
    # With the mark that spreadsheets put at the beginning.
    text = path.read_text(encoding="utf-8-sig")
    unquoted = re.sub('"[^"]*"', "", text)
    divider = next((mark for mark in ";,\t" if mark in unquoted), " ")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if path.suffix.lower() == ".csv":
            parts = next(csv.reader([line], delimiter=divider, skipinitialspace=True))
        else:
            parts = re.split(r"[,;\s]+", line)
        names = [part.strip() for part in parts if part.strip()]
        if len(names) < 2:
            raise InputError(f"{path}, line {number}: '{line[:80]}' is not LEFT RIGHT")
        pairs.append((path.parent / names[0], path.parent / names[1]))
    if not pairs:
        raise InputError(f"{path} lists no pair; write LEFT RIGHT on each line")
    return _name(pairs)


def list_dataset(root: Path, layout: str) -> list[FilePair]:
    """Return the pairs of a dataset that `stereo-depth evaluate` reads.

    Raises
    ------
    DatasetError
        When it does not have that layout.
    """
    samples = read_dataset(root, layout)
    return [
        FilePair(sample.name.replace("/", "_"), sample.left, sample.right) for sample in samples
    ]


def _name(pairs: Sequence[tuple[Path, Path]]) -> list[FilePair]:
    """Name pairs after their left files where that tells them apart, else by number."""
    stems = [left.stem for left, _ in pairs]
    is_unique = len(set(stems)) == len(stems)
    names = stems if is_unique else [f"{index:06d}" for index in range(len(pairs))]
    return [FilePair(name, *pair) for name, pair in zip(names, pairs, strict=True)]


def _list_images(text: str) -> list[Path]:
    path = Path(text)
    if not path.exists() and not glob.has_magic(text):
        raise FileNotFoundError(f"{text} does not exist")
    files = list(path.iterdir()) if path.is_dir() else [Path(name) for name in glob.glob(text)]
    images = [file for file in files if file.suffix.lower() in IMAGES]
    if not images:
        raise InputError(f"{text} holds no image ({', '.join(IMAGES)}); name a folder or a pattern")
    return sorted(images, key=_order)


def _order(path: Path) -> list[tuple[int, str]]:
    """Numbers within names count as numbers."""
    return [
        (int(part), "") if part.isdigit() else (-1, part)
        for part in re.split(r"(\d+)", path.stem)
        if part
    ]


def _read_stamp(stem: str) -> int | None:
    """Return the ns of a name that is a stamp, as EuRoC's are; None of any other."""
    return int(stem) if re.fullmatch(r"\d{16,19}", stem) else None
