"""A calibration file as text and as what YAML or JSON makes of it, and numbers out of either."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from stereo_depth_ros.calibration import Calibration, CalibrationError
from stereo_depth_ros.excerpt import excerpt, excerpt_repr

MAX_BYTES = 1 << 18
"""Larger files are no calibrations; those of cameras with many sensors take a tenth of it."""

_MAX_NUMBERS = 100

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

Pair = tuple[Calibration, Calibration]
Size = tuple[int, int]

# A file may hold anything at any place.
_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    cv2.error,
    yaml.YAMLError,
)


@dataclass(frozen=True)
class Document:
    """One file: its path, its text, and the mapping that YAML or JSON makes of it, else empty.

    ``fault`` says in which line of a file named .yaml, .yml or .json the syntax breaks.
    """

    path: str
    text: str
    content: dict[Any, Any]
    fault: str = ""

    def __contains__(self, key: str) -> bool:
        return key in self.content


@dataclass(frozen=True)
class Format:
    """A way to write calibrations down.

    ``name`` is for messages and ``summary`` for help; ``files`` the numbers of files that may make
    up a pair; ``matches`` tells whether one file looks like it; ``read`` takes the files and the
    size of the images (width, height), and returns the pair at the size the files state, or at the
    images' where they state none. What it raises is reported with the path.
    """

    name: str
    summary: str
    files: tuple[int, ...]
    matches: Callable[[Document], bool]
    read: Callable[[Sequence[Document], Size], Pair]


class _Loader(yaml.SafeLoader):
    """Reads the matrices of OpenCV as the mappings that they are."""


_Loader.add_constructor(
    "tag:yaml.org,2002:opencv-matrix",
    lambda loader, node: loader.construct_mapping(node, deep=True),  # type: ignore[arg-type]
)


def read_document(path: str) -> Document:
    """Read a file in UTF-8 or, with a byte order mark, UTF-16.

    Raises
    ------
    CalibrationError
        When it is missing, too large, or no text.
    """
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CalibrationError(f"calibration file {path}: {error.strerror}") from error
    encoding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), "utf-8")
    try:
        text = data[:MAX_BYTES].decode(encoding)
    except ValueError:
        text = "\0"
    if "\0" in text:
        raise CalibrationError(f"{path} is a binary file, not a calibration")
    if len(data) > MAX_BYTES:
        raise CalibrationError(f"{path} is larger than {MAX_BYTES >> 10} kB, so no calibration")
    try:
        content = _parse(text)
    except _FAULTS as error:
        return Document(path, text, {}, _describe_syntax(path, text, error))
    return Document(path, text, content if isinstance(content, dict) else {})


def _describe_syntax(path: str, text: str, error: BaseException) -> str:
    suffix = Path(path).suffix.lower()
    if suffix == ".json":
        try:
            json.loads(text)
        except json.JSONDecodeError as json_error:
            return f"line {json_error.lineno} is no JSON: {json_error.msg}"
    if suffix in (".yaml", ".yml") and isinstance(error, yaml.MarkedYAMLError):
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1} "
        return f"{line}is no YAML: {error.problem}"
    return ""


def _parse(text: str) -> Any:
    try:
        # YAML forbids the tabs that JSON may be indented with.
        return json.loads(text)
    except ValueError:
        pass
    # OpenCV writes "%YAML:1.0", which YAML does not allow.
    lines = ["" if line.startswith("%YAML") else line for line in text.splitlines()]
    # ros2 topic echo ends every message with "---"; the first says it all.
    return next(iter(yaml.load_all("\n".join(lines), _Loader)), None)


def parse_number(value: Any, name: str) -> float:
    """Return a finite number that is written as one, in digits or as text.

    Raises
    ------
    ValueError
        Anything else, True and NaN among it; the text calls it ``name``.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        result = float(value)
    except (ArithmeticError, TypeError, ValueError):
        result = math.nan
    if not math.isfinite(result):
        raise ValueError(f"{name} is {excerpt_repr(value)}, not a number")
    return result


def parse_numbers(value: Any, count: int | None, name: str) -> list[float]:
    """Return the numbers of a (nested) list, of a text, or of the ``data`` of a mapping.

    Raises
    ------
    ValueError
        When one is no number, or there are not ``count`` of them; None allows any count.
    """
    if isinstance(value, dict):
        value = value["data"]
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{name} is {excerpt_repr(value)}, not a list of numbers")
    if value and all(isinstance(row, (list, tuple)) for row in value):
        # YAML can name one long row many times over.
        if sum(map(len, value)) > _MAX_NUMBERS:
            raise ValueError(f"{name} has more than {_MAX_NUMBERS} numbers")
        value = [entry for row in value for entry in row]
    if count is not None and len(value) != count:
        raise ValueError(f"{name} has {len(value)} numbers, not {count}")
    return [parse_number(entry, name) for entry in value]


def parse_size(width: Any, height: Any) -> Size:
    """Return whole pixels."""
    return int(parse_number(width, "width")), int(parse_number(height, "height"))


def parse_matrix(value: Any, rows: int, columns: int, name: str) -> np.ndarray:
    """Return numbers as a (rows, columns) float64 array."""
    return np.array(parse_numbers(value, rows * columns, name)).reshape(rows, columns)


@contextmanager
def report_faults(path: str, name: str) -> Iterator[None]:
    """Raise what goes wrong in a file as one line that names it and the format ``name``.

    Raises
    ------
    CalibrationError
        For anything that a file can cause.
    """
    try:
        yield
    except CalibrationError:
        raise
    except _FAULTS as error:
        raise CalibrationError(f"{path}, read as {name}: {_describe(error)}") from error


def _describe(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"lacks {excerpt_repr(error.args[0])}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return excerpt(error)


def make_pinhole_pair(
    path: str, size: Size, left: np.ndarray, right: np.ndarray, baseline: float
) -> Pair:
    """Return a rectified pair of matrices K (3, 3) in px; ``baseline`` is in m, 0 where unknown."""
    return (
        _make_pinhole(path, size, left, 0.0),
        _make_pinhole(path, size, right, -float(right[0, 0]) * baseline),
    )


def make_matrix(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """Return the matrix K (3, 3) float64 of a pinhole camera, in px."""
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)


def _make_pinhole(path: str, size: Size, k: np.ndarray, tx: float) -> Calibration:
    p = np.hstack([k, [[tx], [0.0], [0.0]]])
    return Calibration(*size, k=k, p=p, r=np.eye(3), source=path)
