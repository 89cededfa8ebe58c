import pytest
import torch
from generator import fill, stereo_pair
from parity import as_tensor
from torch.nn import functional as F

from stereo_depth_ros.checkpoints import WeightsInfo, load_weights, save_weights
from stereo_depth_ros.engines.tensorrt.self_test import rendered_pair
from stereo_depth_ros.export import export_onnx
from stereo_depth_ros.export.agreement import measure_agreement
from stereo_depth_ros.networks import NetworkError, create_network
from stereo_depth_ros.networks.lite import (
    CANDIDATES,
    SPAN,
    Lite,
    Matching,
    Refinement,
    Upsampling,
    around_best,
    correlation,
    expectation,
    softmax,
    warp,
)
from stereo_depth_ros.share import share_directory


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


@pytest.mark.parametrize(("height", "width"), [(51, 77), (17, 33), (9, 130)])
@torch.inference_mode()
def test_any_size_gives_maps_of_that_size(network, height, width):
    disparity, confidence = network(*pair(height, width))

    assert disparity.shape == confidence.shape == (1, 1, height, width)
    assert disparity.dtype == confidence.dtype == torch.float32
    assert disparity.isfinite().all()
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert confidence.std() > 0.002


@torch.inference_mode()
def test_batch_is_its_pairs_one_by_one(network):
    pairs = [pair(64, 96, seed) for seed in (0, 1)]

    together = network(*(torch.cat(views) for views in zip(*pairs, strict=True)))

    for number, views in enumerate(pairs):
        for got, alone in zip(together, network(*views), strict=True):
            torch.testing.assert_close(got[number : number + 1], alone, atol=1e-3, rtol=1e-4)


@torch.inference_mode()
def test_left_and_right_are_told_apart(network):
    left, right = pair(64, 96)

    assert (network(left, right).disparity - network(right, left).disparity).abs().mean() > 0.1


def certain_of(candidate, **config):
    """Return a network that always answers with one candidate and refines nothing."""
    network = build(**config)
    with torch.no_grad():
        network.refinement.sharpness.zero_()
        network.refinement.score.weight.zero_()
        network.refinement.score.bias.zero_()
        network.shift.weight.zero_()
        network.shift.bias.zero_()
        network.score.weight.zero_()
        network.score.bias.fill_(0)[candidate] = 100
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
def test_disparity_can_lie_between_candidates_by_a_learned_shift():
    network = certain_of(10)
    network.shift.bias.fill_(0.25)

    disparity = network(*pair(64, 96)).disparity

    torch.testing.assert_close(disparity, torch.full_like(disparity, 41.0))


@pytest.mark.parametrize("max_disparity", [16, 64, 100, SPAN, 384])
@torch.inference_mode()
def test_no_answer_lies_beyond_the_range(max_disparity):
    torch.manual_seed(0)
    network = build(max_disparity=max_disparity)
    network.score.weight.mul_(50)

    disparity = network(*pair(48, 80)).disparity

    assert disparity.min() >= 0
    assert 0.4 * max_disparity < disparity.max() <= max_disparity


@torch.inference_mode()
def test_larger_range_is_matched_at_a_reduced_size(network):
    left, right = pair(96, 128)
    wide = build(max_disparity=2 * SPAN)
    small = [F.interpolate(x, (48, 64), mode="bilinear") for x in (left, right)]

    got = wide(left, right).disparity

    expected = 2 * network(*small).disparity
    at_its_pixels = F.interpolate(got, (48, 64), mode="bilinear")
    # Raising it and lowering it again smooths a little.
    assert (at_its_pixels - expected).abs().median() < 0.05 * expected.std()


@torch.inference_mode()
def test_smaller_range_leaves_the_weights_as_they_are(network):
    small = Lite(max_disparity=64)

    small.load_state_dict(network.state_dict())

    assert small.matches(*pair(32, 64)).logits.shape == (1, 16, 8, 16)


@pytest.mark.parametrize("max_disparity", [0, 15, -1])
def test_range_too_small_to_match_is_refused(max_disparity):
    with pytest.raises(NetworkError, match=f"max_disparity is {max_disparity}, at least 16"):
        create_network("lite", max_disparity=max_disparity)


