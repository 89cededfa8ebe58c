from __future__ import annotations

import pytest

from stereo_depth_ros.ros.roi import MAX_CORNERS, parse_roi


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", ()),
        ("[]", ()),
        ("[[0, 0], [9, 0], [9, 9]]", (0, 0, 9, 0, 9, 9)),
        (" [ [ -1.5 ,2e1 ] , [ +.5, 3. ] ] ", (-1.5, 20, 0.5, 3)),
        (str([[1, 2]] * MAX_CORNERS), (1, 2) * MAX_CORNERS),
    ],
)
def test_corners_are_numbers_in_a_row(text, numbers):
    assert parse_roi(text) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[1, 2]",
        "[[1, 2, 3]]",
        "[[1]]",
        "[[1, 2] [3, 4]]",
        "[[1, 2],]",
        "[[1, nan]]",
        "[[1, 2]",
        str([[1, 2]] * (MAX_CORNERS + 1)),
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="roi "):
        parse_roi(text)
