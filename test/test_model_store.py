"""The user's models: whole or not there, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import yaml
from added_models import add_graph
from fakes import encode

from stereo_depth_ros.artifact import Artifact, find_artifact, list_added
from stereo_depth_ros.atomic_file import WriteError
from stereo_depth_ros.engines import open_engine
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.model_card import ModelError, read_card
from stereo_depth_ros.model_store import install, pack, remove, unpack


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def answer(model):
    engine = open_engine(model)
    disparity, _ = engine.infer(*[encode(np.full((48, 64), 7.25))] * 2)
    engine.close()
    return float(disparity.mean())


# -- install ---------------------------------------------------------------------------------------


def test_what_the_block_leaves_is_the_model(models_home):
    add_graph("net")

    assert list_added() == ["net"]
    assert names(models_home) == [".net.lock", "net"]
    assert answer("net") == 7.25
    assert stat.S_IMODE((models_home / "net").stat().st_mode) == 0o777 & ~current_umask()


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_model_of_that_name_is_replaced_whole(models_home):
    (add_graph("net", 64) / "old.onnx").touch()

    add_graph("net", 96)

    assert open_engine("net").spec.width == 96
    assert names(models_home / "net") == ["net.onnx", "net.yaml"]


def test_block_that_fails_leaves_the_old_model(models_home):
    add_graph("net", 64)

    with pytest.raises(InputError, match="graphs disagree"), install("net") as folder:
        (folder / "net.yaml").write_text("engine: onnx")
        raise InputError("graphs disagree")

    assert open_engine("net").spec.width == 64
    assert names(models_home) == [".net.lock", "net"]


def test_name_of_a_shipped_model_is_refused(models_home):
    with (
        pytest.raises(InputError, match="'lite' comes with the package; give the model another n"),
        install("lite"),
    ):
        pass

    assert names(models_home) == []


def installer(name, folder):
    """A process that waits while it installs."""
    code = f"""
import time
from stereo_depth_ros.model_store import install
with install({name!r}) as folder:
    (folder / "{name}.yaml").write_text("engine: sgbm")
    print("installs", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "STEREO_DEPTH_MODELS": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "installs\n"
    return process


def end(process, number):
    process.send_signal(number)
    process.wait(timeout=60)
    process.stdout.close()


def test_killed_install_leaves_no_model_and_is_swept_by_the_next(models_home):
    end(installer("net", models_home), signal.SIGKILL)
    assert list_added() == []
    assert len(names(models_home)) == 2, "it left its folder"

    add_graph("other")

    assert names(models_home) == [".net.lock", ".other.lock", "other"]
    add_graph("net")
    assert list_added() == ["net", "other"]


def test_model_that_another_process_installs_is_refused_and_a_neighbour_is_not(models_home):
    process = installer("net", models_home)
    try:
        with pytest.raises(InputError) as refusal:
            add_graph("net")
        assert str(refusal.value) == (
            "model 'net' is being changed by another process; wait for that one, or stop it and "
            "try again"
        )
        add_graph("other")
        assert list_added() == ["other"]
    finally:
        end(process, signal.SIGKILL)


def test_folder_that_cannot_be_written_names_the_cure(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(tmp_path / "file" / "models"))

    with pytest.raises(WriteError) as refusal:
        add_graph("net")

    assert str(refusal.value) == (
        f"{tmp_path / 'file' / 'models'} cannot be written: Not a directory; free space or mend "
        "the permissions, or keep models elsewhere with STEREO_DEPTH_MODELS=FOLDER"
    )


@pytest.fixture
def mount(tmp_path):
    """Mount a file system of its own in a folder."""
    mounted = []

    def run(options):
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a disk needs root")
        mounted.append(folder)
        return folder

    yield run
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_read_only_folder_names_the_cure_and_its_models_run(mount, monkeypatch):
    folder = mount("size=1m")
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(folder))
    add_graph("net")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)

    for change in (lambda: add_graph("net"), lambda: add_graph("other"), lambda: remove("net")):
        with pytest.raises(WriteError, match=r"Read-only file system; .* STEREO_DEPTH_MODELS=FOL"):
            change()

    assert list_added() == ["net"]
    assert answer("net") == 7.25
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(folder / "share" / "models"))  # not yet made
    with pytest.raises(WriteError, match=r"Read-only file system; .* STEREO_DEPTH_MODELS=FOLDER"):
        add_graph("net")


