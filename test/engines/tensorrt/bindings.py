"""What NVIDIA's Python bindings of each TensorRT hold, read from the bindings themselves.

They come in small wheels of their own and need three libraries, which are large and need a GPU.
Empty libraries of the same names, made with a C compiler, will do to look at classes and
signatures. Nothing of NVIDIA's is kept in this repository; `make test` does this:

    python test/engines/tensorrt/bindings.py FOLDER     downloads the wheels (10 MB) into FOLDER
    TENSORRT_BINDINGS=FOLDER pytest …                   tests what this package uses of them
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# What JetPacks and desktops have. Those of 8.5 come with the libraries, 0.5 GB; unpack one into
# FOLDER/8.5.3.1 with a Python of its age, if you want it tested too.
WHEELS = (
    "tensorrt-bindings==8.6.1",
    "tensorrt-cu12-bindings==10.0.1",
    "tensorrt-cu12-bindings==10.3.0",
    "tensorrt-cu12-bindings==10.13.3.9",
    "tensorrt-cu12-bindings==10.16.1.11",
    "tensorrt-cu13-bindings==11.0.0.114",
    "tensorrt-cu13-bindings==11.4.0.106",
)

TOOLS = ("cc", "nm", "readelf")

_DUMP = """
import importlib, inspect, json, sys, warnings
warnings.simplefilter("ignore")
module = importlib.import_module(sys.argv[1])
found = {"": {n: "" for n in dir(module) if not n.startswith("_")}}
for name, kind in vars(module).items():
    if inspect.isclass(kind) and not name.startswith("_"):
        names = {n for n in dir(kind) if not n.startswith("_")} | {"__init__"}
        found[name] = {n: getattr(getattr(kind, n), "__doc__", None) or "" for n in names}
print(json.dumps(found))
"""

Surface = dict[str, dict[str, str]]


def download(folder: Path) -> None:
    """Put every wheel that this Python has into ``folder``, unpacked."""
    for wheel in WHEELS:
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", "--dest", scratch, wheel]
            if subprocess.run(command, check=False).returncode:
                print(f"{wheel}: none for this Python", file=sys.stderr)
                continue
            (file,) = Path(scratch).iterdir()
            with zipfile.ZipFile(file) as archive:
                archive.extractall(folder / wheel.partition("==")[2])


def missing_tools() -> list[str]:
    """Return what this machine lacks of that by which empty libraries are made."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


@functools.cache
def surface(package: Path) -> Surface:
    """Return the docstring of every member by name of class; "" are the names of the module.

    ``package`` is a folder of bindings, with tensorrt.so in it.
    """
    library = package / "tensorrt.so"
    with tempfile.TemporaryDirectory() as scratch:
        libraries = _make_libraries(library, Path(scratch))
        return _dump(f"{package.name}.tensorrt", package.parent, libraries)


@functools.cache
def rtx_surface() -> Surface:
    """The same of the installed tensorrt_rtx."""
    return _dump("tensorrt_rtx", Path.cwd(), [])


def _dump(module: str, folder: Path, libraries: list[str]) -> Surface:
    # Not the package, whose __init__ would load the real libraries, but the library in it.
    code = f"import sys, types; p = types.ModuleType({module.partition('.')[0]!r})\n"
    code += f"p.__path__ = [{str(folder / module.partition('.')[0])!r}]\n"
    code += "sys.modules[p.__name__] = p\n" if "." in module else ""
    answer = subprocess.run(
        [sys.executable, "-c", code + _DUMP, module],
        # Loaded before the real ones can be, which some wheels bring along.
        env={**os.environ, "LD_PRELOAD": ":".join(libraries)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def _make_libraries(library: Path, folder: Path) -> list[str]:
    def output(*command: str) -> str:
        return subprocess.run(
            [*command, str(library)], capture_output=True, text=True, check=True
        ).stdout

    needed = re.findall(r"\[(libnv\w+\.so\.\d+)\]", output("readelf", "-d"))
    lines = output("nm", "-D", "--undefined-only").splitlines()
    names = [line.split()[-1] for line in lines if line.split()[0] == "U" and "@" not in line]
    names = [n for n in names if not n.startswith(("Py", "_Py", "dl"))]
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in names))
    for name in needed:
        # All of them hold every symbol, since it does not matter which one has it.
        subprocess.run(
            ["cc", "-w", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name, source],
            check=True,
        )
    return [str(folder / name) for name in needed]


if __name__ == "__main__":
    download(Path(sys.argv[1]))
