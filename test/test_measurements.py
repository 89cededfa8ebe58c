"""What was measured stays with the graph and the machine that it was measured on."""

from __future__ import annotations

import json
import logging

import pytest
import yaml
from added_models import CARD_PAIRS, add_graph

from stereo_depth_ros import measurements
from stereo_depth_ros.artifact import find_artifact
from stereo_depth_ros.measurements import (
    Accuracy,
    Speed,
    find_common_pairs,
    read_accuracies,
    read_speed,
    record_accuracy,
    record_speed,
)

HERE = Accuracy("5 pairs", "cd" * 32, 0.5, 4.0)


@pytest.fixture
def net(models_home):
    add_graph("net")
    return find_artifact("net")


def test_accuracy_is_read_as_it_was_recorded(net):
    record_accuracy(net, HERE)

    assert read_accuracies(net) == [HERE]
    assert read_accuracies(find_artifact("sgbm_hh")) != [HERE], "it is that of one model"


def test_later_accuracy_replaces_that_on_the_same_pairs_alone(net):
    other = Accuracy("9 pairs", "ef" * 32, 0.7, 5.0)
    for accuracy in (HERE, other, Accuracy("5 pairs", HERE.pairs, 0.4, 3.0)):
        record_accuracy(net, accuracy)

    assert read_accuracies(net) == [Accuracy("5 pairs", HERE.pairs, 0.4, 3.0), other]


def test_card_says_what_was_measured_before_the_model_came(models_home):
    (card,) = read_accuracies(find_artifact("sgbm"))

    assert (card.pairs, card.epe, card.bad2) == (CARD_PAIRS, 1.149, 8.32)
    assert card.on == "12 pairs, medians, guesses counted"


def test_what_was_measured_here_goes_before_what_the_card_says(models_home):
    lite = find_artifact("lite")
    here = Accuracy("12 pairs", CARD_PAIRS, 0.95, 7.0)

    record_accuracy(lite, here)

    assert read_accuracies(lite) == [here]


def test_speed_is_that_of_one_device_of_one_machine(net, monkeypatch):
    record_speed(net, "CPU", Speed(40.0, 64, 48))
    record_speed(net, "RTX", Speed(4.0, 64, 48))

    assert read_speed(net) == Speed(40.0, 64, 48)
    assert read_speed(net, "RTX") == Speed(4.0, 64, 48)
    monkeypatch.setattr(measurements, "name_cpu", lambda: "another CPU")
    assert read_speed(net) is None
    assert read_speed(net, "RTX") == Speed(4.0, 64, 48), "it has that GPU"


@pytest.mark.parametrize("has_hash", [True, False], ids=["card_with_hash", "card_without"])
def test_nothing_is_known_of_the_graph_that_replaced_the_measured_one(models_home, has_hash):
    for width in (64, 96):
        folder = add_graph("net", width)
        if not has_hash:
            card = yaml.safe_load((folder / "net.yaml").read_text())
            del card["sha256"]
            (folder / "net.yaml").write_text(yaml.safe_dump(card))
        artifact = find_artifact("net")
        assert read_accuracies(artifact) == []
        assert read_speed(artifact) is None

        record_accuracy(artifact, HERE)
        record_speed(artifact, "CPU", Speed(40.0, 64, 48))

        assert read_accuracies(artifact) == [HERE]
        assert read_speed(artifact) == Speed(40.0, 64, 48)


@pytest.mark.parametrize(
    "content",
    [
        *("", "[", "3", "[]", "{}", '{"accuracy": 3}', '{"accuracy": {"net": []}}'),
        *('{"accuracy": {"net": {"sha256": "SHA", "entries": 3}}}',),
        *('{"accuracy": {"net": {"sha256": "SHA", "entries": {"cd": {"epe": 1.0}}}}}',),
    ],
)
def test_damaged_file_counts_as_none_and_is_written_anew(net, models_home, content):
    text = content.replace("SHA", net.card.sha256)
    (models_home / "measurements.json").write_text(text)
    assert read_accuracies(net) == []

    record_accuracy(net, HERE)

    assert read_accuracies(net) == [HERE]


def test_measurements_that_cannot_be_kept_are_a_warning(net, models_home, monkeypatch, caplog):
    (models_home / "file").touch()
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(models_home / "file"))

    with caplog.at_level(logging.WARNING):
        record_accuracy(net, HERE)

    (text,) = caplog.messages
    assert text.startswith("what was measured is not kept: ")
    assert f"{models_home / 'file'} is a file, not a folder" in text


def test_file_is_json_that_people_can_read(net, models_home):
    record_accuracy(net, HERE)

    content = json.loads((models_home / "measurements.json").read_text())
    assert content["accuracy"]["net"]["sha256"] == net.card.sha256
    assert content["accuracy"]["net"]["entries"][HERE.pairs]["epe"] == 0.5


def test_common_pairs_are_those_of_the_most_models(net, models_home):
    shipped = [find_artifact(name) for name in ("lite", "sgbm")]
    assert find_common_pairs([]) == ""
    assert find_common_pairs([net]) == ""
    record_accuracy(net, HERE)
    assert find_common_pairs([net]) == HERE.pairs
    assert find_common_pairs([net, *shipped]) == CARD_PAIRS

    for artifact in shipped:
        record_accuracy(artifact, HERE)

    assert find_common_pairs([net, *shipped]) == HERE.pairs
