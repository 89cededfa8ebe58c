"""From the name of published weights to a model, with a Hub that runs here."""

from __future__ import annotations

import io
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from authors import entries_of, save_fast_foundation_stereo
from hub_server import serve_hub

from stereo_depth_ros.artifact import find_artifact, list_added
from stereo_depth_ros.atomic_file import WriteError
from stereo_depth_ros.checkpoints import CheckpointError, read_info
from stereo_depth_ros.engines import open_engine
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.export.adding import add_model
from stereo_depth_ros.graph_contract import USUAL_SIZE
from stereo_depth_ros.networks import create_network
from stereo_depth_ros.published import PUBLISHED

SIZE = (32, 64)


def save(network, variant):
    content = io.BytesIO()
    torch.save(entries_of(network, variant), content)
    return content.getvalue()


@pytest.fixture(scope="module")
def las2_s():
    """The file that the authors publish, with generated weights."""
    return save("lite_any_stereo", "las2_s")


@pytest.fixture
def hub(las2_s, monkeypatch):
    """A Hub that has it, under the hash that the catalog knows."""
    pytest.importorskip("huggingface_hub")
    with serve_hub(las2_s) as served:
        monkeypatch.setattr(
            "huggingface_hub.hf_hub_url",
            lambda *names: f"{served.url}/{names[0]}/resolve/main/{names[1]}",
        )
        source = replace(PUBLISHED["las2_s"], sha256=served.sha256, size=len(las2_s))
        monkeypatch.setitem(PUBLISHED, "las2_s", source)
        yield served


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


MODEL = [
    ".las2_s.lock",
    *(f"las2_s/las2_s.{end}" for end in ("mixed.onnx", "onnx", "reference.npz")),
    *("las2_s/las2_s.safetensors", "las2_s/las2_s.yaml"),
]


def test_name_becomes_a_model_that_answers_as_the_network_and_is_remade_in_another_size(
    hub, models_home
):
    steps = []

    artifact = add_model("las2_s", size=SIZE, report=steps.append)

    assert steps == [
        "fetches LAS2_S.pth from https://huggingface.co/tomtomtommi/LiteAnyStereoV2",
        "imports LAS2_S.pth",
        "exports lite_any_stereo las2_s for 64x32 images, in fp32 and mixed",
    ]
    assert hub.asked_for == ["/tomtomtommi/LiteAnyStereoV2/resolve/main/LAS2_S.pth from 0"]
    assert files_below(models_home) == MODEL
    card = artifact.card
    assert (card.network, card.variant, card.licence) == ("lite_any_stereo", "las2_s", "MIT")
    assert card.commercial
    assert card.command == "stereo-depth models add las2_s --size 32x64"
    assert card.summary.startswith("lite_any_stereo las2_s for 64x32 images, of LAS2_S.pth")
    network = create_network("lite_any_stereo", "las2_s").eval()
    network.load_state_dict(entries_of("lite_any_stereo", "las2_s"))
    pair = np.random.default_rng(0).integers(0, 256, (2, 1, *SIZE, 3), dtype=np.uint8)
    with torch.no_grad():
        images = [torch.from_numpy(image).permute(0, 3, 1, 2).float() for image in pair]
        expected = network(*images)[0].squeeze().numpy()
    engine = open_engine("las2_s")
    disparity, _ = engine.infer(*pair[:, 0])
    np.testing.assert_allclose(disparity, expected, atol=0.01)

    steps.clear()
    add_model("las2_s", size=(64, 32), report=steps.append)

    assert steps[0] == f"takes the weights of {models_home / 'las2_s'}"
    assert len(hub.asked_for) == 1, "they were there"
    spec = open_engine("las2_s").spec
    assert (spec.height, spec.width) == (64, 32)
    assert find_artifact("las2_s").card.sha256 != card.sha256
    assert files_below(models_home) == MODEL


@pytest.mark.slow
def test_model_is_for_any_size_where_nobody_names_one(hub):
    artifact = add_model("las2_s")

    assert artifact.card.command == "stereo-depth models add las2_s"
    assert "for images of any size, of LAS2_S.pth" in artifact.card.summary
    engine = open_engine("las2_s")
    assert engine.spec.sizes.size == USUAL_SIZE
    for size in ((96, 160), (128, 96)):
        disparity, confidence = engine.infer(*np.zeros((2, *size, 3), np.uint8))
        assert disparity.shape == confidence.shape == size


