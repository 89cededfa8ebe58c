"""How the demo judges depth; test/cli/test_demo.py runs it whole."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from stereo_depth_ros.ros.tools.demo import DemoError, _compare_with_truth, _describe_limit

FOCAL_BASELINE = 50.0
TRUTH = np.full((20, 20), 2.0, np.float32)
"""A wall at 2 m, hence 25 px, below sky."""
TRUTH[:4] = np.inf


def numbers(lines: list[str]) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d+", " ".join(lines))]


def test_exact_depth_has_no_error():
    assert numbers(_compare_with_truth(TRUTH, TRUTH, FOCAL_BASELINE)) == [0.0, 0.0, 0.0, 100.0]


def test_errors_are_in_millimetres_pixels_and_percent():
    depth = TRUTH.copy()
    # 24 px instead of 25 nearly everywhere, and a row of 16 that is far off.
    depth[5:] = FOCAL_BASELINE / 24
    depth[4] = FOCAL_BASELINE / 20
    median, epe, wrong, density = numbers(_compare_with_truth(depth, TRUTH, FOCAL_BASELINE))

    assert median == pytest.approx(1e3 * (FOCAL_BASELINE / 24 - 2.0), abs=0.1)
    assert epe == pytest.approx((15 * 1.0 + 1 * 5.0) / 16, abs=0.01)
    assert wrong == pytest.approx(100 / 16, abs=0.1)
    assert density == 100.0


def test_missing_depth_lowers_the_density_and_is_no_error():
    depth = TRUTH.copy()
    depth[16:] = np.nan

    assert numbers(_compare_with_truth(depth, TRUTH, FOCAL_BASELINE)) == [0.0, 0.0, 0.0, 75.0]


@pytest.mark.parametrize("spoil", [lambda depth: 1.2 * depth, lambda depth: depth * np.nan])
def test_depth_that_disagrees_with_the_truth_is_an_error(spoil):
    with pytest.raises(DemoError, match="disagrees"):
        _compare_with_truth(spoil(TRUTH), TRUTH, FOCAL_BASELINE)


def test_engine_that_keeps_up_is_no_limit():
    assert _describe_limit(camera_hz=30.0, node_hz=27.5, engine={"device": "CPU"}) == []


@pytest.mark.parametrize(
    ("name", "device", "limit", "cure"),
    [
        ("lite", "CPU", "this CPU", "a GPU or a faster model (--model sgbm) or smaller images"),
        ("sgbm", "CPU", "this CPU", "a GPU or smaller images"),
        ("lite", "NVIDIA X", "the engine", "a faster model (--model sgbm) or smaller images"),
    ],
)
def test_engine_slower_than_the_camera_is_named_with_both_rates(name, device, limit, cure):
    facts = {"name": name, "device": device}

    (line,) = _describe_limit(camera_hz=30.0, node_hz=12.34, engine=facts)

    assert re.match(rf"limit +{limit}: the camera sends 30\.0 pairs/s, of which 12\.3 are", line)
    assert line.endswith(f"; for more take {cure}")
