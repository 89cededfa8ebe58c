"""Every network of the registry becomes a graph that answers as PyTorch does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from generator import stereo_pair
from parity import DATA, create_recorded
from rounding import save_rounded
from weights import load_filled

from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.engines.tensorrt.verdict import Outputs
from stereo_depth_ros.export import export_onnx
from stereo_depth_ros.export.agreement import Prior, compare, measure_agreement, outputs_of
from stereo_depth_ros.export.exporter import PRECISIONS, describe, finish, fold
from stereo_depth_ros.export.publication import MAX_CONFIDENCE, MAX_MEDIAN_PX
from stereo_depth_ros.networks import create_network, list_networks

SIZE = 96, 160
ITERATIONS = 2  # more add nodes, not kinds of nodes
# Small variants with every kind of layer but FoundationStereo's attention over disparities and
# WAFT-Stereo's warp, whose smallest take half a minute; the others are larger, and only of other
# widths.
QUICK = {
    "lite/base",
    "fast_foundation_stereo/pruned",
    "lite_any_stereo/las1",
    "lite_any_stereo/las2_s",
    "lite_any_stereo/las2_h",  # alone of its family in refining by a recurrent unit
    "s2m2/s",
    "smoe_stereo/damv2_vits",
}
# Whose recorded weights a variant takes that has no fixture of its own name.
FIXTURES = {
    "fast_foundation_stereo/pruned": "released_vitl_d192",
    "fast_foundation_stereo/unpruned": "unpruned_vits_d192",
    "smoe_stereo/damv2_vitl": "damv2_vitb",
}
VARIANTS = [
    pytest.param((variant, {}), id=variant, marks=[] if variant in QUICK else [pytest.mark.slow])
    for name, variants in list_networks().items()
    for variant in (f"{name}/{variant}" for variant in variants)
]
SETTINGS = [
    pytest.param((variant, config), id=f"{variant} {' '.join(config)}", marks=pytest.mark.slow)
    for variant, config in [
        # Fixtures' names, for their weights.
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


class Graphs(NamedTuple):
    """A network's graphs by precision, all of one tracing, and what it answers to each prior."""

    paths: dict[str, Path]
    expected: list[tuple[Prior, Outputs]]


PAIR = stereo_pair(*SIZE, seed=1)
PRIOR = find_prior(SgbmEngine(), *PAIR, 48)


@pytest.fixture(scope="module", params=VARIANTS + SETTINGS)
def graphs(request, tmp_path_factory):
    path, config = request.param
    name, variant = path.split("/")
    with torch.device("meta"):
        iterates = create_recorded(name, variant).iterations is not None
    if iterates:
        config = {**config, "iterations": ITERATIONS}
    network = load_filled(create_recorded(name, variant, **config), **recorded_weights(path))
    folder = tmp_path_factory.mktemp(name)
    folded = fold(network, *SIZE, folder)
    paths = {precision: folder / f"{precision}.onnx" for precision in PRECISIONS}
    for precision, file in paths.items():
        metadata = describe(network, *SIZE)
        file.write_bytes(finish(folded, network, precision, metadata).SerializeToString())
    priors = [(), PRIOR] if network.takes_prior else [()]
    yield Graphs(paths, [(prior, outputs_of(network, *PAIR, prior)) for prior in priors])
    shutil.rmtree(folder)


def test_fp32_graph_agrees_with_pytorch(graphs):
    for prior, expected in graphs.expected:
        agreement = compare(graphs.paths["fp32"], *PAIR, expected, prior)
        assert agreement.worst < 1e-3
        assert agreement.confidence < 1e-4


def test_mixed_graph_agrees_with_pytorch_even_where_every_half_result_is_rounded(graphs, tmp_path):
    rounded = save_rounded(graphs.paths["mixed"], tmp_path / "rounded.onnx")

    for path in (graphs.paths["mixed"], rounded):
        for prior, expected in graphs.expected:
            agreement = compare(path, *PAIR, expected, prior)
            assert agreement.median < MAX_MEDIAN_PX
            assert agreement.confidence < MAX_CONFIDENCE


def test_las2_agrees_with_pytorch_at_other_sizes_than_its_own(tmp_path):
    network = load_filled(create_network("lite_any_stereo", "las2_s"))

    path = export_onnx(network, *SIZE, tmp_path / "net.onnx", any_size=True)

    for size in (SIZE, (61, 99)):
        assert measure_agreement(network, path, *stereo_pair(*size)).worst < 1e-2


def test_lite_agrees_with_pytorch_beyond_the_range_that_its_weights_span(tmp_path):
    network = load_filled(create_network("lite", max_disparity=320))

    path = export_onnx(network, *SIZE, tmp_path / "net.onnx")

    for prior in ((), find_prior(SgbmEngine(), *PAIR, 320)):
        assert measure_agreement(network, path, *PAIR, prior).worst < 1e-3
