"""One engine on disk: a plan, and the sidecar that says what it is and whether it is proven.

An engine is a plan, NAME.engine, and a sidecar, NAME.json, written in this order and each at once;
so what has a sidecar is whole, unless something damaged it later, which its hash tells.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.device import driver_version
from stereo_depth_ros.engines.tensorrt.key import differences
from stereo_depth_ros.engines.tensorrt.parts import part_of
from stereo_depth_ros.engines.tensorrt.verdict import SelfTest
from stereo_depth_ros.file_hash import sha256_of

PLAN, SIDECAR = ".engine", ".json"


class EngineDamaged(EngineError):
    """An engine file that is not what was written."""


@dataclass(frozen=True)
class EngineFile:
    """A serialised engine (a plan), and the sidecar that says what it is.

    Attributes
    ----------
    path
        Of the plan.
    sidecar
        ``key`` (all that the plan depends on), ``graph`` (``file``, ``metadata``, ``height``,
        ``width`` and ``takes_prior`` of what it was built from), ``plan`` (``sha256``, ``bytes``),
        ``build`` (``seconds``, ``layers``, ``time``, ``why``), ``self_test`` (its numbers and
        verdict, None before it was run) and, where there is anything to tell, ``losses`` (how many
        self-tests lost the GPU) and ``refusal`` (``text``, ``driver``: why that driver cannot use
        it).
    notes
        Why it is not what was asked for, where it is not.
    """

    path: Path
    sidecar: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def runtime(self) -> str:
        """Module that runs it: "tensorrt" or "tensorrt_rtx"."""
        return self.sidecar["key"]["runtime"]["module"]

    @property
    def precision(self) -> str:
        """What it computes in: "fp32" or "mixed"."""
        return self.sidecar["key"]["precision"]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images it takes."""
        return self.sidecar["graph"]["height"], self.sidecar["graph"]["width"]

    @property
    def takes_prior(self) -> bool:
        """Whether its graph has the two inputs of the prior, which older sidecars do not tell."""
        return bool(self.sidecar["graph"].get("takes_prior", False))

    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata of its graph: ``network``, ``max_disparity``, ``licence``..."""
        return self.sidecar["graph"]["metadata"]

    @property
    def self_test(self) -> SelfTest | None:
        """The result of its self-test; None before that was run, by the gates of today."""
        return SelfTest.from_dict(self.sidecar["self_test"])

    @property
    def losses(self) -> int:
        """How many self-tests of it lost the GPU."""
        return int(self.sidecar.get("losses", 0))

    @property
    def failure(self) -> str:
        """Why it must not be used, "" where nothing is known against it."""
        refusal = self.sidecar.get("refusal")
        # Another driver may take what this one refused.
        if refusal is not None and refusal["driver"] == driver_version():
            return refusal["text"]
        if self.self_test is not None and not self.self_test.passed:
            return f"fails its self-test: {'; '.join(self.self_test.failures)}"
        return ""

    @property
    def proven(self) -> bool | None:
        """Whether it passed its self-test; None before that was run."""
        if self.failure:
            return False
        return None if self.self_test is None else True


def why_useless(file: EngineFile | EngineDamaged, machine: Mapping[str, Any]) -> str:
    """Return why nothing will use an engine any more, "" where something may.

    ``machine`` is the `machine_key` here, as far as it is known.
    """
    if isinstance(file, EngineDamaged):
        return f"damaged: {file}"
    if file.failure:
        return file.failure
    changes = differences(file.sidecar["key"], machine)
    graph = Path(file.sidecar["graph"]["file"])
    if graph.is_file() and sha256_of(graph) != file.sidecar["key"]["graph"]:
        changes.append(f"{graph} has changed since")
    return "; ".join(changes)


def read_engine(path: Path) -> EngineFile:
    """Return the engine at ``path`` after checking that it is what was written.

    Raises
    ------
    EngineDamaged
        When plan or sidecar is missing, cut short or altered.
    """
    sidecar = read_sidecar(path)
    file = EngineFile(path, sidecar)
    if file.proven is False and not path.exists():
        return file  # refused, its numbers kept so that it is not built again
    try:
        size, sha256 = path.stat().st_size, sha256_of(path)
    except OSError as error:
        raise EngineDamaged(f"{path} cannot be read: {error.strerror}") from error
    if size != sidecar["plan"]["bytes"]:
        raise EngineDamaged(f"{path} has {size} bytes, not {sidecar['plan']['bytes']}")
    if sha256 != sidecar["plan"]["sha256"]:
        raise EngineDamaged(f"{path} is altered: its hash is not that of its sidecar")
    return file


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return the sidecar of the plan at ``path``, complete.

    Raises
    ------
    EngineDamaged
        When it is missing or broken.
    """
    sidecar = path.with_suffix(SIDECAR)
    try:
        content = json.loads(sidecar.read_text())
        file = EngineFile(path, content)
        file.runtime, file.precision, file.size, file.metadata  # noqa: B018
        file.losses, file.proven  # noqa: B018
        content["plan"]["sha256"], content["plan"]["bytes"], content["build"]["time"]
        return content
    except OSError as error:
        raise EngineDamaged(f"{sidecar} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineDamaged(f"{sidecar} is no sidecar of an engine") from error


def copy_engine(file: EngineFile, path: Path) -> EngineFile:
    """Copy plan and sidecar of ``file`` to ``path`` and the .json beside it; return the copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, file.path.read_bytes())
    write_sidecar(path, file.sidecar)
    return EngineFile(path, file.sidecar, file.notes)


def write_sidecar(path: Path, content: Mapping[str, Any]) -> None:
    """Write the sidecar of the plan at ``path``, whole or not at all."""
    _write(path.with_suffix(SIDECAR), json.dumps(content, indent=1).encode())


def _write(path: Path, content: bytes) -> None:
    part = part_of(path)
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
