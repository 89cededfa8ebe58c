import cv2
import numpy as np
import pytest
import torch

from stereo_depth_ros.scenes.synthetic.textures import (
    LEVELS,
    SIZE,
    TextureBank,
    draw_bank,
    photographs,
)


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def images():
    return [noise(0), noise(1)]


@pytest.fixture(scope="module")
def bank(images):
    return TextureBank(images)


def sampled(bank, u, v, texels=1.0, texture=0):
    u, v = torch.broadcast_tensors(*(torch.as_tensor(x, dtype=torch.float32) for x in (u, v)))
    return bank.sample(
        torch.full(u.shape, texture), u, v, torch.full(u.shape, float(texels))
    ).numpy()


def centres(size):
    """u and v of the texels of a level."""
    at = (np.arange(size) + 0.5) / size
    return at[None], at[:, None]


def balanced(image):
    """Return the image as the bank keeps it: 0 to 1 with mean 0.5."""
    return image / 255 - image.mean() / 255 + 0.5


@pytest.mark.parametrize("texture", [0, 1])
def test_texel_centres_give_the_texels(bank, images, texture):
    got = sampled(bank, *centres(SIZE), texture=texture)

    np.testing.assert_allclose(got, balanced(images[texture]), atol=1e-4)


@pytest.mark.parametrize("level", range(1, LEVELS))
def test_far_texture_is_averaged_over_what_a_pixel_spans(bank, images, level):
    size = SIZE >> level

    got = sampled(bank, *centres(size), texels=2**level, texture=1)

    blocks = balanced(images[1]).reshape(size, 2**level, size, 2**level, 3)
    np.testing.assert_allclose(got, blocks.mean(axis=(1, 3)), atol=1e-4)


@pytest.mark.parametrize(
    ("texels", "like"),
    [(1e-9, 1), (1.1, 1), (1.3, 2), (2.3, 2), (2.5, 4), (1e9, 2.0 ** (LEVELS - 1))],
)
def test_level_is_the_nearest_or_a_little_coarser(bank, texels, like):
    u, v = np.random.default_rng(2).uniform(0, 1, (2, 50))

    np.testing.assert_array_equal(sampled(bank, u, v, texels), sampled(bank, u, v, like))


@pytest.mark.parametrize("texels", [1, 8])
def test_texture_repeats_without_a_seam(bank, texels):
    u, v = np.random.default_rng(3).integers(0, 4 * SIZE, (2, 200)) / (4 * SIZE)

    for du, dv in ((1, 0), (0, 1), (-3, 2)):
        np.testing.assert_allclose(
            sampled(bank, u + du, v + dv, texels), sampled(bank, u, v, texels), atol=1e-3
        )


def test_between_texels_colours_are_blended(bank, images):
    texels = balanced(images[0])

    got = sampled(bank, [4 / SIZE], [6.5 / SIZE])

    np.testing.assert_allclose(got[0], (texels[6, 3] + texels[6, 4]) / 2, atol=1e-4)


@pytest.mark.parametrize("texels", [1, 4, 100])
def test_plain_texture_is_one_colour_of_mean_one_half(texels):
    colour = np.array([90, 120, 180])
    bank = TextureBank([np.full((SIZE, SIZE, 3), colour, np.uint8)])
    u, v = np.random.default_rng(4).uniform(-5, 5, (2, 100))

    got = sampled(bank, u, v, texels)

    expected = 0.5 + (colour - colour.mean()) / 255
    np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), atol=1e-5)


def folder_of_photographs(folder, colour):
    (folder / "trip").mkdir(parents=True)
    cv2.imwrite(str(folder / "trip" / "b.PNG"), np.full((40, 60, 3), colour, np.uint8))
    cv2.imwrite(str(folder / "a.jpg"), np.full((70, 50, 3), colour, np.uint8))
    (folder / "notes.txt").write_text("not a photograph")
    return folder


def test_photographs_are_found_in_subfolders_and_in_order(tmp_path):
    folder = folder_of_photographs(tmp_path, 0)

    assert photographs(folder) == [folder / "a.jpg", folder / "trip" / "b.PNG"]


@pytest.mark.parametrize("folder", [".", "absent"])
def test_folder_without_photographs_is_named(tmp_path, folder):
    with pytest.raises(ValueError, match=r"no .jpg or .png below .*; give a folder of photo"):
        photographs(tmp_path / folder)


def test_some_textures_are_photographs_red_where_they_are(tmp_path):
    red_in_opencv = (0, 0, 200)
    photos = photographs(folder_of_photographs(tmp_path, red_in_opencv))

    bank = draw_bank(0, 12, photos)

    colours = [sampled(bank, [0.1, 0.6], [0.3, 0.8], 1, texture=n) for n in range(12)]
    red = [
        np.abs(c - [0.5 + 133 / 255, 0.5 - 67 / 255, 0.5 - 67 / 255]).max() < 0.02 for c in colours
    ]
    assert 3 <= sum(red) <= 11


def test_photograph_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"nothing")

    with pytest.raises(ValueError, match=r"broken.jpg is not an image"):
        draw_bank(0, 12, photographs(tmp_path))


def test_seed_decides_the_textures():
    u, v = np.random.default_rng(5).uniform(0, 1, (2, 500))

    first, again, other = (sampled(draw_bank(seed, 2), u, v, texture=1) for seed in (7, 7, 8))

    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.05


def test_drawn_textures_have_contrast_and_are_balanced():
    bank = draw_bank(0, 8)
    everywhere = centres(64)

    for texture in range(8):
        colours = sampled(bank, *everywhere, texels=8, texture=texture)
        assert colours.mean() == pytest.approx(0.5, abs=1e-3)
        assert colours.std() > 0.02
