"""Names of what is being written, so that what was left unfinished is known as such.

A folder of engines may be shared by several machines, so a name tells the machine that writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

PART = ".part"


@lru_cache
def machine() -> str:
    """Return what tells this running machine from others, the same in all its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return "unknown"


def part_of(path: Path) -> Path:
    """Return where this process writes what is to become ``path``."""
    return path.with_name(f"{path.name}.{machine()}.{os.getpid()}{PART}")


def parts_of_this_machine(folder: Path) -> Iterator[Path]:
    """Yield what processes of this machine write, or left unfinished, in ``folder``."""
    return folder.glob(f"*.{machine()}.*{PART}")
