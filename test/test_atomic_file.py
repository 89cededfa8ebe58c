"""Killed runs, full disks, masks and two writers at once, each a real one."""

import ast
import errno
import fcntl
import gc
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import stereo_depth_ros
from stereo_depth_ros import atomic_file
from stereo_depth_ros.atomic_file import (
    WriteError,
    scratch_folder,
    write_aside,
    write_bytes,
    write_npy,
    write_text,
)
from stereo_depth_ros.pictures import write_image, write_ply

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
WRITERS = {
    "bytes": ("file.bin", lambda path: write_bytes(path, b"x" * 20_000)),
    "text": ("file.json", lambda path: write_text(path, "ä" * 10_000)),
    "npy": ("file.npy", lambda path: write_npy(path, np.zeros((64, 64), np.float32))),
    "png": ("file.png", lambda path: write_image(path, IMAGE)),
    "ply": ("file.ply", lambda path: write_ply(path, IMAGE / 1.0, IMAGE)),
}


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def start_writer(path, content):
    """Begin to write ``content`` to ``path`` in a process that then waits to be killed."""
    code = f"""
from pathlib import Path
import time
from stereo_depth_ros.atomic_file import write_aside
with write_aside(Path({str(path)!r})) as aside:
    aside.write_bytes({content!r})
    print("half way", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "half way\n"
    return process


def kill(process, number):
    process.send_signal(number)
    process.wait(timeout=60)
    process.stdout.close()


@pytest.fixture
def small_files():
    """A limit of 4 kB on the size of files, as a quota would set one."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def full_disk(tmp_path):
    """A disk of 16 kB, or none where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kind", WRITERS)
def test_file_is_written_and_nothing_else(kind, tmp_path):
    name, write = WRITERS[kind]

    write(tmp_path / "new" / name)

    assert names(tmp_path / "new") == [name]
    if kind == "png":
        assert np.array_equal(cv2.imread(str(tmp_path / "new" / name))[..., ::-1], IMAGE)
    if kind == "npy":
        assert np.array_equal(np.load(tmp_path / "new" / name), np.zeros((64, 64), np.float32))
    if kind == "text":
        assert (tmp_path / "new" / name).read_text(encoding="utf-8") == "ä" * 10_000


@pytest.mark.parametrize("kind", WRITERS)
def test_full_disk_is_named_and_leaves_the_old_file(kind, full_disk):
    name, write = WRITERS[kind]
    if kind == "png":
        (full_disk / "filler").write_bytes(bytes(8_000))
    (full_disk / name).write_bytes(b"old")

    with pytest.raises(WriteError) as failure:
        write(full_disk / name)

    assert str(failure.value) == (
        f"{full_disk / name} was not written: No space left on device; free some, or write "
        "elsewhere"
    )
    assert (full_disk / name).read_bytes() == b"old"
    assert set(names(full_disk)) <= {name, "filler"}


def test_array_that_cannot_be_written_can_be_collected(full_disk):
    # Python 3.12 crashes on what a view of the written buffer leaves in the traceback.
    with pytest.raises(WriteError):
        write_npy(full_disk / "file.npy", np.zeros((64, 64)))

    assert gc.collect() >= 0


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("kind", WRITERS)
def test_limit_on_the_size_of_files_is_named_and_leaves_the_old_file(kind, tmp_path):
    name, write = WRITERS[kind]
    (tmp_path / name).write_bytes(b"old")

    with pytest.raises(WriteError) as failure:
        write(tmp_path / name)

    assert str(failure.value) == (f"{tmp_path / name} was not written: {os.strerror(errno.EFBIG)}")
    assert (tmp_path / name).read_bytes() == b"old"
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_writer_leaves_the_old_file_and_the_next_one_sweeps(number, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")

    kill(start_writer(path, b"new, but half"), number)

    assert path.read_bytes() == b"old"
    write_bytes(tmp_path / "other.npy", b"another file of that folder")
    assert names(tmp_path) == ["net.onnx", "other.npy"]
    assert path.read_bytes() == b"old"


def test_writer_that_lives_is_not_swept(tmp_path):
    process = start_writer(tmp_path / "slow.onnx", b"half")

    write_bytes(tmp_path / "fast.onnx", b"whole")

    (folder,) = (name for name in names(tmp_path) if name.startswith("."))
    assert (tmp_path / folder / "slow.onnx").read_bytes() == b"half"
    kill(process, signal.SIGKILL)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_mode_follows_the_umask_whatever_the_library_writes(mask, mode, tmp_path):
    before = os.umask(mask)
    try:
        with write_aside(tmp_path / "net.safetensors") as aside:
            aside.write_bytes(b"weights")
            aside.chmod(0o600)
        write_bytes(tmp_path / "net.onnx", b"graph")
    finally:
        os.umask(before)

    for name in ("net.safetensors", "net.onnx"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


def test_interrupted_block_leaves_the_old_file(tmp_path):
    write_bytes(tmp_path / "file", b"old")

    with pytest.raises(KeyError), write_aside(tmp_path / "file") as aside:
        aside.write_bytes(b"new")
        raise KeyError("not of writing, so not renamed")

    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.onnx").write_bytes(b"old")
    (tmp_path / "link.onnx").symlink_to("models/net.onnx")

    write_bytes(tmp_path / "link.onnx", b"new")

    assert (tmp_path / "link.onnx").is_symlink()
    assert (tmp_path / "models" / "net.onnx").read_bytes() == b"new"


def test_pipe_is_written_to_directly(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()

    write_text(tmp_path / "pipe", "figures")

    reader.join(timeout=60)
    assert received == [b"figures"]
    assert (tmp_path / "pipe").is_fifo()


def test_two_writers_of_one_file_never_mix(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([letter]) * 100_000 for letter in b"ab"]

    def write_often(content):
        for _ in range(20):
            write_bytes(path, content)

    write_bytes(path, contents[0])
    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write_often, content) for content in contents]
        while not all(writer.done() for writer in writers):
            assert path.read_bytes() in contents
        for writer in writers:
            writer.result()

    assert path.read_bytes() in contents
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("moment", ["before it is opened", "before it is locked"])
def test_new_folder_swept_by_another_writer_is_made_again(moment, tmp_path, monkeypatch):
    made = []

    def make_and_sweep(**arguments):
        made.append(Path(tempfile.mkdtemp(**arguments)))
        if len(made) == 1 and moment == "before it is opened":
            made[0].rmdir()
        return str(made[-1])

    def lock_and_sweep(descriptor, operation):
        if len(made) == 1 and moment == "before it is locked":
            made[0].rmdir()
        fcntl.flock(descriptor, operation)

    monkeypatch.setattr(atomic_file, "tempfile", SimpleNamespace(mkdtemp=make_and_sweep))
    monkeypatch.setattr(
        atomic_file,
        "fcntl",
        SimpleNamespace(flock=lock_and_sweep, LOCK_EX=fcntl.LOCK_EX, LOCK_NB=fcntl.LOCK_NB),
    )

    write_bytes(tmp_path / "file", b"content")

    assert len(made) == 2
    assert (tmp_path / "file").read_bytes() == b"content"
    assert names(tmp_path) == ["file"]


def test_folder_that_vanishes_is_named(tmp_path, monkeypatch):
    def make_in_vanished(**arguments):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "folder")

    monkeypatch.setattr(atomic_file, "tempfile", SimpleNamespace(mkdtemp=make_in_vanished))

    with pytest.raises(WriteError, match="was not written: No such file or directory"):
        write_bytes(tmp_path / "file", b"content")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("a/file/below", "{}/a/file is a file, not a folder"), ("a", "Is a directory")],
)
def test_place_that_cannot_be_is_named_with_its_cause(path, reason, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()

    with pytest.raises(WriteError) as failure:
        write_bytes(tmp_path / path, b"content")

    assert str(failure.value) == f"{tmp_path / path} was not written: {reason.format(tmp_path)}"


def test_sweep_leaves_alone_what_is_not_a_folder_of_ours(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "precious").touch()
    (tmp_path / ".stereo_depth-link").symlink_to("target")
    (tmp_path / ".stereo_depth-file").touch()
    (tmp_path / ".other").mkdir()

    with scratch_folder(tmp_path):
        pass

    assert names(tmp_path) == [".other", ".stereo_depth-file", ".stereo_depth-link", "target"]
    assert names(tmp_path / "target") == ["precious"]


PACKAGE = Path(stereo_depth_ros.__file__).parent
WRITES = {"write_text", "write_bytes", "imwrite", "save", "savez", "savez_compressed", "tofile"}
# Logs and transfers grow in place, the cache of engines has a lock and names of its own, and what
# is unpacked goes into a temporary folder.
IN_PLACE = (
    "atomic_file.py",
    "checkpoints/container.py",
    "checkpoints/hub.py",
    "engines/tensorrt/",
    "ros/tools/processes.py",
)


def writes_in_place(file):
    """Yield the lines that write a file through a method or function of another library."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            modes = {a.value for a in arguments if isinstance(a, ast.Constant)}
            opens = node.func.attr == "open" and modes & {"w", "wb", "a", "ab", "x"}
            into_memory = any(isinstance(a, ast.Name) and a.id == "buffer" for a in arguments)
            if opens or (node.func.attr in WRITES and not into_memory):
                yield ast.unparse(node)


def test_no_other_module_writes_a_file_in_place():
    files = {str(file.relative_to(PACKAGE)): file for file in PACKAGE.rglob("*.py")}

    found = {
        f"{name}: {line}"
        for name, file in files.items()
        if not name.startswith(IN_PLACE)
        for line in writes_in_place(file)
    }

    # Some of ours, which write aside themselves, and a file that is only locked.
    assert found == {
        "cli/run.py: depth.save(arguments.output)",
        "export/publication.py: "
        "test_pairs[0].make_reference(made).save(locate_reference(made.path))",
        "model_store.py: lock.open('a')",
        # A record grows by lines, and what is left half written is dropped when it is read.
        "recordings/record.py: self._path.open('a', encoding='utf-8')",
        "recordings/frame_files.py: aside.write_bytes(content)",
    }
    # Else the search could find nothing anywhere.
    assert len(list(writes_in_place(files["engines/tensorrt/builder.py"]))) >= 2
