from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_sections_come_in_the_order_a_new_user_needs_them():
    titles = re.findall(r"^## (.+)$", README, re.MULTILINE)
    assert titles == [
        "Two commands",
        "Launch with a camera",
        "Topics",
        "Parameters",
        "Engines",
        "Networks",
        "Limits",
    ]


def test_every_figure_has_been_filled_in():
    assert "<!--" not in README
    assert not re.search(r"@[A-Z]+@", README)


def test_every_file_it_links_to_exists():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert "resource/demo.png" in links
    assert all((ROOT / link).is_file() for link in links)


def test_every_verb_of_the_command_is_shown():
    for verb in ("run", "evaluate", "bench", "models", "import", "export", "scenes", "train"):
        assert f"stereo-depth {verb}" in README


def test_versions_agree():
    in_setup = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text())[1]
    in_package = re.search(r"<version>([^<]+)<", (ROOT / "package.xml").read_text())[1]
    in_changelog = re.search(r"^(\d+\.\d+\.\d+) ", (ROOT / "CHANGELOG.rst").read_text(), re.M)[1]
    assert in_setup == in_package == in_changelog
