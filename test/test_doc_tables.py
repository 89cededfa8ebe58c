"""What the pages and config/stereo.yaml repeat of the code is what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from stereo_depth_ros import pair_check, pair_monitor
from stereo_depth_ros.cli.main import VERBS
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.ros.diagnosing.watchdog import Observation, explain_silence
from stereo_depth_ros.ros.outputs import TOPICS
from stereo_depth_ros.ros.parameter_table import PARAMETERS

ROOT = Path(__file__).parents[1]


def load_generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "doc" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generator()


def test_yaml_file_is_what_the_table_gives():
    assert generate.STEREO_YAML.read_text() == generate.make_yaml()


@pytest.mark.parametrize("page", generate.PAGES, ids=lambda page: page.stem)
def test_page_repeats_what_the_code_says(page):
    assert page.read_text() == generate.fill_page(page.read_text())


def test_every_block_is_on_one_page():
    marks = re.findall("<!-- generated: (.*) -->", "".join(p.read_text() for p in generate.PAGES))

    assert sorted(marks) == sorted(generate.MAKERS)


def test_block_is_replaced_and_the_rest_is_left():
    text = "before\n<!-- generated: verbs -->\nstale\n<!-- end -->\nafter\n"

    filled = generate.fill_page(text)

    assert filled.startswith("before\n<!-- generated: verbs -->\n\n| Verb | Does |\n")
    assert filled.endswith("|\n\n<!-- end -->\nafter\n")
    assert "stale" not in filled
    assert generate.fill_page(filled) == filled


def test_yaml_gives_a_value_of_each_type_below_its_meaning():
    text = generate.make_yaml()
    values = yaml.safe_load(text)["/**"]["ros__parameters"]

    assert (values["autostart"], values["queue_size"], values["slop"]) == (True, 10, 0.01)
    assert (values["model"], values["roi"]) == ("auto", "")
    assert max(map(len, text.splitlines())) <= 100
    lines = text.splitlines()
    at = lines.index("    queue_size: 10")
    assert lines[at - 1] == (
        "    # Images of each side that wait for a partner. Allowed: 1 to 100."
    )


def cells_of(table, first):
    """The other cells of the row that begins with ``first``."""
    rows = [[cell.strip() for cell in row.split(" | ")] for row in table.splitlines()]
    assert len({len(row) for row in rows}) == 1
    (row,) = [row for row in rows if row[0] == f"| `{first}`"]
    return row[1:]


def test_parameters_tell_default_limits_and_life():
    table = generate.make_parameters()

    assert cells_of(table, "max_rate")[:3] == ["`0.0`", "0 to 1000", "yes"]
    assert cells_of(table, "queue_size")[:3] == ["`10`", "1 to 100", ""]
    assert len(table.splitlines()) == 2 + len(PARAMETERS)


def test_topics_tell_type_and_content():
    table = generate.make_topics()

    kind, content = cells_of(table, TOPICS[Output.DEPTH_MM].name)
    assert (kind, content) == ("`sensor_msgs/Image`", "16UC1, millimetres; 0 is no measurement |")
    assert cells_of(table, "depth/camera_info")[0] == "`sensor_msgs/CameraInfo`"
    assert all(topic.description for topic in TOPICS.values())


def test_verbs_are_those_of_the_command():
    assert [row.split("`")[1] for row in generate.make_verbs().splitlines()[2:]] == list(VERBS)


def test_presets_name_four_topics_each():
    assert cells_of(generate.make_presets(), "zed")[0] == "`/zed/zed_node/left/color/rect/image`"


@pytest.mark.parametrize(
    "text", [pair_monitor.SAME_VIEW, pair_monitor.NO_PARALLAX, pair_check.SWAPPED]
)
def test_whole_sentences_are_listed(text):
    assert text in generate.make_pairs().replace("**", "")


def test_sentence_of_the_node_is_listed_with_its_numbers_as_letters():
    said = explain_silence(Observation(topics=(), has_subscribers=False))

    assert f"- {said}\n" in generate.make_silences().replace("**", "")
    assert "- **one inference has been running for N s**; choose" in generate.make_silences()


def test_messages_are_the_sentences_of_a_source_in_its_order():
    source = (
        '"""A module: not for people, as everybody reads here."""\n'
        "LABEL = 'principal-point offset (px)'\n"
        "def explain(topic, rate):\n"
        "    '''Say what is wrong with the topic; not for people.'''\n"
        "    if rate:\n"
        "        return f'{topic.name} has {rate:.1f} Hz: the camera is slow; '\\\n"
        "            'take another'\n"
        "    return 'nothing arrives at all: plug the camera in'\n"
    )

    assert list(generate.list_messages(source)) == [
        "TOPIC has N Hz: the camera is slow; take another",
        "nothing arrives at all: plug the camera in",
    ]
