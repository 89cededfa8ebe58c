"""Every network of the registry becomes a graph that answers as PyTorch does."""

from __future__ import annotations

import json

import pytest
import torch
from generator import stereo_pair
from parity import DATA
from rounding import save_rounded
from weights import load_filled

from stereo_depth_ros.export import export_onnx
from stereo_depth_ros.export.agreement import measure_agreement
from stereo_depth_ros.networks import create_network, list_networks

SIZE = 96, 160
ITERATIONS = 2  # more add nodes, not kinds of nodes
SLOW = {
    "fast_foundation_stereo/unpruned",
    "foundation_stereo/vitl",
    "s2m2/l",
    "s2m2/xl",
    "smoe_stereo/damv2_vitb",
    "smoe_stereo/damv2_vitl",
}
# Whose recorded weights a variant takes that has no fixture of its own name.
FIXTURES = {
    "fast_foundation_stereo/pruned": "released_vitl_d192",
    "fast_foundation_stereo/unpruned": "unpruned_vits_d192",
    "smoe_stereo/damv2_vitl": "damv2_vitb",
}
VARIANTS = [
    pytest.param((variant, {}), id=variant, marks=[pytest.mark.slow] if variant in SLOW else [])
    for name, variants in list_networks().items()
    for variant in (f"{name}/{variant}" for variant in variants)
]
SETTINGS = [
    pytest.param((variant, config), id=f"{variant} {' '.join(config)}", marks=pytest.mark.slow)
    for variant, config in [
        ("s2m2/s_neg", {}),
        ("smoe_stereo/damv2_vits_noselect", {}),
        ("foundation_stereo/vits_md416", {}),  # attention over the heads
        ("foundation_stereo/vits", {"hierarchical": True, "max_disparity": 64}),
    ]
]


def recorded_weights(variant):
    """Return seed and scale with which the disparities of a variant are neither flat nor wild."""
    folder, name = variant.split("/")
    file = DATA / folder / f"{FIXTURES.get(variant, name)}.json"
    if not file.exists():
        return {}
    info = json.loads(file.read_text())
    entry = info["weights"] if isinstance(info["weights"], dict) else info
    return {"seed": entry["seed"], "scale": entry["weight_scale"]}


@pytest.fixture(scope="module", params=VARIANTS + SETTINGS)
def network(request):
    path, config = request.param
    name, variant = path.split("/")
    with torch.device("meta"):
        iterates = create_network(name, variant).iterations is not None
    if iterates:
        config = {**config, "iterations": ITERATIONS}
    return load_filled(create_network(name, variant, **config), **recorded_weights(path))


def test_fp32_graph_agrees_with_pytorch(network, tmp_path):
    path = export_onnx(network, *SIZE, tmp_path / "net.onnx")

    assert measure_agreement(network, path, *stereo_pair(*SIZE, seed=1)).worst < 1e-3


def test_mixed_graph_agrees_with_pytorch_even_where_every_half_result_is_rounded(network, tmp_path):
    path = export_onnx(network, *SIZE, tmp_path / "net.onnx", precision="mixed")
    pair = stereo_pair(*SIZE, seed=1)

    assert measure_agreement(network, path, *pair).median < 0.1
    rounded = save_rounded(path, tmp_path / "rounded.onnx")
    assert measure_agreement(network, rounded, *pair).median < 0.1


def test_lite_agrees_with_pytorch_beyond_the_range_that_its_weights_span(tmp_path):
    network = load_filled(create_network("lite", max_disparity=320))

    path = export_onnx(network, *SIZE, tmp_path / "net.onnx")

    assert measure_agreement(network, path, *stereo_pair(*SIZE)).worst < 1e-3
