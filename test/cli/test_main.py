import subprocess
import sys

import pytest

from stereo_depth_ros.cli import main as cli


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])

    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in cli.VERBS)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])

    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: stereo-depth {verb}")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"]], ids=["none", "unknown", "too_few"])
def test_wrong_usage_is_status_two_with_a_usage_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)

    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("usage: stereo-depth")


def test_expected_error_is_one_line_and_status_one(tmp_path, capsys):
    status = cli.main(["run", "absent.png", "absent.png", "-o", str(tmp_path / "out")])

    assert status == 1
    assert capsys.readouterr().err == "stereo-depth run: image absent.png does not exist\n"


def test_module_runs_as_a_program(tmp_path):
    outcome = subprocess.run(
        [sys.executable, "-m", "stereo_depth_ros.cli.main", "run", "no.png", "no.png", "-o", "out"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert outcome.returncode == 1
    assert outcome.stderr == "stereo-depth run: image no.png does not exist\n"
