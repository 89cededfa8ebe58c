import pytest
import torch
from numpy.testing import assert_array_equal

from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.scenes.synthetic import RenderedBatch
from stereo_depth_ros.training import stream as stream_module
from stereo_depth_ros.training.batch import UNKNOWN
from stereo_depth_ros.training.source import draw_ahead
from stereo_depth_ros.training.stream import SceneStream

SPAN = 100  # px


@pytest.fixture(autouse=True)
def _few_textures(monkeypatch):
    """Drawing them is what takes long."""
    monkeypatch.setattr(stream_module, "TEXTURES_PER_BANK", 2)


def stream(**changes):
    settings = {"scene": (48, 80), "crop": (32, 48), "batch": 2, "seed": 5, "prior_span": SPAN}
    return SceneStream(**{**settings, **changes})


@pytest.fixture
def counted(monkeypatch):
    """How many scenes and texture banks were made, and how many scenes at a time."""
    counts = {"scenes": 0, "banks": 0, "sizes": set()}

    def draw(dice, batch, *others):
        counts["scenes"] += batch
        counts["sizes"].add(batch)
        return stream_module_draw(dice, batch, *others)

    def draw_bank(*arguments):
        counts["banks"] += 1
        return stream_module_draw_bank(*arguments)

    stream_module_draw, stream_module_draw_bank = stream_module.draw, stream_module.draw_bank
    monkeypatch.setattr(stream_module, "draw", draw)
    monkeypatch.setattr(stream_module, "draw_bank", draw_bank)
    return counts


def test_sample_is_a_batch_of_crops():
    sample = stream().next()

    for image in (sample.left, sample.right):
        assert image.shape == (2, 3, 32, 48)
        assert image.dtype == torch.float32
        assert torch.equal(image, image.byte().float())
    for name in ("disparity", "prior", "prior_confidence", "visible"):
        map_ = getattr(sample, name)
        assert map_.shape == (2, 1, 32, 48)
        assert map_.dtype == torch.float32
    assert not torch.equal(sample.disparity[0], sample.disparity[1])


def test_padded_samples_repeat_their_last_row_or_column_and_have_no_truth_there():
    sides = set()
    samples = stream(padded=1, reuse=8)
    for _ in range(10):
        sample = samples.next()
        for index in range(2):
            unknown = sample.disparity[index, 0] == UNKNOWN
            rows, columns = unknown.all(1), unknown.all(0)
            assert torch.equal(unknown, rows[:, None] | columns[None])
            assert rows.any() != columns.any()
            assert not sample.visible[index, 0][unknown].any()
            sides.add(bool(rows.any()))
            for image in (sample.left[index], sample.right[index]):
                if rows.any():
                    kept = int((~rows).sum())
                    assert not rows[:kept].any()
                    assert (image[:, kept:] == image[:, kept - 1 : kept]).all()
                else:
                    kept = int((~columns).sum())
                    assert not columns[:kept].any()
                    assert (image[:, :, kept:] == image[:, :, kept - 1 : kept]).all()
    assert sides == {True, False}


def test_truth_is_cut_out_where_the_images_are_and_anywhere_in_the_scene(monkeypatch):
    def rendered(scenes, bank, height, width, device):
        """Images and truth that say which row and column a pixel came from."""
        row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        image = torch.stack([row, column, row]).float()
        place = (1000.0 * row + column)[None, None]
        return RenderedBatch(image[None], image[None] + 0.5, place, place % 2 == 0)

    monkeypatch.setattr(stream_module, "render", rendered)
    monkeypatch.setattr(stream_module, "photograph", lambda left, right, dice: (left, right))
    samples = stream(scene=(18, 35), crop=(16, 32), batch=4, padded=0)

    corners = set()
    for _ in range(40):
        sample = samples.next()
        row, column, _ = sample.left.split(1, dim=1)
        assert torch.equal(sample.right, sample.left + 0.5)
        assert torch.equal(sample.disparity, 1000 * row + column)
        assert torch.equal(sample.visible == 1, sample.disparity % 2 == 0)
        corners |= set(sample.disparity[:, 0, 0, 0].tolist())
    assert corners == {1000 * y + x for y in range(3) for x in range(4)}


def matched(sample, index):
    """What SGBM finds for one pair of a sample, within the range of the network."""
    images = (x[index].permute(1, 2, 0).byte().numpy() for x in (sample.left, sample.right))
    return find_prior(SgbmEngine(), *images, SPAN)


@pytest.mark.parametrize("padded", [0, 1])
def test_prior_is_what_the_matcher_finds_for_the_very_images(padded):
    samples = stream(padded=padded, unaided=0, reuse=8)

    for _ in range(4):
        sample = samples.next()
        for index in range(2):
            found = (x[index, 0] for x in (sample.prior, sample.prior_confidence))
            for got, expected in zip(found, matched(sample, index), strict=True):
                assert expected.any()
                assert_array_equal(got, expected)


