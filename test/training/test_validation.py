import numpy as np
import pytest
import torch
from pairs import write_pairs, write_sparse_pair

from stereo_depth_ros.colour_scale import CONFIDENCE
from stereo_depth_ros.evaluation.datasets import read_dataset
from stereo_depth_ros.networks import StereoNetwork, StereoOutput
from stereo_depth_ros.training import stream
from stereo_depth_ros.training.validation import validate_on_dataset, validate_on_scenes


class Constant(StereoNetwork):
    """Answers with one disparity and confidence everywhere."""

    multiple = 1
    takes_prior = True

    def __init__(self, disparity, confidence=1.0):
        super().__init__()
        self.disparity, self.confidence = disparity, confidence

    def match(self, left, right, prior, prior_confidence):
        return StereoOutput(
            torch.full_like(prior, self.disparity), torch.full_like(prior, self.confidence)
        )


class Echo(StereoNetwork):
    """Answers with its prior."""

    multiple = 1
    takes_prior = True

    def match(self, left, right, prior, prior_confidence):
        return StereoOutput(prior, prior_confidence)


@pytest.fixture(scope="module")
def validation():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "TEXTURES_PER_BANK", 2)
        return validate_on_scenes((40, 64), torch.device("cpu"), 192)


def test_errors_are_means_over_the_pixels(validation):
    low, high = (validation.figures(Constant(d)) for d in (0.0, 1000.0))

    # Truth lies in between, so that the two errors make up the whole.
    assert low["epe"] + high["epe"] == pytest.approx(1000, rel=1e-5)
    assert 1 < low["epe"] < 30
    assert high["bad2"] == 100
    assert 5 < low["bad2"] < 100


def test_network_is_told_what_the_matcher_finds(validation):
    told, blind = validation.figures(Echo()), validation.figures(Constant(0.0))

    assert 0 < told["epe"] < 0.7 * blind["epe"]
    assert 0 < told["bad2"] < 0.7 * blind["bad2"]


def test_figures_are_the_same_at_every_call(validation):
    assert validation.figures(Constant(5.0)) == validation.figures(Constant(5.0))


def test_picture_shows_four_pairs_in_four_columns_at_half_size(validation):
    sheet = validation.picture(Constant(1000.0, confidence=0.5))

    assert sheet.shape == (3, 4 * 20, 4 * 32)
    assert sheet.dtype == np.uint8
    columns = np.split(sheet, 4, axis=2)
    assert columns[0].std() > 5
    assert columns[1].std() > 5
    # Far beyond the truth is the colour of the nearest.
    assert np.ptp(columns[2].reshape(3, -1), axis=1).max() == 0
    assert int(columns[2][0, 0, 0]) > int(columns[2][2, 0, 0])
    colour = CONFIDENCE.paint(np.full((1, 1), 0.5))[0, 0]
    assert (columns[3] == colour[:, None, None]).all()


def on_dataset(folder, prior_span=0):
    return validate_on_dataset(
        read_dataset(folder, "plain"), "walls", torch.device("cpu"), prior_span
    )


def test_pairs_of_a_dataset_count_alike_over_their_pixels_with_truth(tmp_path):
    write_pairs(tmp_path, 2)  # at 3 and 4 px
    write_sparse_pair(tmp_path / "wall2", (32, 64))  # at 5 px, few of them known

    validation = on_dataset(tmp_path)

    assert validation.figures(Constant(4.0)) == pytest.approx({"epe": 2 / 3, "bad2": 0})
    assert validation.figures(Constant(6.5)) == pytest.approx({"epe": 2.5, "bad2": 100 * 2 / 3})
    assert validation.description == "3 pairs of walls, means over the pixels with truth"
    # Pairs of any size go onto one sheet, as wide as the first.
    assert validation.picture(Constant(4.0)).shape == (3, 32 + 32 + round(16 * 192 / 128), 192)


def test_network_is_told_what_the_matcher_finds_in_pairs_of_a_dataset(tmp_path):
    figures = on_dataset(write_pairs(tmp_path), prior_span=192).figures(Echo())

    assert figures["epe"] < 0.5
