"""The files that show the parameters are those that the table gives."""

from __future__ import annotations

import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from stereo_depth_ros.ros.tools import parameter_docs
from stereo_depth_ros.share import share_directory


def test_yaml_file_is_what_the_table_gives():
    assert (share_directory() / "config" / "stereo.yaml").read_text() == parameter_docs.as_yaml()


def test_readme_holds_the_table():
    assert parameter_docs.as_markdown() in (share_directory() / "README.md").read_text()


def test_yaml_gives_a_value_of_each_type_below_its_meaning():
    text = parameter_docs.as_yaml()
    values = yaml.safe_load(text)["/**"]["ros__parameters"]

    assert (values["autostart"], values["queue_size"], values["slop"]) == (True, 10, 0.01)
    assert (values["model"], values["roi"]) == ("auto", "")
    assert max(map(len, text.splitlines())) <= 100
    lines = text.splitlines()
    at = lines.index("    queue_size: 10")
    assert lines[at - 1] == (
        "    # Images of each side that wait for a partner. Allowed: 1 to 100."
    )


def test_markdown_tells_default_limits_and_life():
    rows = parameter_docs.as_markdown().splitlines()

    assert {row.count("|") for row in rows} == {6}
    cells = [cell.strip() for cell in next(r for r in rows if "`max_rate`" in r).split("|")]
    assert cells[1:5] == ["`max_rate`", "`0.0`", "0 to 1000", "yes"]
    cells = [cell.strip() for cell in next(r for r in rows if "`queue_size`" in r).split("|")]
    assert cells[1:5] == ["`queue_size`", "`10`", "1 to 100", ""]
