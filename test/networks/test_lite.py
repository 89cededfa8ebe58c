import pytest
import torch
from generator import fill, stereo_pair
from parity import as_tensor
from torch.nn import functional as F

from stereo_depth_ros.checkpoints import WeightsInfo, load_weights, save_weights
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.engines.tensorrt.self_test import render_test_pair
from stereo_depth_ros.export import export_onnx
from stereo_depth_ros.export.agreement import measure_agreement, outputs_of
from stereo_depth_ros.networks import NetworkError, create_network
from stereo_depth_ros.networks.lite import SPAN, Lite
from stereo_depth_ros.networks.lite.aggregation import Aggregation, Prior, summarise
from stereo_depth_ros.networks.lite.blocks import nearest
from stereo_depth_ros.networks.lite.judgement import Judgement, four_of_each, sample
from stereo_depth_ros.networks.lite.matching import (
    CANDIDATES,
    Matching,
    correlation,
    highest_peak,
    softmax,
)
from stereo_depth_ros.networks.lite.refinement import Refinement, Upsampling
from stereo_depth_ros.share import share_directory

MATCHED, PRIOR = 1, -1  # signs of the logit by which every pixel takes one of them


def build(**config):
    network = create_network("lite", **config)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    network.load_state_dict({key: torch.from_numpy(x) for key, x in fill(shapes).items()})
    return network.eval()


@pytest.fixture(scope="module")
def network():
    return build()


def pair(height, width, seed=0):
    return [as_tensor(image) for image in stereo_pair(height, width, seed)]


def some_prior(height, width, largest=60.0, batch=1):
    """Disparities of 1 to ``largest`` px and confidences, a third of them guesses."""
    dice = torch.Generator().manual_seed(height * width)
    disparity, confidence = torch.rand(2, batch, 1, height, width, generator=dice)
    return 1 + (largest - 1) * disparity, (1.5 * confidence - 0.5).clamp(min=0)


@pytest.mark.parametrize("candidates", [1, 5, 12, 20], ids="{} candidates".format)
def test_correlation_is_that_of_the_direct_loop(candidates):
    torch.manual_seed(0)
    left, right = torch.randn(2, 2, 7, 3, 12)

    volume = correlation(left, right, candidates)

    expected = torch.zeros(2, candidates, 3, 12)
    for d in range(candidates):
        for x in range(d, 12):
            expected[:, d, :, x] = (left[..., x] * right[..., x - d]).sum(1)
    torch.testing.assert_close(volume, expected)


def views_apart(disparity):
    """Return random features of two views at 1/4, 1/8, 1/16, ``disparity`` in steps of 4 px."""
    torch.manual_seed(0)
    left = [torch.randn(1, 16, 8 >> scale, 64 >> scale) for scale in range(3)]
    return left, [x.roll(-(disparity >> scale), 3) for scale, x in enumerate(left)]


@torch.inference_mode()
def test_matching_finds_the_true_candidate_at_every_scale_and_in_the_sum():
    volumes, total = Matching()(*views_apart(8))

    assert [tuple(x.shape[1:]) for x in volumes] == [(48, 8, 64), (24, 4, 32), (12, 2, 16)]
    for scale, volume in enumerate(volumes):
        assert (volume[..., 8 >> scale :].argmax(1) == 8 >> scale).all()
    assert (total[..., 16:].argmax(1) == 8).all()


@torch.inference_mode()
def test_coarse_scores_count_linearly_for_the_candidates_between():
    matching = Matching()
    matching.sharpness.copy_(torch.tensor([0.0, 0.0, 1.0]))

    (_, _, coarse), total = matching(*views_apart(8))

    raised = F.interpolate(coarse, scale_factor=4.0, mode="bilinear")
    torch.testing.assert_close(total[:, ::4], raised)
    torch.testing.assert_close(total[:, 2:-2:4], (raised[:, :-1] + raised[:, 1:]) / 2)
    torch.testing.assert_close(total[:, -3:], raised[:, -1:].expand(-1, 3, -1, -1))
    torch.testing.assert_close(total[:, 1:-4:4], 0.75 * raised[:, :-1] + 0.25 * raised[:, 1:])


def test_softmax_is_that_over_the_channels_even_of_large_logits():
    torch.manual_seed(0)
    logits = 200 * torch.randn(2, 9, 4, 5)

    torch.testing.assert_close(softmax(logits), logits.softmax(1))


def test_prior_is_summed_up_over_four_by_four_pixels():
    prior, confidence = torch.zeros(2, 1, 1, 8, 12)
    prior[..., :4, :4] = 40.0
    prior[..., 1, 2] = 6.0
    prior[..., 7, 4] = 16.0  # alone in its block, the rest of which is 0
    confidence[..., :4, :2] = 0.5
    confidence[..., 7, 11] = 1.0

    near, far, sure = summarise(prior, confidence)

    assert near.flatten().tolist() == [10, 0, 0, 0, 4, 0]
    assert far.flatten().tolist() == [1.5, 0, 0, 0, 0, 0]
    assert sure.flatten().tolist() == [0.25, 0, 0, 0, 0, 1 / 16]


