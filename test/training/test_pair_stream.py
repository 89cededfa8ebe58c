from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from pairs import write_pairs, write_sparse_pair

from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.evaluation.datasets import read_dataset
from stereo_depth_ros.training import loading
from stereo_depth_ros.training.loading import load_whole
from stereo_depth_ros.training.pair import read_training_pair
from stereo_depth_ros.training.pair_stream import PairStream, collate
from stereo_depth_ros.training.source import draw_ahead
from stereo_depth_ros.training.workers import start_workers


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return read_dataset(write_pairs(tmp_path_factory.mktemp("walls"), 5), "plain")


@pytest.fixture(scope="module")
def workers():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def stream(samples, workers, **changes):
    settings = {"crop": (32, 64), "batch": 2, "seed": 5, "prior_span": 0, "workers": workers}
    return PairStream(samples, **{**settings, **changes})


def batches(source, count):
    return [source.draw().wait() for _ in range(count)]


def test_batch_holds_variations_of_pairs(samples, workers):
    (batch,) = batches(stream(samples, workers), 1)

    assert batch.left.shape == batch.right.shape == (2, 3, 32, 64)
    for name in ("disparity", "visible", "prior", "prior_confidence"):
        assert getattr(batch, name).shape == (2, 1, 32, 64)
    assert {value.dtype for value in vars(batch).values()} == {torch.float32}
    assert batch.valid.any()
    assert 0 <= batch.left.min() < batch.left.max() <= 255


def test_whole_pair_is_read_as_it_is(samples):
    batch = collate([load_whole(samples[1], 0)])

    assert (batch.disparity == 4).all()
    assert torch.equal(batch.visible[0, 0], (torch.arange(96) >= 4).float().expand(64, 96))
    left, _ = samples[1].images()
    assert (batch.left[0].permute(1, 2, 0).byte().numpy() == left).all()
    assert not batch.prior.any()


def test_pixels_without_truth_are_not_valid(tmp_path):
    (sample,) = read_dataset(write_sparse_pair(tmp_path), "plain")

    batch = collate([load_whole(sample, 0)])

    assert batch.valid.sum() == 64 * 96 / 16
    assert (batch.disparity[batch.valid] == 5).all()
    assert batch.valid[0, 0, ::4, ::4].all()
    assert batch.visible.isnan().all()


def test_prior_is_what_the_matcher_finds_for_the_variation(samples, workers, monkeypatch):
    monkeypatch.setattr(loading, "UNAIDED", 0)

    (batch,) = batches(stream(samples, workers, prior_span=100), 1)

    for index in range(2):
        views = (x[index].permute(1, 2, 0).byte().numpy() for x in (batch.left, batch.right))
        prior, confidence = find_prior(SgbmEngine(), *views, 100)
        assert confidence.any()
        assert (batch.prior[index, 0].numpy() == prior).all()
        assert (batch.prior_confidence[index, 0].numpy() == confidence).all()


@pytest.fixture
def _named_by_number(monkeypatch):
    """Loads nothing of a sample but its number, as a disparity."""

    def read(sample):
        truth = np.full((40, 70), samples_number(sample), np.float32)
        return read_training_pair(sample).__class__(
            *np.zeros((2, 40, 70, 3), np.uint8), truth, np.ones_like(truth)
        )

    monkeypatch.setattr(loading, "read_training_pair", read)
    monkeypatch.setattr(loading, "augment", lambda pair, size, random: pair)


def samples_number(sample):
    return int(sample.name.removeprefix("wall"))


@pytest.mark.usefixtures("_named_by_number")
@pytest.mark.parametrize("processes", [1, 2])
def test_every_sample_comes_once_before_any_comes_again(samples, workers, processes):
    streams = [stream(samples, workers, share=(i, processes)) for i in range(processes)]

    numbers = []
    for _ in range(10 // processes):
        for each in streams:
            numbers += each.draw().wait().disparity[:, 0, 0, 0].int().tolist()

    rounds = [numbers[start : start + 5] for start in range(0, 20, 5)]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_stream_goes_on_from_a_state_to_the_last_bit(samples, workers):
    ahead = draw_ahead(stream(samples, workers))
    for _ in range(4):
        _, state = next(ahead)
    expected = [next(ahead)[0] for _ in range(3)]
    ahead.close()

    again = stream(samples, workers)
    again.set_state(state)

    for batch, same in zip(expected, batches(again, 3), strict=True):
        for name, value in vars(batch).items():
            assert torch.equal(value.nan_to_num(-1), getattr(same, name).nan_to_num(-1)), name


def test_worker_processes_load_what_a_thread_loads(samples, workers):
    (expected,) = batches(stream(samples, workers), 1)

    with start_workers(1) as processes:
        (batch,) = batches(stream(samples, processes), 1)

    assert torch.equal(batch.left, expected.left)
    assert torch.equal(batch.disparity, expected.disparity)


def test_views_that_differ_in_size_are_named(samples, workers):
    sample = replace(samples[0], truth=lambda: np.zeros((10, 12), np.float32))

    with pytest.raises(
        ValueError, match="wall0: left is 64x96, right 64x96 and truth 10x12; they must be of one"
    ):
        stream([sample], workers).draw().wait()