@torch.inference_mode()
def test_upsampling_raises_a_plain_map_to_itself_and_stays_between_neighbours():
    torch.manual_seed(0)
    upsampling, known = Upsampling(7), torch.randn(1, 7, 8, 12)
    plain, uneven = torch.full((1, 1, 8, 12), 5.25), 40 * torch.rand(1, 1, 8, 12)

    raised = upsampling(plain, known)

    torch.testing.assert_close(raised, torch.full((1, 1, 16, 24), 10.5))
    raised = upsampling(uneven, known)
    around = F.pad(2 * uneven, (1, 1, 1, 1), mode="replicate")
    for sign in (1, -1):
        most = F.max_pool2d(sign * around, 3, stride=1)
        assert (sign * raised <= most.repeat_interleave(2, 2).repeat_interleave(2, 3) + 1e-3).all()


def test_mean_around_the_best_leaves_a_far_second_peak_out():
    probability = torch.zeros(1, 12, 1, 2)
    probability[0, 2:5, 0, 0] = torch.tensor([0.2, 0.3, 0.1])
    probability[0, 10, 0, 0] = 0.4 - 0.11
    probability[0, 0, 0, 1] = 1

    mean = expectation(around_best(probability), torch.arange(12))

    torch.testing.assert_close(mean.flatten(), torch.tensor([(0.4 + 0.9 + 0.4) / 0.6, 0.0]))


@torch.inference_mode()
def test_warped_right_view_is_the_left_one_and_zero_where_it_does_not_reach():
    torch.manual_seed(0)
    right = torch.randn(2, 3, 5, 20)
    disparity = torch.full((2, 1, 5, 20), 4.0)
    disparity[1] = 2.5

    left = warp(right, disparity)

    torch.testing.assert_close(left[0, ..., 4:], right[0, ..., :-4])
    assert left[0, ..., :4].abs().max() < 1e-5
    between = (right[1, ..., :-3] + right[1, ..., 1:-2]) / 2
    torch.testing.assert_close(left[1, ..., 3:], between, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("wrong", [-2, -1, 0, 1, 2])
@torch.inference_mode()
def test_refinement_finds_what_is_missing_by_the_correlation_alone(wrong):
    torch.manual_seed(0)
    right = torch.randn(1, 16, 6, 40)
    refinement = Refinement(48).eval()
    refinement.sharpness.fill_(100)
    refinement.score.weight.zero_()
    refinement.score.bias.zero_()
    given = torch.full((1, 1, 6, 40), 7.0 - wrong)

    better, _ = refinement(given, right.roll(7, 3), right, torch.zeros(1, 48, 3, 20))

    torch.testing.assert_close(better[..., 9:-2], torch.full((1, 1, 6, 29), 7.0))


def test_confidence_learns_nothing_into_the_disparity():
    network = build().train()

    network.matches(*pair(32, 64)).confidence_logit.sum().backward()

    learning = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert learning == {"confidence"}


def test_graph_is_small_and_agrees_with_pytorch(network, tmp_path):
    path = export_onnx(network, 60, 100, tmp_path / "lite.onnx")

    assert sum(p.numel() for p in network.parameters()) < 2e6
    assert path.stat().st_size <= 8e6
    assert measure_agreement(network, path, *stereo_pair(60, 100)).worst < 1e-3


@torch.inference_mode()
def test_weights_on_disk_are_the_same_network(tmp_path):
    network = build(max_disparity=96)
    info = WeightsInfo("lite", "base", {"max_disparity": 96}, network.licence)

    save_weights(tmp_path / "lite.safetensors", network.state_dict(), info)
    loaded, about = load_weights(tmp_path / "lite.safetensors")

    assert about == info
    assert loaded.max_disparity == 96
    views = pair(48, 80)
    for got, expected in zip(loaded(*views), network(*views), strict=True):
        assert torch.equal(got, expected)


def test_shipped_weights_are_those_of_the_shipped_graph():
    models = share_directory() / "models"
    network, _ = load_weights(models / "lite.safetensors")

    views = rendered_pair(480, 640)
    assert measure_agreement(network, models / "lite.onnx", *views).worst < 1e-2


@torch.inference_mode()
def test_half_precision_stays_close(network):
    views = pair(64, 96)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(*views).disparity

    exact = network(*views).disparity
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().median() < 0.1 * exact.std()