def prior_map(near, far, confidence):
    return Prior(*(torch.full((1, 1, 8, 16), float(x)) for x in (near, far, confidence)))


def bump_of(prior):
    """What a fresh network adds to the candidates for it, one value for each candidate."""
    volumes = [torch.zeros(1, CANDIDATES >> i, 8 >> i, 16 >> i) for i in range(3)]
    left = [torch.zeros(1, c, 8 >> i, 16 >> i) for i, c in enumerate((24, 48, 72))]
    known, bump = Aggregation().eval()(volumes, left, prior)
    assert known.shape == (1, 32, 8, 16)
    assert bump.shape == (1, CANDIDATES, 8, 16)
    assert torch.equal(bump, bump[..., :1, :1].expand_as(bump))
    return {k: pytest.approx(float(v)) for k, v in enumerate(bump[0, :, 0, 0]) if v}


@torch.inference_mode()
def test_prior_raises_the_candidates_beside_it_by_how_sure_it_is():
    # Trusted by 8 times its confidence, and by 1 as a guess.
    assert bump_of(prior_map(10, 10, 0.5)) == {10: 2 * (8 * 0.5 + 1)}
    assert bump_of(prior_map(20.25, 7, 1)) == {20: 0.75 * 9, 21: 0.25 * 9, 7: 9}
    assert bump_of(prior_map(30.5, 30.5, 0)) == {30: 1, 31: 1}
    assert bump_of(prior_map(CANDIDATES, CANDIDATES - 0.5, 0)) == {CANDIDATES - 1: 0.5}
    assert bump_of(prior_map(0, 0, 0)) == {}


@torch.inference_mode()
def test_height_of_a_pixel_in_the_image_is_seen_at_a_sixteenth():
    seen = []
    aggregation = Aggregation().eval()
    aggregation.down32.register_forward_pre_hook(lambda part, inputs: seen.append(inputs[0]))
    volumes = [torch.rand(1, CANDIDATES >> i, 32 >> i, 16 >> i) for i in range(3)]
    left = [torch.rand(1, c, 32 >> i, 16 >> i) for i, c in enumerate((24, 48, 72))]
    nothing = Prior(*(torch.zeros(1, 1, 32, 16) for _ in range(3)))

    for weight in (0.0, 1.5):
        aggregation.height.fill_(weight)
        aggregation(volumes, left, nothing)

    added = seen[1] - seen[0]
    expected = torch.linspace(-1.5, 1.5, 8).view(1, 1, 8, 1).expand_as(added)
    torch.testing.assert_close(added, expected)


@torch.inference_mode()
def test_prior_reaches_the_logits():
    images, (prior, confidence) = pair(32, 64), some_prior(32, 64)
    prior[..., :4, :4], confidence[..., :4, :4] = 36.0, 1.0
    plain = build()
    plain.score.weight.zero_()
    nothing = torch.zeros_like(prior)

    told, alone = (plain.matches(*images, *p).logits for p in ((prior, confidence), (nothing,) * 2))

    trust = plain.aggregation.trust
    bump = (told - alone)[0, :, 0, 0]
    assert bump[9] == pytest.approx(float(2 * trust.sum()), rel=1e-4)
    assert bump.count_nonzero() == 1
    assert (told >= alone).all()


def test_highest_peak_leaves_a_far_second_one_out():
    probability = torch.zeros(1, 12, 1, 3)
    probability[0, 2:5, 0, 0] = torch.tensor([0.2, 0.3, 0.1])
    probability[0, 9:11, 0, 0] = torch.tensor([0.1, 0.3 - 1e-3])
    probability[0, 0, 0, 1] = 1
    probability[0, 9:, 0, 2] = torch.tensor([0.2, 0.3, 0.5])

    mean, mass = highest_peak(probability)

    assert mean.shape == mass.shape == (1, 1, 1, 3)
    torch.testing.assert_close(mean.flatten(), torch.tensor([1.7 / 0.6, 0.0, 10.3]))
    torch.testing.assert_close(mass.flatten(), torch.tensor([0.6, 1.0, 1.0]))


def test_highest_peak_is_as_wide_as_asked():
    probability = torch.tensor([0.0, 0.1, 0.1, 0.4, 0.2, 0.1, 0.1]).view(1, 7, 1, 1)

    for radius, expected, centre in ((0, 0.4, 3), (1, 0.7, 22 / 7), (2, 0.9, 28 / 9)):
        mean, mass = highest_peak(probability, radius)
        assert float(mass) == pytest.approx(expected, rel=1e-5)
        assert float(mean) == pytest.approx(centre, rel=1e-4)


