"""The most accurate model, by what cards say and by what was measured on this machine."""

from __future__ import annotations

import math

import pytest
import yaml
from added_models import CARD_PAIRS, add_graph, measure
from fakes import save_graph

from stereo_depth_ros.artifact import find_artifact
from stereo_depth_ros.engines import best_model
from stereo_depth_ros.engines.backend import BUDGET_MS
from stereo_depth_ros.engines.best_model import (
    compare_with,
    find_best,
    read_fastest,
    sort_by_accuracy,
)
from stereo_depth_ros.engines.tensorrt.device import Device
from stereo_depth_ros.measurements import Speed, record_speed
from stereo_depth_ros.model_card import ModelError

LITE = find_artifact("lite").card.measured["real"]["lite"]["epe"]
OTHER_PAIRS = "cd" * 32

REAL, PAIRS = "12 pairs, medians", "ab" * 32


def write_card(folder, name, epe, real=None, pairs=PAIRS):
    """A card of a network whose error on rendered pairs is ``epe``, on real ones ``real``."""
    save_graph(folder / "net.onnx")
    path = folder / f"{name}.yaml"
    measured = {"on": "rendered pairs", "epe": epe}
    if real is not None:
        measured["real"] = {"on": REAL, "sha256": pairs, "net": {"epe": real, "bad2": 5.0}}
    card = {"engine": "onnx", "network": "net", "file": "net.onnx", "measured": measured}
    path.write_text(yaml.safe_dump(card))
    return str(path)


def test_order_is_that_of_the_errors_on_real_pairs_whatever_those_on_rendered_ones(tmp_path):
    cards = [
        write_card(tmp_path, name, rendered, real)
        for name, rendered, real in (("middle", 2.0, 0.7), ("worst", 1.0, 1.2), ("best", 3.0, 0.4))
    ]

    assert sort_by_accuracy(cards) == [cards[2], cards[0], cards[1]]


def test_installed_models_are_ordered_by_their_real_figures():
    assert sort_by_accuracy(["sgbm", "lite", "sgbm_hh"]) == ["lite", "sgbm_hh", "sgbm"]
    assert sort_by_accuracy(["sgbm", "sgbm_hh"]) == ["sgbm_hh", "sgbm"]


def test_sgbm_cards_give_what_was_measured_beside_lite():
    beside = find_artifact("lite").card.measured["real"]

    for name in ("sgbm", "sgbm_hh"):
        real = find_artifact(name).card.measured["real"]
        assert real == {"on": beside["on"], "sha256": beside["sha256"], name: beside[name]}


def test_order_given_stays_where_errors_cannot_be_compared(tmp_path):
    here = write_card(tmp_path, "here", 1.0, 2.0)
    there = write_card(tmp_path, "there", 2.0, 1.0, pairs="cd" * 32)
    rendered = write_card(tmp_path, "rendered", 0.5)

    assert sort_by_accuracy([here, there]) == [here, there]
    assert sort_by_accuracy([here, rendered]) == [here, rendered]
    assert sort_by_accuracy([rendered, here]) == [rendered, here]
    assert sort_by_accuracy([str(tmp_path / "net.onnx"), here]) == [
        str(tmp_path / "net.onnx"),
        here,
    ]


@pytest.mark.parametrize(
    "real",
    [
        *(
            3,
            [],
            {"on": REAL, "sha256": PAIRS, "net": 4},
            {"sha256": PAIRS, "net": {"epe": 0.5, "bad2": 5.0}},
        ),
        {"on": REAL, "sha256": PAIRS, "net": {"epe": "small", "bad2": 5.0}},
        {"on": REAL, "net": {"epe": 0.5, "bad2": 5.0}},
    ],
)
def test_card_whose_figures_are_none_counts_as_without(tmp_path, real):
    good = write_card(tmp_path, "good", 1.0, 1.0)
    odd = tmp_path / "odd.yaml"
    odd.write_text(yaml.safe_dump({"engine": "onnx", "network": "net", "measured": {"real": real}}))

    assert sort_by_accuracy([str(odd), good]) == [str(odd), good]


def test_what_was_measured_here_counts_as_what_cards_say(models_home):
    add_graph("net")
    assert sort_by_accuracy(["sgbm", "net", "lite"]) == ["sgbm", "net", "lite"]

    measure("net", 0.95 * LITE)

    assert sort_by_accuracy(["sgbm", "net", "lite"]) == ["net", "lite", "sgbm"]


def test_unknown_model_cannot_be_sorted():
    with pytest.raises(ModelError, match="'s3m3' is not known"):
        sort_by_accuracy(["lite", "s3m3"])


def test_errors_are_multiples_of_that_of_a_network_on_the_same_pairs(models_home):
    add_graph("better")
    measure("better", 0.5 * LITE)
    add_graph("worse")
    measure("worse", 2 * LITE)
    add_graph("elsewhere")
    measure("elsewhere", 0.1 * LITE, OTHER_PAIRS)
    add_graph("unmeasured")
    names = ["unmeasured", "worse", "elsewhere", "better", "lite"]

    multiples = compare_with("lite", names)

    assert list(multiples) == ["better", "lite", "worse"]
    assert multiples == pytest.approx({"better": 0.5, "lite": 1.0, "worse": 2.0}, abs=1e-3)