def test_full_disk_names_the_cure_and_leaves_the_old_model_which_can_be_removed(
    mount, tmp_path, monkeypatch
):
    folder = mount("size=64k")
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(tmp_path / "elsewhere"))
    add_graph("net")
    big = tmp_path / "elsewhere" / "net" / "net.reference.npz"
    big.write_bytes(bytes(100_000))
    pack(find_artifact("net"), tmp_path / "big.stereo.zip")
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(folder))
    add_graph("net")

    with pytest.raises(WriteError, match=r"No space left on device; free .* STEREO_DEPTH_MODELS="):
        unpack(tmp_path / "big.stereo.zip")

    assert answer("net") == 7.25
    assert names(folder) == [".net.lock", "net"]
    assert not (folder / "net" / "net.reference.npz").exists()
    (folder / "rest").write_bytes(bytes(os.statvfs(folder).f_bavail * os.statvfs(folder).f_bsize))
    remove("net")
    assert names(folder) == [".net.lock", "rest"]


# -- remove ----------------------------------------------------------------------------------------


def test_removed_model_is_gone_and_its_neighbour_is_not(models_home):
    add_graph("net")
    add_graph("other")

    assert remove("net") == models_home / "net"

    assert names(models_home) == [".net.lock", ".other.lock", "other"]
    with pytest.raises(ModelError, match="no model 'net' was added"):
        remove("net")


def test_model_whose_card_is_broken_can_be_removed(models_home):
    (add_graph("net") / "net.yaml").write_text("engine: [")

    remove("net")

    assert list_added() == []


@pytest.mark.parametrize("name", ["", ".", "..", "../net", "net/../net", "/net", "net.onnx"])
def test_nothing_but_an_added_model_is_removed(models_home, tmp_path, monkeypatch, name):
    add_graph("net")
    before = sorted(models_home.rglob("*"))
    # A folder that looks like a model beside that of the models.
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(models_home / "net"))
    with pytest.raises(ModelError, match="was added"):
        remove(name)
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(models_home))
    with pytest.raises(ModelError, match="was added"):
        remove(name)

    assert sorted(models_home.rglob("*")) == before


def test_shipped_model_cannot_be_removed(models_home):
    with pytest.raises(InputError, match="'lite' comes with the package and cannot be removed"):
        remove("lite")


def test_model_that_another_process_installs_is_not_removed_meanwhile(models_home):
    add_graph("net")
    process = installer("net", models_home)
    try:
        with pytest.raises(InputError, match="is being changed by another process"):
            remove("net")
        assert answer("net") == 7.25
    finally:
        end(process, signal.SIGKILL)


def test_what_a_killed_removal_left_is_no_model_and_is_swept(models_home):
    add_graph("net").rename(models_home / ".stereo_depth-net")
    assert list_added() == []

    add_graph("net")
    remove("net")

    assert names(models_home) == [".net.lock"]


