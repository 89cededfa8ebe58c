from __future__ import annotations

import pytest

from stereo_depth_ros.ros.shorten import MAX_CHARACTERS, shorten


@pytest.mark.parametrize("text", ["", "short", "x" * MAX_CHARACTERS])
def test_what_is_short_enough_stays(text):
    assert shorten(text) == text


@pytest.mark.parametrize("limit", [30, 100, 1000])
@pytest.mark.parametrize("length", [1001, 100_000])
def test_what_is_longer_loses_its_middle(length, limit):
    text = "b" + "x" * (length - 2) + "e"
    short = shorten(text, limit)
    assert len(short) <= limit
    assert (short[0], short[-1]) == ("b", "e")
    assert f"[{length} characters]" in short
