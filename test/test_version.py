import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stereo_depth_ros import version as module

ROOT = Path(__file__).parents[1]


def test_version_is_that_of_the_installation():
    assert module.find_version() == version("stereo_depth_ros")


def test_version_is_that_of_the_source_tree_where_nothing_is_installed(monkeypatch):
    def refuse(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", refuse)

    (stated,) = re.findall("<version>(.+)</version>", (ROOT / "package.xml").read_text())
    assert module.find_version() == stated
