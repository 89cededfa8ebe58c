"""What the documents promise is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "doc").rglob("*.md")])


def test_every_figure_has_been_filled_in():
    assert "<!--" not in README
    assert not re.search(r"@[A-Z]+@", README)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_it_links_to_exists(document):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_links_are_looked_for_in_the_readme():
    # Else the test above could not fail.
    assert "](resource/demo.png)" in README


def test_every_target_of_make_that_is_named_exists():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    for document in DOCUMENTS:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.MULTILINE))
        assert named <= set(targets), document


def test_every_verb_of_the_command_is_shown():
    for verb in ("run", "evaluate", "bench", "models", "import", "export", "scenes", "train"):
        assert f"stereo-depth {verb}" in README
