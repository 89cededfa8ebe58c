import subprocess
import sys
from pathlib import Path

import pytest
import torch
from authors import entries_of

from stereo_depth_ros import checkpoints
from stereo_depth_ros.checkpoints import WeightsInfo, read_info
from stereo_depth_ros.cli.main import main


def test_file_is_imported_and_named(tmp_path, capsys):
    path = str(tmp_path / "LAS2_S.pth")
    torch.save({"state_dict": entries_of("lite_any_stereo", "las2_s")}, path)

    assert main(["import", path, "-o", str(tmp_path / "net.safetensors")]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path} is lite_any_stereo las2_s; licence: MIT"
    assert lines[-1] == f"written to {tmp_path / 'net.safetensors'}"
    assert not any("COMMERCIAL" in line for line in lines)
    assert read_info(tmp_path / "net.safetensors").variant == "las2_s"


@pytest.fixture
def imported(monkeypatch):
    """What the verb hands on to `checkpoints.import_weights`, which here reads nothing."""
    calls = []

    def import_weights(*arguments):
        calls.append(arguments)
        return WeightsInfo("s2m2", "s", {}, "CC-BY-NC-4.0", False, notes=("a doubt",))

    monkeypatch.setattr(checkpoints, "import_weights", import_weights)
    return calls


@pytest.mark.usefixtures("imported")
def test_non_commercial_terms_and_doubts_are_said_once(capsys):
    assert main(["import", "CH128NTR1.pth", "-o", "net.safetensors"]) == 0

    text = capsys.readouterr().out
    assert text.count("NOT FOR COMMERCIAL USE") == 1
    assert text.count("note: a doubt") == 1


def test_network_and_settings_are_handed_on_as_json_or_words(imported):
    settings = ["--set", "iterations=2", "--set", "structure.normalise=false", "--set", "a=few"]

    assert main(["import", "a.pth", "-o", "b.safetensors", "--network", "s2m2", *settings]) == 0

    handed_on = {"iterations": 2, "structure.normalise": False, "a": "few"}
    assert imported == [(Path("a.pth"), Path("b.safetensors"), "s2m2", handed_on)]


def test_setting_that_cannot_be_is_one_line(tmp_path, capsys):
    path = str(tmp_path / "LAS2_S.pth")
    torch.save(entries_of("lite_any_stereo", "las2_s"), path)

    assert main(["import", path, "-o", str(tmp_path / "n.safetensors"), "--set", "steps=few"]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"stereo-depth import: {path}: lite_any_stereo las2_s: ")
    assert error.count("\n") == 1


def test_setting_without_a_value_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["import", "net.pth", "-o", "net.safetensors", "--set", "steps"])

    assert stop.value.code == 2
    assert "'steps' is not KEY=VALUE" in capsys.readouterr().err


def test_file_of_another_network_is_one_line(tmp_path, capsys):
    torch.save({"fc.weight": torch.ones(3)}, tmp_path / "net.pth")

    files = [str(tmp_path / "net.pth"), "-o", str(tmp_path / "net.safetensors")]
    assert main(["import", *files, "--network", "lite_any_stereo"]) == 1

    error = capsys.readouterr().err
    assert "is not lite_any_stereo: 0 of its 1 entries (fc.weight) fit" in error
    assert error.count("\n") == 1


def test_file_that_is_not_there_is_one_line(tmp_path, capsys):
    path = tmp_path / "absent.pth"

    assert main(["import", str(path), "-o", str(tmp_path / "net.safetensors")]) == 1

    assert capsys.readouterr().err == (f"stereo-depth import: {path}: No such file or directory\n")


@pytest.mark.parametrize(
    "verb",
    [["import", "net.pth", "-o", "net.safetensors"], ["models", "add", "s2m2_s", "--accept"]],
    ids=["import", "models"],
)
def test_missing_torch_is_one_line_that_says_how_to_install_it(verb):
    code = "import sys; sys.modules['torch'] = None\nfrom stereo_depth_ros.cli.main import main\n"
    outcome = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(main({verb!r}))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert outcome.returncode == 1
    assert "pip install 'stereo_depth_ros[training]'" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
