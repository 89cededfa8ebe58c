import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.training.matchers import match
from stereo_depth_ros.training.workers import start_workers

MAX_DISPARITY = 12.0


def pair(seed, disparity):
    """A textured wall."""
    wall = np.random.default_rng(seed).integers(0, 256, (48, 96, 3), dtype=np.uint8)
    return wall[:, :64], wall[:, disparity : disparity + 64]


@pytest.mark.parametrize("processes", [0, 2])
def test_pairs_are_matched_as_the_prior_of_the_engine_is_found(processes):
    pairs = [pair(seed, disparity) for seed, disparity in enumerate((3, 7, 20))]

    with start_workers(processes) as matchers:
        found = [matchers.submit(match, *views, MAX_DISPARITY) for views in pairs]
        priors = [prior.result() for prior in found]

    for views, (disparity, confidence) in zip(pairs, priors, strict=True):
        expected = find_prior(SgbmEngine(), *views, MAX_DISPARITY)
        assert_array_equal(disparity, expected[0])
        assert_array_equal(confidence, expected[1])
    assert [np.median(disparity[confidence > 0]) for disparity, confidence in priors[:2]] == (
        pytest.approx([3, 7], abs=0.1)
    )


@pytest.mark.parametrize("module", ["matchers", "loading", "workers"])
def test_workers_need_no_pytorch(module):
    check = f"import sys, stereo_depth_ros.training.{module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