@torch.inference_mode()
def test_upsampling_raises_a_plain_map_to_itself_and_stays_between_neighbours():
    torch.manual_seed(0)
    upsampling, known = Upsampling(7), torch.randn(1, 7, 8, 12)
    plain, uneven = torch.full((1, 1, 8, 12), 5.25), 40 * torch.rand(1, 1, 8, 12)

    raised = upsampling(plain, known)

    torch.testing.assert_close(raised, torch.full((1, 4, 8, 12), 10.5))
    raised = upsampling(uneven, known)
    around = F.pad(2 * uneven, (1, 1, 1, 1), mode="replicate")
    for sign in (1, -1):
        most = F.max_pool2d(sign * around, 3, stride=1)
        assert (sign * raised <= most + 1e-3).all()


@torch.inference_mode()
def test_every_fine_pixel_weighs_the_neighbours_of_its_coarse_one_by_itself():
    torch.manual_seed(0)
    upsampling, coarse = Upsampling(1), torch.rand(1, 1, 4, 5)
    upsampling.weights.weight.zero_()
    upsampling.weights.bias.fill_(-8)
    taps = [4, 1, 3, 8]  # itself, above, left, below to the right
    for pixel, tap in enumerate(taps):
        upsampling.weights.bias[4 * tap + pixel] = 8

    fine = upsampling(coarse, torch.zeros(1, 1, 4, 5))

    around = F.pad(2 * coarse, (1, 1, 1, 1), mode="replicate")
    for pixel, tap in enumerate(taps):
        row, column = divmod(tap, 3)
        expected = around[..., row : row + 4, column : column + 5]
        torch.testing.assert_close(fine[:, pixel : pixel + 1], expected, atol=1e-5, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize(("bias", "step"), [(0.0, 0.0), (0.5, 0.924234), (-99.0, -2.0)])
def test_refinement_steps_by_two_pixels_at_most_and_not_below_zero(bias, step):
    refinement = Refinement(32).eval()
    refinement.step.weight.zero_()
    refinement.step.bias.fill_(bias)
    disparity = 7 * torch.rand(1, 1, 16, 24)
    maps = torch.zeros(1, 4, 16, 24)

    better, features = refinement(
        disparity,
        disparity,
        (maps, maps),
        torch.zeros(1, 16, 16, 24),
        torch.zeros(1, 32, 8, 12),
    )

    torch.testing.assert_close(better, (disparity + step).clamp(min=0))
    assert features.shape == (1, Refinement.CHANNELS, 16, 24)


@torch.inference_mode()
def test_refinement_sees_how_clear_the_peak_and_how_far_off_the_prior_is():
    seen = []
    refinement = Refinement(32).eval()
    refinement.entry.register_forward_hook(lambda part, inputs, output: seen.append(inputs[0]))
    disparity = torch.full((1, 1, 2, 4), 16.0)
    mass = torch.tensor([0.25, 0.5, 0.75, 1.0]).expand(1, 1, 2, 4)
    prior = torch.tensor([0.0, 30.0, 35.0, 120.0]).expand(1, 4, 2, 4)  # px of the full size
    confidence = torch.tensor([0.0, 0.0, 0.7, 1.0]).expand(1, 4, 2, 4)

    refinement(
        disparity,
        mass,
        (prior, confidence),
        torch.zeros(1, 16, 2, 4),
        torch.zeros(1, 32, 1, 2),
    )

    rest = seen[0][0, 16 + 6 :, 0]
    assert rest[0].tolist() == [1, 1, 1, 1]
    assert torch.equal(rest[1], mass[0, 0, 0])
    # Where there is no prior it is not off.
    assert torch.equal(rest[2:6], torch.tensor([0.0, -1.0, 1.5, 4.0]).expand(4, 4))
    assert torch.equal(rest[6:], confidence[0, :, 0])


def test_four_of_each_are_the_pixels_of_two_by_two_row_by_row():
    x = torch.arange(24.0).view(1, 1, 4, 6)

    four = four_of_each(x)

    assert four.shape == (1, 4, 2, 3)
    assert four[0, :, 0, 0].tolist() == [0, 1, 6, 7]
    assert four[0, :, 1, 2].tolist() == [16, 17, 22, 23]
    assert torch.equal(F.pixel_shuffle(four, 2), x)


def warped(image, disparity):
    """Return image(x - disparity), both (B, 1, H, W), pixel by pixel; the edge goes on."""
    batch, _, height, width = image.shape
    seen = torch.zeros_like(image)
    for b in range(batch):
        for row in range(height):
            for x in range(width):
                at = min(max(x - float(disparity[b, 0, row, x]), 0), width - 1)
                low = min(int(at), width - 2)
                near, far = image[b, 0, row, low], image[b, 0, row, low + 1]
                seen[b, 0, row, x] = near + (at - low) * (far - near)
    return seen


def test_sample_takes_the_pixel_so_far_to_the_left():
    image = torch.tensor([[10.0, 20, 40, 80], [1, 2, 4, 8]]).view(1, 1, 2, 4)
    disparity = torch.tensor([[0.0, 1, 2, 0.5], [-1, 0.25, 5, 3]]).view(1, 1, 2, 4)

    seen = F.pixel_shuffle(sample(image, four_of_each(disparity)), 2)

    # At 0, 0, 0, 2.5 of the upper row and at 1, 0.75, -3, 0 of the lower one.
    expected = torch.tensor([[10, 10, 10, 60], [2, 1.75, 1, 1]]).view(1, 1, 2, 4)
    torch.testing.assert_close(seen, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("whole", [True, False], ids=["whole px", "parts of px"])
@pytest.mark.parametrize("maps", [1, 2, 3])
def test_sample_is_the_direct_loop_for_every_map_and_pair(maps, whole):
    torch.manual_seed(maps)
    image = torch.rand(2, 1, 6, 20)
    disparities = 24 * torch.rand(maps, 2, 1, 6, 20) - 2
    if whole:
        disparities = disparities.round()

    seen = sample(image, torch.cat([four_of_each(x) for x in disparities], 1))

    assert seen.shape == (2, 4 * maps, 3, 10)
    for got, disparity in zip(seen.split(4, 1), disparities, strict=True):
        expected = warped(image, disparity)
        torch.testing.assert_close(F.pixel_shuffle(got, 2), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("disparity", [7.0, -7.5, 900.0, -900.0])
def test_sample_beyond_the_image_is_its_edge(disparity):
    image = torch.rand(1, 1, 4, 8)

    seen = F.pixel_shuffle(sample(image, torch.full((1, 4, 2, 4), disparity)), 2)

    edge = image[..., :1] if disparity > 0 else image[..., -1:]
    torch.testing.assert_close(seen, edge.expand_as(image))


def texture_apart(disparity, height=32, width=96):
    """Return grey values of a left view and of a right one, for a ``disparity`` of whole px."""
    dice = torch.Generator().manual_seed(disparity)
    scene = 2 * torch.rand(1, 1, height, width + disparity, generator=dice) - 1
    return scene[..., :width], scene[..., disparity:]


def judged(matched, prior, confidence, greys):
    """Return what a `Judgement` reads besides features: residuals of both, offset, confidence."""
    judgement, seen = Judgement(16).eval(), []
    judgement.weigh.register_forward_pre_hook(lambda part, inputs: seen.append(inputs[0]))
    height, width = greys[0].shape[2:]
    features = torch.rand(1, 16, height // 2, width // 2)
    four, four_prior, sure = (
        four_of_each(torch.as_tensor(x).expand(1, 1, height, width))
        for x in (matched, prior, confidence)
    )

    weighed = judgement(four, (four_prior, sure), greys, features)

    assert weighed.shape == (1, Judgement.CHANNELS, height // 2, width // 2)
    assert torch.equal(seen[0][:, :16], features)
    return [F.pixel_shuffle(x, 2) for x in seen[0][:, 16:].split(4, 1)]


@torch.inference_mode()
@pytest.mark.parametrize("disparity", [0, 1, 9])
def test_residual_is_nothing_for_the_true_disparity_and_large_for_another(disparity):
    greys = texture_apart(disparity)
    inside = (..., slice(disparity, None))

    for other in (disparity + 1.0, disparity + 6.5):
        truly, falsely, _, _ = judged(float(disparity), other, 1.0, greys)
        assert truly[inside].max() < 1e-3
        assert falsely[inside].mean() > 0.8
        falsely, truly, _, _ = judged(other, float(disparity), 1.0, greys)
        assert truly[inside].max() < 1e-3
        assert falsely[inside].mean() > 0.8


@torch.inference_mode()
def test_residual_is_four_times_the_difference_up_to_half_the_contrast():
    left, right = torch.zeros(1, 1, 4, 12), torch.zeros(1, 1, 4, 12)
    left[..., 8] = 0.1
    left[..., 9] = -0.3
    left[..., 10] = 0.9

    matched, prior, _, _ = judged(2.0, 5.0, 0.0, (left, right))

    expected = torch.tensor([0.0] * 8 + [0.4, 1.2, 2.0, 0.0]).expand_as(matched)
    torch.testing.assert_close(matched, expected)
    torch.testing.assert_close(prior, expected)


@torch.inference_mode()
def test_judgement_sees_how_far_off_and_how_sure_the_prior_is():
    prior = torch.tensor([20.0, 21.0, 17.0, 60.0, 0.0, 20.5] * 2)
    confidence = torch.linspace(0, 1, 12)

    _, _, off, sure = judged(20.0, prior, confidence, texture_apart(3, 4, 12))

    expected = torch.tensor([0.0, 0.5, -1.5, 4.0, -4.0, 0.25] * 2)
    assert torch.equal(off, expected.expand_as(off))
    assert torch.equal(sure, confidence.expand_as(sure))


@pytest.mark.parametrize(("height", "width"), [(51, 77), (17, 33), (9, 130)])
@torch.inference_mode()
def test_any_size_gives_maps_of_that_size(network, height, width):
    for prior in ((), some_prior(height, width)):
        disparity, confidence = network(*pair(height, width), *prior)

        assert disparity.shape == confidence.shape == (1, 1, height, width)
        assert disparity.dtype == confidence.dtype == torch.float32
        assert disparity.isfinite().all()
        assert confidence.min() >= 0
        assert confidence.max() <= 1
        assert confidence.std() > 0.002


@torch.inference_mode()
def test_pass_over_multiples_yields_maps_of_every_scale(network):
    height, width = 2 * network.multiple, 3 * network.multiple
    assert (height, width) == (64, 96)

    matches = network.matches(*pair(height, width), *some_prior(height, width))

    assert {name: tuple(value.shape) for name, value in matches._asdict().items()} == {
        "disparity": (1, 1, 64, 96),
        "confidence_logit": (1, 1, 64, 96),
        "matched": (1, 1, 64, 96),
        "choice": (1, 1, 64, 96),
        "half": (1, 1, 32, 48),
        "logits": (1, CANDIDATES, 16, 24),
    }
    assert matches.disparity.std() > 1


@torch.inference_mode()
def test_batch_is_its_pairs_one_by_one(network):
    pairs = [pair(64, 96, seed) for seed in (0, 1)]
    priors = some_prior(64, 96, batch=2)

    together = network(*(torch.cat(views) for views in zip(*pairs, strict=True)), *priors)

    for number, views in enumerate(pairs):
        prior = [x[number : number + 1] for x in priors]
        for got, alone in zip(together, network(*views, *prior), strict=True):
            torch.testing.assert_close(got[number : number + 1], alone, atol=1e-3, rtol=1e-4)


@torch.inference_mode()
def test_left_and_right_are_told_apart(network):
    left, right = pair(64, 96)

    assert (network(left, right).disparity - network(right, left).disparity).abs().mean() > 0.1


@torch.inference_mode()
def test_without_a_prior_it_answers_as_to_one_of_zeros(network):
    images = pair(50, 70)
    zeros = torch.zeros(1, 1, 50, 70)

    plain, told = network(*images), network(*images, *some_prior(50, 70))

    for got, expected in zip(plain, network(*images, zeros, zeros), strict=True):
        assert torch.equal(got, expected)
    assert (plain.disparity - told.disparity).abs().mean() > 0.5
    assert (plain.confidence - told.confidence).abs().mean() > 1e-3


@torch.inference_mode()
def test_every_pixel_takes_the_matched_disparity_or_the_prior(network):
    images, (prior, confidence) = pair(64, 96), some_prior(64, 96)

    matches = network.matches(*images, prior, confidence)

    own = matches.choice > 0
    assert torch.equal(matches.disparity[own], matches.matched[own])
    assert torch.equal(matches.disparity[~own], prior[~own])
    assert 0.01 < own.float().mean() < 0.99
    answer = network.match(*images, prior, confidence)
    assert torch.equal(answer.disparity, matches.disparity)
    assert torch.equal(answer.confidence, matches.confidence_logit.sigmoid())


def favour(network, candidate):
    """Let every pixel take ``candidate``, `MATCHED` or `PRIOR`."""
    with torch.no_grad():
        network.choice.weight.zero_()
        network.choice.bias.fill_(1e-6 * candidate)
    return network


@torch.inference_mode()
def test_network_that_favours_the_matched_disparity_returns_it_to_the_bit():
    given = (*pair(64, 96), *some_prior(64, 96))

    matches = favour(build(), MATCHED).matches(*given)

    assert torch.equal(matches.disparity, matches.matched)
    assert (matches.matched - given[2]).abs().min() > 0


@torch.inference_mode()
def test_undecided_pixel_takes_the_prior():
    prior = some_prior(64, 96)

    assert torch.equal(favour(build(), 0)(*pair(64, 96), *prior).disparity, prior[0])


@pytest.mark.parametrize("max_disparity", [16, 100, SPAN])
@torch.inference_mode()
def test_network_that_favours_the_prior_returns_it_to_the_bit(max_disparity):
    prior = some_prior(51, 77, largest=max_disparity)
    prior[0][..., :9, :20] = 0

    answer = favour(build(max_disparity=max_disparity), PRIOR)(*pair(51, 77), *prior)

    assert torch.equal(answer.disparity, prior[0])


def certain_of(*candidates, **config):
    """Return a network that always matches ``candidates``, the first one more, unrefined."""
    network = favour(build(**config), MATCHED)
    with torch.no_grad():
        network.matching.sharpness.zero_()
        network.aggregation.trust.zero_()
        for part in (network.refinement.step, network.shift, network.score):
            part.weight.zero_()
            part.bias.zero_()
        for less, candidate in enumerate(candidates):
            network.score.bias[candidate] = 100 - less
    return network


@pytest.mark.parametrize(
    ("max_disparity", "candidate", "expected"),
    [
        (16, 3, 12),
        (64, 0, 0),
        (64, 15, 60),
        (65, 16, 64),
        (SPAN, CANDIDATES - 1, SPAN - 4),
        (2 * SPAN, 10, 80),
        (2 * SPAN, CANDIDATES - 1, 2 * (SPAN - 4)),
    ],
)
@torch.inference_mode()
def test_candidates_stand_for_steps_of_a_full_size_disparity(max_disparity, candidate, expected):
    network = certain_of(candidate, max_disparity=max_disparity)

    disparity = network(*pair(64, 96)).disparity

    torch.testing.assert_close(disparity, torch.full_like(disparity, float(expected)))


@torch.inference_mode()
def test_second_peak_does_not_draw_the_matched_disparity():
    disparity = certain_of(10, 30)(*pair(64, 96)).disparity

    torch.testing.assert_close(disparity, torch.full_like(disparity, 40), atol=1e-3, rtol=0)


def judge_by_the_residuals(network):
    """Let every pixel take the disparity of the smaller residual, and nothing else count."""
    features = Refinement.CHANNELS
    weigh, norm, _ = network.judgement.weigh
    with torch.no_grad():
        weigh.weight.zero_()
        for channel in range(8):  # four of the matched one, then four of the prior
            weigh.weight[channel, features + channel, 1, 1] = 1
        norm.running_mean.zero_()
        norm.running_var.fill_(1)
        norm.weight.fill_(1)
        norm.bias.zero_()
        network.choice.weight.zero_()
        network.choice.bias.zero_()
        for pixel in range(4):
            network.choice.weight[pixel, features + pixel] = -1
            network.choice.weight[pixel, features + 4 + pixel] = 1
    return network


@torch.inference_mode()
def test_judgement_can_take_what_explains_the_left_view_better():
    network = judge_by_the_residuals(certain_of(10))
    # The upper half of the views is 40 px apart, as matched, and the lower one 23.
    halves = [texture_apart(disparity, 32, 160) for disparity in (40, 23)]
    left, right = (
        127.5 * (1 + torch.cat(views, 2)).expand(1, 3, -1, -1)
        for views in zip(*halves, strict=True)
    )
    prior = torch.full((1, 1, 64, 160), 23.0)

    matches = network.matches(left, right, prior, torch.zeros_like(prior))

    torch.testing.assert_close(matches.matched, torch.full_like(prior, 40), atol=1e-3, rtol=0)
    taken = matches.choice[..., 40:] > 0
    # Of random grey values some fit by chance.
    assert taken[..., :32, :].float().mean() > 0.99
    assert taken[..., 32:, :].float().mean() < 0.01
    # The right view is warped to the left one and not the other way round.
    swapped = network.matches(right, left, prior, torch.zeros_like(prior)).choice[..., 40:] > 0
    assert 0.3 < swapped.float().mean() < 0.7
    assert 0.3 < swapped[..., :32, :].float().mean() < 0.7


@torch.inference_mode()
def test_disparity_can_lie_between_candidates_by_a_learned_shift():
    network = certain_of(10)
    network.shift.bias.fill_(0.25)

    disparity = network(*pair(64, 96)).disparity

    torch.testing.assert_close(disparity, torch.full_like(disparity, 41.0))


@torch.inference_mode()
def test_matched_disparity_can_be_refined_by_twice_two_pixels():
    network = certain_of(10)
    network.refinement.step.bias.fill_(99)

    disparity = network(*pair(64, 96)).disparity

    torch.testing.assert_close(disparity, torch.full_like(disparity, 44.0))


@pytest.mark.parametrize("max_disparity", [16, 64, 100, SPAN, 384])
@torch.inference_mode()
def test_no_answer_lies_beyond_the_range(max_disparity):
    network = build(max_disparity=max_disparity)
    network.score.weight.mul_(50)
    prior = some_prior(48, 80, largest=max_disparity)

    told = network(*pair(48, 80), *prior).disparity
    matched = favour(network, MATCHED)(*pair(48, 80)).disparity

    for disparity in (told, matched):
        assert disparity.min() >= 0
        assert 0.2 * max_disparity < disparity.max() <= max_disparity


@torch.inference_mode()
def test_larger_range_is_matched_at_a_reduced_size(network):
    seen = []

    class Watched(Lite):
        def match(self, *given):
            answer = super().match(*given)
            seen.extend([*given, *answer])
            return answer

    wide = Watched(max_disparity=2 * SPAN).eval()
    wide.load_state_dict(network.state_dict())
    images, prior = pair(128, 192), some_prior(128, 192, largest=2 * SPAN)

    answer = wide(*images, *prior)

    left, right, disparity, confidence, found, sureness = seen
    for got, image in zip((left, right), images, strict=True):
        assert torch.equal(got, F.interpolate(image, (64, 96), mode="bilinear"))
    # No mean of a thing and what is behind it; disparities shrink with the image.
    assert torch.equal(disparity, prior[0][..., 1::2, 1::2] / 2)
    assert torch.equal(confidence, prior[1][..., 1::2, 1::2])
    for got, small in zip(answer, (2 * found, sureness), strict=True):
        torch.testing.assert_close(got, F.interpolate(small, (128, 192), mode="bilinear"))


def test_nearest_takes_the_pixel_at_the_same_place():
    x = torch.arange(10.0).expand(2, 3, 4, 10)

    assert nearest(x, (4, 10)).equal(x)
    assert nearest(x, (2, 6)).shape == (2, 3, 2, 6)
    assert nearest(x, (2, 6))[1, 2, 1].tolist() == [0, 2, 4, 5, 7, 9]
    assert nearest(x.mT, (5, 4))[0, 0, :, 0].tolist() == [1, 3, 5, 7, 9]


@pytest.mark.parametrize("max_disparity", [193, 320, 2 * SPAN])
@pytest.mark.parametrize("width", [77, 128])
@torch.inference_mode()
def test_prior_of_a_larger_range_comes_back_at_its_own_scale(max_disparity, width):
    network = favour(build(max_disparity=max_disparity), PRIOR)
    plain = torch.full((1, 1, 51, width), 0.9 * max_disparity)
    slope = torch.linspace(10, 150, width).expand(1, 1, 51, width)

    for prior in (plain, slope):
        disparity = network(*pair(51, width), prior, torch.ones_like(prior)).disparity

        # Of a slope every pixel is taken from a neighbour.
        off = 0 if prior is plain else 2 * 140 / width
        torch.testing.assert_close(disparity, prior, atol=1e-3 + off, rtol=1e-5)


@pytest.mark.parametrize("max_disparity", [SPAN, 320])
def test_what_does_not_fit_is_named_at_every_range(max_disparity):
    network = create_network("lite", max_disparity=max_disparity).eval()
    left, right = pair(40, 64)
    prior = torch.zeros(1, 1, 40, 64)

    with pytest.raises(ValueError, match=r"left is .*40, 64.* and right .*40, 63"):
        network(left, right[..., :-1])
    with pytest.raises(ValueError, match="prior_confidence is missing"):
        network(left, right, prior)
    with pytest.raises(ValueError, match=r"prior is \(1, 1, 40, 63\); give \(1, 1, 40, 64\)"):
        network(left, right, prior[..., :-1], prior)


@torch.inference_mode()
def test_smaller_range_leaves_the_weights_as_they_are(network):
    small = Lite(max_disparity=64)

    small.load_state_dict(network.state_dict())

    logits = small.matches(*pair(32, 64), *some_prior(32, 64)).logits
    assert logits.shape == (1, 16, 8, 16)


@pytest.mark.parametrize("max_disparity", [0, 15, -1])
def test_range_too_small_to_match_is_refused(max_disparity):
    with pytest.raises(NetworkError, match=f"max_disparity is {max_disparity}, at least 16"):
        create_network("lite", max_disparity=max_disparity)


def learning(network):
    """The parts of ``network`` that a backward pass gave something to learn."""
    return {
        name.split(".")[0]
        for name, p in network.named_parameters()
        if p.grad is not None and p.grad.any()
    }


def test_confidence_learns_nothing_into_the_disparity():
    network = build().train()

    matches = network.matches(*pair(32, 64), *some_prior(32, 64))
    matches.confidence_logit.sum().backward()

    assert learning(network) == {"confidence"}


def test_choice_learns_nothing_into_the_matched_disparity():
    network = build().train()

    network.matches(*pair(32, 64), *some_prior(32, 64)).choice.sum().backward()

    assert {"judgement", "choice", "pyramid"} <= learning(network)
    # What raises the matched disparity to full size, steps there and rates it.
    assert not {"to_full", "confidence"} & learning(network)
    assert all(p.grad is None for p in network.refinement.step.parameters())


def test_disparity_is_what_all_but_choice_and_confidence_learn_from():
    network = build().train()

    network.matches(*pair(32, 64), *some_prior(32, 64)).disparity.sum().backward()

    parts = {name for name, part in network.named_children() if list(part.parameters())}
    assert learning(network) == parts - {"judgement", "choice", "confidence"}
    assert network.aggregation.trust.grad.all()
    assert network.matching.sharpness.grad.all()


def test_fresh_network_neither_shifts_nor_refines_nor_knows_of_heights():
    network = create_network("lite")

    assert not network.aggregation.height.any()
    assert not any(p.any() for p in network.shift.parameters())
    assert not any(p.any() for p in network.refinement.step.parameters())


def test_graph_is_small_and_agrees_with_pytorch_with_a_prior_and_without(network, tmp_path):
    path = export_onnx(network, 60, 100, tmp_path / "lite.onnx")

    assert sum(p.numel() for p in network.parameters()) < 2e6
    assert path.stat().st_size <= 8e6
    images = stereo_pair(60, 100)
    for prior in ((), find_prior(SgbmEngine(), *images, SPAN)):
        assert measure_agreement(network, path, *images, prior).worst < 1e-3


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_graph_for_any_size_agrees_with_pytorch_at_all_of_them(network, tmp_path, precision):
    path = export_onnx(network, 64, 224, tmp_path / "lite.onnx", any_size=True, precision=precision)

    for height, width in ((64, 224), (61, SPAN), (150, 350)):
        images = stereo_pair(height, width)
        for prior in ((), find_prior(SgbmEngine(), *images, SPAN)):
            agreement = measure_agreement(network, path, *images, prior)
            assert agreement.worst < 1e-3 if precision == "fp32" else agreement.median < 0.1


def test_network_of_a_larger_range_is_for_one_size():
    assert create_network("lite").any_size
    assert not create_network("lite", max_disparity=SPAN + 1).any_size


def test_graph_holds_no_constant_of_the_size_of_the_images(network, tmp_path):
    path = export_onnx(network, 150, 350, tmp_path / "lite.onnx")

    # Where the right view is sampled would be 450 kB.
    weights = 4 * sum(p.numel() for p in network.parameters())
    assert path.stat().st_size < weights + 300e3


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_graph_that_favours_the_prior_returns_it_to_the_bit(tmp_path, precision):
    path = tmp_path / "lite.onnx"
    export_onnx(favour(build(), PRIOR), 60, 100, path, precision=precision)
    prior = [x[0, 0].numpy() for x in some_prior(60, 100)]

    disparity, _ = OnnxRuntimeEngine(path).infer_with_prior(*stereo_pair(60, 100), *prior)

    # Half precision would round most of it.
    assert (disparity == prior[0]).all()


@torch.inference_mode()
def test_graph_of_a_larger_range_scales_its_prior_as_pytorch_does(tmp_path):
    network = favour(build(max_disparity=320), PRIOR)
    images, prior = stereo_pair(60, 100), [x[0, 0].numpy() for x in some_prior(60, 100, 300.0)]

    path = export_onnx(network, 60, 100, tmp_path / "lite.onnx")

    assert measure_agreement(network, path, *images, tuple(prior)).worst < 1e-3
    assert outputs_of(network, *images, tuple(prior)).disparity.max() > 250


@torch.inference_mode()
def test_weights_on_disk_are_the_same_network(tmp_path):
    network = build(max_disparity=96)
    info = WeightsInfo("lite", "base", {"max_disparity": 96}, network.licence)

    save_weights(tmp_path / "lite.safetensors", network.state_dict(), info)
    loaded, about = load_weights(tmp_path / "lite.safetensors")

    assert about == info
    assert loaded.max_disparity == 96
    given = [*pair(48, 80), *some_prior(48, 80)]
    for got, expected in zip(loaded(*given), network(*given), strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("guided", [True, False], ids=["with_prior", "without"])
def test_shipped_weights_are_those_of_the_shipped_graph(guided):
    models = share_directory() / "models"
    network, _ = load_weights(models / "lite.safetensors")

    views = render_test_pair(480, 640)
    prior = find_prior(SgbmEngine(), *views, SPAN) if guided else ()
    assert measure_agreement(network, models / "lite.onnx", *views, prior).worst < 1e-2


@torch.inference_mode()
def test_half_precision_stays_close(network):
    given = [*pair(64, 96), *some_prior(64, 96)]
    with torch.autocast("cpu", torch.bfloat16):
        rough = network.matches(*given)

    # What is summed up to a disparity is in float32, whatever the layers compute in.
    assert {x.dtype for x in rough} == {torch.float32}
    exact = network.matches(*given)
    assert (rough.disparity - exact.disparity).abs().median() < 0.1 * exact.disparity.std()
    prior = given[2]
    for matches in (rough, exact):
        of_prior = matches.choice <= 0
        assert of_prior.any()
        assert torch.equal(matches.disparity[of_prior], prior[of_prior])
