"""A real TensorRT takes every network of the registry, in both precisions."""

import pytest
from networks_to_build import PRECISIONS, build, export, variants

QUICK = {"lite/base"}
CASES = [
    pytest.param(variant, precision, marks=[] if variant in QUICK else [pytest.mark.slow])
    for variant in variants()
    for precision in PRECISIONS
]


@pytest.mark.parametrize(("variant", "precision"), CASES)
def test_network_is_parsed_as_it_was_meant_and_built(rtx, tmp_path, variant, precision):
    path = export(variant, precision, tmp_path / "net.onnx")

    built = build(rtx, path, precision)

    assert built.layers > 100
