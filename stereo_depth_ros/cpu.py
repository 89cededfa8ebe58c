"""What the CPU is called."""

from __future__ import annotations

import re
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


def name_cpu() -> str:
    """Return its model, "unknown" where the system does not say."""
    try:
        match = re.search(r"model name\s*:\s*(.+)", _CPU_INFO.read_text())
    except OSError:
        match = None
    return match[1].strip() if match else "unknown"