def test_removed_model_goes_on_in_the_process_that_has_it_open(models_home):
    add_graph("net")
    code = """
import numpy as np
from stereo_depth_ros.engines import open_engine
engine = open_engine("net")
print("opened", flush=True)
input()
print(engine.infer(*[np.full((48, 64, 3), 14, np.uint8)] * 2)[0].mean())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "opened\n"

    remove("net")

    out, _ = process.communicate("\n", timeout=60)
    assert out == "3.5\n"


# -- pack and unpack -------------------------------------------------------------------------------


@pytest.fixture
def packed(models_home, tmp_path):
    """A packed model, which is not installed here."""
    add_graph("net")
    pack(find_artifact("net"), tmp_path / "net.stereo.zip")
    remove("net")
    return tmp_path / "net.stereo.zip"


def repack(packed, path, change):
    """Write ``path`` with the files of ``packed``, a dictionary, after ``change``."""
    with zipfile.ZipFile(packed) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_packed_model_is_the_same_elsewhere(packed, models_home):
    artifact = unpack(packed)

    assert artifact == find_artifact("net")
    assert artifact.card_path == models_home / "net" / "net.yaml"
    assert (artifact.card.licence, artifact.card.summary) == ("MIT", "net of a test")
    assert answer("net") == 7.25


def test_packed_model_takes_the_place_of_one_of_its_name(packed):
    add_graph("net", 96)

    unpack(packed)

    assert open_engine("net").spec.width == 64


def test_all_files_are_packed_and_weights_are_not(models_home, tmp_path):
    folder = add_graph("net")
    for name in ("net.mixed.onnx", "net.reference.npz", "net.safetensors"):
        (folder / name).write_bytes(name.encode())
    os.utime(folder / "net.yaml", (0, 0))  # as on systems whose files are all from 1970

    pack(find_artifact("net"), tmp_path / "net.stereo.zip")

    with zipfile.ZipFile(tmp_path / "net.stereo.zip") as archive:
        assert sorted(archive.namelist()) == [
            *("net.mixed.onnx", "net.onnx", "net.reference.npz", "net.yaml"),
        ]
        assert archive.read("net.mixed.onnx") == b"net.mixed.onnx"


def test_model_without_a_card_cannot_be_packed(tmp_path):
    with pytest.raises(InputError, match="needs a card that names a graph"):
        pack(find_artifact(str(tmp_path / "net.onnx")), tmp_path / "out.zip")

    assert not (tmp_path / "out.zip").exists()


@pytest.mark.parametrize("name", ["lite", "sgbm"])
def test_shipped_model_is_on_every_machine_and_is_not_packed(name, tmp_path):
    with pytest.raises(InputError, match=f"'{name}' comes with the package; there is nothing to"):
        pack(find_artifact(name), tmp_path / "out.zip")

    assert not (tmp_path / "out.zip").exists()


def test_engine_that_tensorrt_built_is_not_packed(models_home, tmp_path):
    add_graph("net", engine="tensorrt")

    with pytest.raises(InputError, match="needs a card that names a graph"):
        pack(find_artifact("net"), tmp_path / "out.zip")


def test_altered_graph_is_not_packed(models_home, tmp_path):
    with (add_graph("net") / "net.onnx").open("ab") as graph:
        graph.write(b"more")

    with pytest.raises(ModelError, match="altered or truncated"):
        pack(find_artifact("net"), tmp_path / "out.zip")

    assert not (tmp_path / "out.zip").exists()


def test_graph_that_lies_elsewhere_is_not_packed(models_home, tmp_path):
    folder = add_graph("net")
    (folder / "net.onnx").rename(tmp_path / "net.onnx")
    card = replace(read_card(folder / "net.yaml"), file=str(tmp_path / "net.onnx"))
    artifact = Artifact("net", card, folder / "net.yaml", tmp_path / "net.onnx")

    with pytest.raises(InputError, match="does not lie beside its card"):
        pack(artifact, tmp_path / "out.zip")


def rename_card(files, name):
    files[name] = files.pop("net.yaml")


def edit_card(files, **changes):
    card = yaml.safe_load(files["net.yaml"])
    files["net.yaml"] = yaml.safe_dump({**card, **changes}).encode()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda files: files.update({"../evil.onnx": b"x"}), "one card and its graphs"),
        (lambda files: files.update({"/tmp/evil.onnx": b"x"}), "one card and its graphs"),
        (lambda files: files.update({"net/evil.onnx": b"x"}), "one card and its graphs"),
        (lambda files: files.update({".hidden": b"x"}), "one card and its graphs"),
        (lambda files: files.update({"other.yaml": b"engine: sgbm"}), "one card and its graphs"),
        (lambda files: files.pop("net.yaml"), "one card and its graphs"),
        (lambda files: files.clear(), "one card and its graphs"),
        (lambda files: files.pop("net.onnx"), "its card names onnx net.onnx, no graph"),
        (
            lambda files: edit_card(files, file="/etc/passwd", sha256=""),
            "card names onnx /etc/passwd, no",
        ),
        (lambda files: edit_card(files, file="../net/net.onnx"), "card names onnx ../net/net.onnx"),
        (lambda files: edit_card(files, file=""), "its card names onnx, no graph th"),
        (lambda files: edit_card(files, engine="tensorrt"), "names tensorrt net.onnx, no graph"),
        (lambda files: edit_card(files, engine="sgbm"), "names sgbm net.onnx, no graph"),
        (lambda files: files.update({"net.onnx": b"another"}), "altered or truncated"),
        (lambda files: files.update({"net.yaml": b"engine: ["}), "cannot be read"),
        (lambda files: files.update({"net.yaml": b"\xff\xfe"}), "cannot be read"),
        (lambda files: files.update({"net.yaml": bytes(300_000)}), "larger than 256 kB"),
        (lambda files: edit_card(files, run="rm"), "unknown keys run"),
    ],
)
def test_pack_that_pack_did_not_write_is_one_line_and_installs_nothing(
    packed, models_home, tmp_path, change, cause
):
    hostile = repack(packed, tmp_path / "hostile.zip", change)

    with pytest.raises(InputError) as refusal:
        unpack(hostile)

    text = str(refusal.value)
    assert text.startswith(f"{hostile} is no model that 'stereo-depth models pack' wrote, or is da")
    assert cause in text
    assert "\n" not in text
    assert len(text) < 800
    assert list_added() == []
    assert names(models_home) == [".net.lock"]
    assert names(tmp_path) == ["hostile.zip", "net.stereo.zip"]


@pytest.mark.parametrize("name", ["auto", "a,b", "a b", "net.onnx", "net\x1b[2J", "-x", "n" * 70])
def test_name_that_could_not_be_used_is_refused(packed, models_home, tmp_path, name):
    hostile = repack(
        packed, tmp_path / "hostile.zip", lambda files: rename_card(files, f"{name}.yaml")
    )

    with pytest.raises(InputError, match="cannot be the name of an installed model"):
        unpack(hostile)

    assert list_added() == []


def test_pack_of_a_shipped_name_is_refused(packed, models_home, tmp_path):
    hostile = repack(packed, tmp_path / "lite.zip", lambda files: rename_card(files, "lite.yaml"))

    with pytest.raises(InputError, match=r"^'lite' comes with the package; give the model another"):
        unpack(hostile)

    assert list_added() == []


def test_link_in_a_pack_becomes_no_link(packed, models_home, tmp_path):
    with zipfile.ZipFile(packed, "a") as archive:
        link = zipfile.ZipInfo("link.npz")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")

    unpack(packed)

    file = models_home / "net" / "link.npz"
    assert not file.is_symlink()
    assert file.read_text() == "/etc/passwd"


def test_pack_that_unpacks_to_more_than_it_holds_is_refused(packed, models_home):
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net.reference.npz", bytes(50_000_000))
    assert packed.stat().st_size < 1_000_000

    with pytest.raises(InputError, match="it unpacks to more than it holds"):
        unpack(packed)

    assert list_added() == []


def test_file_that_is_twice_in_a_pack_is_refused(packed, models_home):
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("net.onnx", b"another")

    with pytest.raises(InputError, match="does not hold one card and its graphs"):
        unpack(packed)


def test_encrypted_pack_is_refused(packed, models_home):
    data = bytearray(packed.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(mark, at + 1)
    packed.write_bytes(data)

    with pytest.raises(InputError, match=r"or is damaged: .*encrypted"):
        unpack(packed)

    assert list_added() == []


def test_pack_that_was_damaged_on_the_way_installs_nothing_that_is_not_whole(packed, models_home):
    """A bit anywhere is flipped, or the file is cut: that is refused, or makes no difference."""
    whole = packed.read_bytes()
    random = np.random.default_rng(0)
    refusals = 0
    for round_ in range(300):
        data = bytearray(whole)
        if round_ % 3:
            data[random.integers(len(data))] ^= 1 << random.integers(8)
        else:
            del data[random.integers(len(data)) :]
        packed.write_bytes(data)
        try:
            artifact = unpack(packed)
        except InputError as error:
            refusals += 1
            assert "\n" not in str(error)
            assert list_added() == []
        else:
            artifact.verify_file()
            remove("net")
    assert refusals > 200


def test_missing_pack_is_the_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "absent.zip")
