"""A folder of results: they appear together, and replace nothing but earlier results."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stereo_depth_ros.atomic_file import SCRATCH, WriteError, scratch_folder, write_text
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.file_hash import sha256_of

RECORD = "results.json"
"""The file that says which files beside it are results, by their hashes."""


@dataclass(frozen=True)
class ResultFolder:
    """The results of ``maker``, such as "run", in the folder ``path``, which may not exist yet."""

    path: Path
    maker: str

    def check_free(self, names: Collection[str]) -> None:
        """Check that what is called one of ``names`` is a result of the same maker, as it wrote it.

        Raises
        ------
        InputError
            Where it is not; the text names it.
        """
        others = [name for name in sorted({*names, RECORD}) if self._is_foreign(name)]
        if others:
            raise InputError(
                f"{self.path / others[0]} would be overwritten by a result, and is none of an "
                f"earlier {self.maker}; give another folder, or move it"
            )

    def check_alone(self, allowed: Collection[str] = ()) -> None:
        """Check that the folder holds nothing but results of the same maker, and ``allowed`` names.

        Raises
        ------
        InputError
            Where it holds anything else; the text names it.
        """
        names = sorted(os.listdir(self.path)) if self.path.is_dir() else []
        others = [
            name
            for name in names
            if name not in allowed and not name.startswith(SCRATCH) and self._is_foreign(name)
        ]
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise InputError(
                f"{self.path} holds {others[0]}{more}, no result of an earlier {self.maker}; give "
                "another folder, or move what is in it"
            )

    @contextmanager
    def replace(self, engine: str) -> Iterator[Path]:
        """Yield an empty folder to write results into; at the end they replace the earlier ones.

        ``engine`` says in the record what made them. Where the block fails nothing has changed.

        Raises
        ------
        InputError
            As `check_free`, of what was written.
        WriteError
            For any OSError; the text names the file.
        """
        is_new = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with scratch_folder(self.path) as scratch:
                try:
                    yield scratch
                    self._move(scratch, engine)
                except WriteError as error:
                    text = str(error).replace(str(scratch), str(self.path))
                    raise WriteError(text) from error
        except BaseException as error:
            if is_new:
                with suppress(OSError):
                    self.path.rmdir()
            if isinstance(error, OSError) and not isinstance(error, WriteError):
                reason = error.strerror or str(error)
                raise WriteError(f"{self.path} was not written: {reason}") from error
            raise

    def _move(self, scratch: Path, engine: str) -> None:
        hashes = {file.name: sha256_of(file) for file in sorted(scratch.iterdir())}
        self.check_free(hashes)
        earlier = self._read_record()
        record = {"maker": self.maker, "engine": engine, "files": hashes}
        write_text(scratch / RECORD, json.dumps(record, indent=1) + "\n")
        for name in earlier.keys() - hashes.keys():
            if not self._is_foreign(name):
                (self.path / name).unlink(missing_ok=True)
        for name in (*hashes, RECORD):
            os.replace(scratch / name, self.path / name)

    def _is_foreign(self, name: str) -> bool:
        """Whether ``name`` is there and nothing that this maker wrote."""
        file = self.path / name
        if not os.path.lexists(file):
            return False
        if file.is_symlink() or not file.is_file():
            return True
        hashes = self._read_record()
        if name == RECORD:
            return not hashes
        return name not in hashes or sha256_of(file) != hashes[name]

    def _read_record(self) -> dict[str, str]:
        """Return the hashes of the results by name, none where another maker wrote the record."""
        try:
            record = json.loads((self.path / RECORD).read_bytes())
            if record["maker"] == self.maker:
                return {str(name): str(digest) for name, digest in record["files"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        return {}
