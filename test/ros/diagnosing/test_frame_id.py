from __future__ import annotations

import pytest

from stereo_depth_ros.ros.diagnosing.frame_id import check_frame_id


@pytest.mark.parametrize("frame_id", ["camera", "left_optical", "robot/left"])
def test_frame_that_tf_can_look_up_is_no_problem(frame_id):
    assert check_frame_id(frame_id) is None


@pytest.mark.parametrize("frame_id", ["", "/camera"])
def test_frame_that_tf_cannot_look_up_is_a_problem(frame_id):
    assert check_frame_id(frame_id)