def test_file_of_the_user_is_taken_instead_and_stays(hub, models_home, las2_s, tmp_path):
    file = tmp_path / "mine.pth"
    file.write_bytes(las2_s)

    artifact = add_model("las2_s", file, SIZE)

    assert hub.asked_for == []
    assert file.read_bytes() == las2_s
    assert "of mine.pth (https://hugg" in artifact.card.summary
    assert files_below(models_home) == MODEL


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("las2_m", r"holds lite_any_stereo las2_s, not las2_m; add it under its own name"),
        ("s2m2_s", r"mine\.pth"),
    ],
    ids=["variant", "network"],
)
def test_file_of_other_weights_is_refused_and_nothing_is_installed(
    models_home, las2_s, tmp_path, name, cause
):
    (tmp_path / "mine.pth").write_bytes(las2_s)

    with pytest.raises(CheckpointError, match=cause):
        add_model(name, tmp_path / "mine.pth", SIZE)

    assert list_added() == []
    assert files_below(models_home) == [f".{name}.lock"]


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04"])
def test_file_that_holds_no_weights_is_refused(models_home, tmp_path, content):
    (tmp_path / "mine.pth").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"mine\.pth"):
        add_model("las2_s", tmp_path / "mine.pth", SIZE)

    assert list_added() == []


def test_file_that_is_missing_is_refused(models_home, tmp_path):
    with pytest.raises(FileNotFoundError) as refusal:
        add_model("las2_s", tmp_path / "absent.pth", SIZE)

    assert refusal.value.filename == str(tmp_path / "absent.pth")


def test_file_that_is_not_the_published_one_is_neither_installed_nor_kept(
    hub, models_home, monkeypatch
):
    monkeypatch.setitem(PUBLISHED, "las2_s", replace(PUBLISHED["las2_s"], sha256="ab" * 32))

    with pytest.raises(CheckpointError, match="is not the file known to be published"):
        add_model("las2_s", size=SIZE)

    assert files_below(models_home) == [".las2_s.lock"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "normalises"), [("ffs_20-26-39", False), ("ffs_23-36-37", True)], ids=lambda v: str(v)
)
def test_name_says_what_the_file_does_not(models_home, tmp_path, name, normalises):
    save_fast_foundation_stereo(tmp_path / "mine.pth", "released_vitl_d192")
    steps = []

    artifact = add_model(name, tmp_path / "mine.pth", (64, 96), iterations=1, report=steps.append)

    info = read_info(models_home / name / f"{name}.safetensors")
    assert info.config["structure"]["normalise"] is normalises
    assert not any("normalised" in step for step in steps), "nothing had to be assumed"
    assert artifact.card.command.endswith(" --size 64x96 --iterations 1")
    assert not artifact.card.commercial


def test_weights_that_no_program_may_fetch_say_where_they_are(models_home):
    with pytest.raises(InputError) as refusal:
        add_model("foundation_stereo_vitl", size=SIZE)

    assert str(refusal.value) == (
        "these weights cannot be fetched by a program; fetch 23-51-11/model_best_bp2.pth from "
        "https://github.com/NVlabs/FoundationStereo by hand, then: stereo-depth models add "
        "foundation_stereo_vitl --file FILE"
    )


def test_unknown_name_installs_nothing(models_home):
    with pytest.raises(InputError, match="no published weights 's3m3'"):
        add_model("s3m3")

    assert files_below(models_home) == []


def test_what_fails_after_the_transfer_is_mended_without_another(hub, models_home):
    with pytest.raises(InputError, match="takes no iterations"):
        add_model("las2_s", size=SIZE, iterations=3)
    assert list_added() == []

    add_model("las2_s", size=SIZE)

    assert len(hub.asked_for) == 1
    assert files_below(models_home) == MODEL


def test_full_disk_installs_nothing_and_what_was_fetched_stays(hub, tmp_path, monkeypatch, las2_s):
    folder = tmp_path / "disk"
    folder.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(small, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(folder))
    try:
        for megabytes in (8, 40, 60):  # for nothing, for the file, for the weights made of it
            subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(folder)], check=True)
            with pytest.raises(WriteError, match=r"STEREO_DEPTH_MODELS=FOLDER$") as refusal:
                add_model("las2_s", size=SIZE)
            assert re.search("No space left on device|MB are free", str(refusal.value))
            assert "\n" not in str(refusal.value)
            assert list_added() == []
        assert (folder / ".downloads" / "LAS2_S.pth").read_bytes() == las2_s
        subprocess.run(["mount", "-o", "remount,size=300m", str(folder)], check=True)

        add_model("las2_s", size=SIZE)

        assert files_below(folder) == MODEL
        starts = [int(request.rpartition(" ")[2]) for request in hub.asked_for]
        assert starts[0] == 0
        assert all(0 < start <= 8 << 20 for start in starts[1:]), "it went on where it was"
        assert len(starts) <= 2
    finally:
        subprocess.run(["umount", str(folder)], check=True)