def test_prior_reaches_as_far_as_is_asked():
    prior = stream(unaided=0).next().prior

    within = stream(unaided=0, prior_span=4).next().prior

    assert prior.max() > 4
    assert torch.equal(within, prior * (prior <= 4))


def test_network_that_takes_no_prior_is_given_none():
    sample = stream(unaided=0, prior_span=0).next()

    assert not sample.prior.any()
    assert not sample.prior_confidence.any()


def aided_of(samples, count):
    """Of the next samples, whether they have a prior, which they have as a whole or not at all."""
    found = []
    for _ in range(count):
        sample = samples.next()
        for index in range(2):
            aided = bool(sample.prior[index].any())
            assert aided or not sample.prior_confidence[index].any()
            assert not aided or (sample.prior[index, 0].numpy() == matched(sample, index)[0]).all()
            found.append(aided)
    return found


@pytest.mark.parametrize(("unaided", "fewest", "most"), [(0, 0, 0), (0.4, 8, 24), (1, 40, 40)])
def test_share_of_the_samples_has_no_prior(unaided, fewest, most):
    aided = aided_of(stream(unaided=unaided, reuse=100), 20)

    assert fewest <= aided.count(False) <= most


def test_seed_decides_the_samples():
    first, again, other = (stream(seed=seed) for seed in (5, 5, 6))

    for _ in range(3):
        a, b, c = (s.next() for s in (first, again, other))
        for name in ("left", "right", "prior", "prior_confidence", "disparity", "visible"):
            assert torch.equal(getattr(a, name), getattr(b, name))
        assert not torch.equal(a.left, c.left)
        assert not torch.equal(a.prior, c.prior)


def test_batches_drawn_ahead_are_those_of_the_stream():
    ahead, plain = draw_ahead(stream(reuse=4)), stream(reuse=4)

    for _ in range(4):
        assert torch.equal(next(ahead)[0].left, plain.next().left)
    ahead.close()


def test_next_two_batches_are_drawn_while_one_is_worked_on(counted):
    ahead = draw_ahead(stream())
    next(ahead)
    ahead.close()

    assert counted["scenes"] == 6


@pytest.mark.parametrize("reuse", [1, 3])
def test_stream_goes_on_from_a_state_to_the_last_bit(reuse, monkeypatch):
    monkeypatch.setattr(stream_module, "SCENES_PER_BANK", 4)
    first = stream(reuse=reuse)
    ahead = draw_ahead(first)
    for _ in range(4):
        _, state = next(ahead)
    expected = [next(ahead)[0] for _ in range(4)]
    ahead.close()

    again = stream(reuse=reuse)
    again.set_state(state)

    for batch in expected:
        for name, value in vars(again.next()).items():
            assert torch.equal(value, getattr(batch, name)), name


def test_failure_to_draw_ahead_reaches_the_caller(monkeypatch):
    def fail(*arguments):
        raise MemoryError("no memory for a scene")

    ahead = draw_ahead(stream())
    next(ahead)
    next(ahead)
    monkeypatch.setattr(stream_module, "render", fail)

    with pytest.raises(MemoryError, match="no memory for a scene"):
        for _ in range(4):
            next(ahead)


def test_every_sample_shows_new_scenes_unless_they_are_reused(counted):
    samples = stream(reuse=1)

    truths = [samples.next().disparity for _ in range(4)]

    assert counted["scenes"] == 8
    assert len({float(truth.sum()) for batch in truths for truth in batch}) == 8


@pytest.mark.parametrize("reuse", [2, 5])
def test_scene_is_reused_as_often_as_asked(counted, reuse):
    samples = stream(reuse=reuse)

    for _ in range(4 * reuse):
        samples.next()

    # A batch of scenes must be there at once.
    assert 8 <= counted["scenes"] <= 10


def test_reused_scenes_are_cropped_and_photographed_anew():
    samples = stream(reuse=100, batch=1)

    first, *others = (samples.next() for _ in range(6))

    assert all(not torch.equal(first.left, sample.left) for sample in others)
    assert all(not torch.equal(first.disparity, sample.disparity) for sample in others)


def test_pool_forgets_old_scenes(counted):
    samples = stream(reuse=2, batch=1, scene=(24, 32), crop=(24, 32))
    old = {float(samples.next().disparity.sum()) for _ in range(8)}

    for _ in range(45):
        samples.next()

    assert old.isdisjoint(float(samples.next().disparity.sum()) for _ in range(10))


def test_textures_are_renewed_after_some_scenes(counted, monkeypatch):
    monkeypatch.setattr(stream_module, "SCENES_PER_BANK", 4)
    samples = stream()

    for _ in range(5):
        samples.next()

    assert counted["scenes"] == 10
    # The next one is drawn ahead.
    assert counted["banks"] == 4


@pytest.mark.parametrize("crop", [(49, 48), (32, 96)])
def test_crop_larger_than_the_scene_is_refused(crop):
    with pytest.raises(ValueError, match="does not fit into scenes of"):
        stream(crop=crop)