def test_models_measured_on_different_pairs_compare_by_the_network_that_was_on_both(models_home):
    measure("lite", 2.0, OTHER_PAIRS)
    for name, epe, pairs in (("a", 0.8 * LITE, CARD_PAIRS), ("b", 1.0, OTHER_PAIRS)):
        add_graph(name)
        measure(name, epe, pairs)

    assert list(compare_with("lite", ["lite", "a", "b"])) == ["b", "a", "lite"]


def test_of_several_sets_of_pairs_the_worst_counts(models_home):
    add_graph("net")
    measure("net", 0.5 * LITE)
    measure("lite", 1.0, OTHER_PAIRS)
    measure("net", 1.5, OTHER_PAIRS)

    assert compare_with("lite", ["net"]) == pytest.approx({"net": 1.5})


@pytest.mark.parametrize(("net", "lite"), [(0.5, 0.0), (0.5, math.nan), (math.nan, 0.5)])
def test_error_that_is_no_measure_compares_nothing(models_home, net, lite):
    add_graph("net")
    measure("net", net, OTHER_PAIRS, ms=1.0)
    measure("lite", lite, OTHER_PAIRS)

    assert compare_with("lite", ["net"]) == {}
    assert find_best("lite")[0] == "lite"


@pytest.mark.parametrize("network", ["lite", "s3m3"])
def test_card_that_cannot_be_read_is_left_out(models_home, network):
    (models_home / "broken").mkdir()
    (models_home / "broken" / "broken.yaml").write_text("engine: [")

    multiples = compare_with(network, ["broken", "lite", "sgbm"])

    assert list(multiples) == (["lite", "sgbm"] if network == "lite" else [])


def test_without_added_models_the_best_is_the_shipped_network_without_a_word(models_home):
    assert find_best("lite") == ("lite", "")


def test_better_model_that_is_fast_enough_is_the_best(models_home):
    add_graph("net")
    measure("net", 0.9 * LITE, ms=BUDGET_MS)

    assert find_best("lite") == (
        "net",
        "net is the most accurate that was measured to keep 100 ms here (100 ms)",
    )


def test_of_two_the_better_that_is_fast_enough_is_the_best(models_home):
    for name, factor, ms in (("a", 0.9, 20.0), ("b", 0.7, 60.0), ("c", 0.5, 300.0)):
        add_graph(name)
        measure(name, factor * LITE, ms=ms)

    assert find_best("lite")[0] == "b"
    # As of a camera of 30 Hz, or of 2.
    assert find_best("lite", 33.3) == (
        "a",
        "a is the most accurate that was measured to keep 33 ms here (20 ms)",
    )
    assert find_best("lite", 500.0)[0] == "c"


def test_worse_model_is_not_the_best_however_fast_and_nothing_is_said(models_home):
    add_graph("net")
    measure("net", 1.1 * LITE, ms=1.0)

    assert find_best("lite") == ("lite", "")


def test_slower_model_is_not_the_best_and_its_time_is_said(models_home):
    add_graph("net")
    measure("net", 0.9 * LITE, ms=BUDGET_MS + 1)

    assert find_best("lite") == ("lite", "lite, as net, which is more accurate, takes 101 ms here")


def test_model_that_was_not_timed_is_not_the_best_and_the_cure_is_said(models_home):
    add_graph("net")
    measure("net", 0.9 * LITE)

    assert find_best("lite") == (
        "lite",
        "lite, as net, which is more accurate, was not timed here: 'stereo-depth bench --model "
        "net' does that",
    )


@pytest.mark.parametrize("pairs", [None, OTHER_PAIRS], ids=["unmeasured", "on_other_pairs"])
def test_model_that_was_not_compared_is_not_the_best_and_the_cure_is_said(models_home, pairs):
    add_graph("net")
    measure("net", 0.1 * LITE if pairs else None, pairs, ms=1.0)

    assert find_best("lite") == (
        "lite",
        "lite, as net was not compared with it: 'stereo-depth evaluate --model lite --model net' "
        "on pairs with truth does that",
    )


def test_several_obstacles_are_one_line(models_home):
    for name in ("a", "b", "c"):
        add_graph(name)
    measure("c", 0.5 * LITE, ms=200.0)

    best, reason = find_best("lite")

    assert best == "lite"
    assert reason.startswith(
        "lite, as c, which is more accurate, takes 200 ms here, and as a, b we"
    )
    assert "\n" not in reason


def test_broken_card_is_no_obstacle(models_home):
    (models_home / "broken").mkdir()
    (models_home / "broken" / "broken.yaml").write_text("engine: [")

    assert find_best("lite") == ("lite", "")


def test_graph_that_replaced_the_measured_one_is_not_the_best(models_home):
    add_graph("net")
    measure("net", 0.5 * LITE, ms=1.0)
    assert find_best("lite")[0] == "net"

    add_graph("net", width=96)

    best, reason = find_best("lite")
    assert best == "lite"
    assert reason.startswith("lite, as net was not compared with it")


def test_fastest_is_that_on_a_device_of_this_machine(models_home, monkeypatch):
    add_graph("net")
    measure("net", ms=80.0)
    record_speed(find_artifact("net"), "RTX", Speed(8.0, 64, 48))
    record_speed(find_artifact("net"), "Another GPU", Speed(2.0, 64, 48))
    gpu = Device("RTX", "8.6", 28, 12000, False)
    monkeypatch.setattr(best_model, "find_device", lambda: gpu)

    assert read_fastest(find_artifact("net")) == Speed(8.0, 64, 48)


def test_nothing_is_known_of_the_speed_of_what_was_not_timed(models_home):
    assert read_fastest(find_artifact("lite")) is None
