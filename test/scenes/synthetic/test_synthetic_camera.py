import cv2
import numpy as np
import pytest
import torch

from stereo_depth_ros.scenes.synthetic import camera
from stereo_depth_ros.scenes.synthetic.camera import photograph
from stereo_depth_ros.scenes.synthetic.dice import Dice

BATCH, HEIGHT, WIDTH = 32, 96, 120


def batch_of(image):
    return image.expand(BATCH, 3, HEIGHT, WIDTH).clone()


def bumps():
    """Smooth random bumps, (H, W), some 6 px wide, bright enough for any exposure."""
    noise = np.random.default_rng(0).standard_normal((HEIGHT, WIDTH)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, None, 2)
    return torch.from_numpy(0.4 + 0.3 * smooth / np.abs(smooth).max())


def moved(images, scene, dim):
    """Return how far, in px, each quarter of each image lies from where it is in ``scene``.

    An image is taken for a gain, a vignette and a slope times the scene's own slope.
    """
    x, y = torch.meshgrid(
        torch.linspace(-1, 1, WIDTH), torch.linspace(-1, 1, HEIGHT), indexing="xy"
    )
    (slope,) = torch.gradient(scene, dim=dim)
    known = torch.stack([scene, slope, torch.ones_like(x), x, y, scene * x, scene * y], dim=2)
    shifts = []
    for top in (0, HEIGHT // 2):
        for left in (0, WIDTH // 2):
            quarter = (
                ...,
                slice(top + 4, top + HEIGHT // 2 - 4),
                slice(left + 4, left + WIDTH // 2 - 4),
            )
            seen = images.mean(1)[quarter].flatten(1).T
            basis = known.permute(2, 0, 1)[quarter].flatten(1).T
            gain, change = torch.linalg.lstsq(basis.double(), seen.double()).solution[:2]
            shifts.append(-change / gain)
    return torch.stack(shifts)


@pytest.fixture(scope="module")
def coloured():
    """A noisy coloured pair, photographed."""
    generator = torch.Generator().manual_seed(0)
    scene = torch.rand(BATCH, 3, HEIGHT, WIDTH, generator=generator) * torch.tensor(
        [0.9, 0.5, 0.2]
    ).view(1, 3, 1, 1)
    return scene, *photograph(scene, scene.clone(), Dice(0))


def test_photographs_are_bytes(coloured):
    _, left, right = coloured
    for image in (left, right):
        assert image.shape == (BATCH, 3, HEIGHT, WIDTH)
        assert image.dtype == torch.float32
        assert torch.equal(image, image.byte().float())
        assert image.max() > 200
        assert image.min() < 30


def test_dice_decide_the_photographs(coloured):
    scene, left, right = coloured

    again, other = (photograph(scene, scene.clone(), Dice(seed)) for seed in (0, 1))

    assert torch.equal(again[0], left)
    assert torch.equal(again[1], right)
    assert (other[0] - left).abs().mean() > 1


def test_images_that_are_given_are_left_as_they_are(coloured):
    scene = coloured[0]
    left, right = scene.clone(), scene.clone()

    photograph(left, right, Dice(2))

    assert torch.equal(left, scene)
    assert torch.equal(right, scene)


def test_each_camera_has_its_own_noise_but_a_like_exposure(coloured):
    _, left, right = coloured

    assert ((left - right).abs().mean((1, 2, 3)) > 0.5).all()
    brightness = right.mean((1, 2, 3)) / left.mean((1, 2, 3))
    assert 0.01 < (brightness - 1).abs().mean() < 0.15
    assert (brightness.log().abs() < 0.5).all()


def test_exposure_lifts_a_dark_scene():
    dark = batch_of(torch.linspace(0, 0.2, WIDTH).expand(HEIGHT, WIDTH))

    left, _ = photograph(dark, dark.clone(), Dice(0))

    # Its mean is at 25 of 255.
    assert left.mean() > 60


def test_some_pairs_are_grey_in_both_views(coloured):
    _, left, right = coloured

    def grey(image):
        return (image == image[:, :1]).flatten(1).all(1)

    assert torch.equal(grey(left), grey(right))
    assert 1 <= grey(left).sum() <= 12


@pytest.fixture(scope="module")
def bumpy():
    """Bumps, and both photographs of them: every disparity is 0."""
    scene = bumps()
    return scene, *photograph(batch_of(scene), batch_of(scene), Dice(0))


@pytest.mark.parametrize("dim", [0, 1], ids=["rows", "columns"])
def test_left_view_stays_where_it_is(bumpy, dim):
    scene, left, _ = bumpy

    off = moved(left, scene, dim)

    # Noise and coarse compression move what is seen of a few.
    assert off.abs().max() < 0.2
    assert off.abs().mean() < 0.03
    assert off.mean().abs() < 0.01


def test_right_view_is_misaligned_by_half_a_pixel_at_most_and_only_across_the_rows(bumpy):
    scene, _, right = bumpy

    rows, columns = (moved(right, scene, dim).abs() for dim in (0, 1))

    assert 0.15 < rows.max() < 0.55
    assert columns.max() < 0.2
    assert rows.mean() > 2 * columns.mean()


def test_ramp_of_greys_rises_as_steadily_as_before():
    ramp = batch_of(torch.linspace(0.2, 0.5, WIDTH).expand(HEIGHT, WIDTH))

    left, _ = photograph(ramp, ramp.clone(), Dice(0))

    profile = left.mean((0, 1, 2)).numpy()
    # The vignette takes a little from either end.
    assert (np.diff(profile[15:-15].reshape(-1, 10).mean(1)) > 0).all()


@pytest.mark.parametrize("most", [0.2, 0.5])
def test_misalignment_moves_rows_by_as_much_as_allowed_and_columns_not_at_all(most):
    rows = torch.arange(HEIGHT, dtype=torch.float32)[:, None].expand(HEIGHT, WIDTH)
    columns = torch.arange(WIDTH, dtype=torch.float32).expand(HEIGHT, WIDTH)
    positions = torch.stack([rows, columns, columns]).expand(BATCH, 3, HEIGHT, WIDTH)

    moved = camera._misalign(positions, Dice(0), torch.full((BATCH,), most)) - positions

    inside = moved[:, 0, 1:-1].abs().amax((1, 2))
    assert inside.max() <= most + 1e-3
    assert (inside < 1e-3).any()
    assert 0.2 < (inside > most / 10).float().mean() < 0.8
    assert moved[:, 1:].abs().max() < 1e-2


def test_blur_spreads_a_point_as_far_as_its_sigma():
    image = torch.zeros(2, 3, 21, 21)
    image[:, :, 10, 10] = 1

    sigma = torch.tensor([0.0, 0.8]).view(2, 1, 1, 1)
    blurred = camera._blur(image, sigma, torch.zeros_like(sigma))

    torch.testing.assert_close(blurred[0], image[0])
    square = (torch.arange(21.0) - 10).square()
    spread = (blurred[1, 0].sum(0) * square).sum().sqrt()
    assert float(spread) == pytest.approx(0.8, abs=0.03)
    torch.testing.assert_close(blurred[1].sum((1, 2)), torch.ones(3))


def test_sharpening_overshoots_at_an_edge_and_keeps_the_mean():
    image = torch.zeros(2, 3, 21, 21)
    image[..., 10:] = 1
    sharpening = torch.tensor([0.0, 0.6]).view(2, 1, 1, 1)

    sharpened = camera._blur(image, torch.full_like(sharpening, 0.4), sharpening)

    assert sharpened[0].max() < 1.001
    assert sharpened[1].max() > 1.05
    assert sharpened[1].min() < -0.05
    torch.testing.assert_close(sharpened.mean((1, 2, 3)), image.mean((1, 2, 3)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [(96, 120), (37, 53)], ids=["blocks", "cut blocks"])
def test_compression_of_strength_nought_changes_nothing_and_more_changes_more(size):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(3, 3, *size, generator=generator)
    strength = torch.tensor([0.0, 0.5, 2.0]).view(3, 1, 1, 1)

    error = (camera._jpeg(image, strength) - image).abs().mean((1, 2, 3))

    assert error[0] < 1e-6
    assert 0.001 < error[1] < error[2] / 2
    assert error[2] < 0.15
