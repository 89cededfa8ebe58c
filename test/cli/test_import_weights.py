import subprocess
import sys

import pytest
import torch
from authors import entries_of

from stereo_depth_ros.checkpoints import read_info
from stereo_depth_ros.cli.main import main


def save(path, network, variant):
    torch.save({"state_dict": entries_of(network, variant)}, path)
    return str(path)


def test_file_is_imported_and_named(tmp_path, capsys):
    path = save(tmp_path / "LAS2_S.pth", "lite_any_stereo", "las2_s")

    assert main(["import", path, "-o", str(tmp_path / "net.safetensors")]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path} is lite_any_stereo las2_s; licence: MIT"
    assert lines[-1] == f"written to {tmp_path / 'net.safetensors'}"
    assert not any("COMMERCIAL" in line for line in lines)
    assert read_info(tmp_path / "net.safetensors").variant == "las2_s"


def test_non_commercial_terms_are_said_once(tmp_path, capsys):
    path = save(tmp_path / "CH128NTR1.pth", "s2m2", "s")

    assert main(["import", path, "-o", str(tmp_path / "net.safetensors")]) == 0

    assert capsys.readouterr().out.count("NOT FOR COMMERCIAL USE") == 1
    assert not read_info(tmp_path / "net.safetensors").commercial


def test_settings_are_json_or_words(tmp_path):
    path = save(tmp_path / "LAS2_H.pth", "lite_any_stereo", "las2_h")
    output = tmp_path / "net.safetensors"

    assert main(["import", path, "-o", str(output), "--set", "iterations=2"]) == 0

    assert read_info(output).config == {"iterations": 2}


def test_setting_that_cannot_be_is_one_line(tmp_path, capsys):
    path = save(tmp_path / "LAS2_H.pth", "lite_any_stereo", "las2_h")

    assert main(["import", path, "-o", str(tmp_path / "n.safetensors"), "--set", "steps=few"]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"stereo-depth import: {path}: lite_any_stereo las2_h: ")


def test_setting_without_a_value_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["import", "net.pth", "-o", "net.safetensors", "--set", "steps"])

    assert stop.value.code == 2
    assert "'steps' is not KEY=VALUE" in capsys.readouterr().err


def test_file_of_no_known_network_is_one_line(tmp_path, capsys):
    torch.save({"fc.weight": torch.ones(3)}, tmp_path / "net.pth")

    status = main(["import", str(tmp_path / "net.pth"), "-o", str(tmp_path / "net.safetensors")])

    assert status == 1
    assert "none of its entries (fc.weight) is known" in capsys.readouterr().err


@pytest.mark.parametrize(
    "verb",
    [["import", "net.pth", "-o", "net.safetensors"], ["models", "get", "s2m2"]],
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
