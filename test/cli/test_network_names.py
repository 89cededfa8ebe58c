import pytest

from stereo_depth_ros.cli.network_names import VARIANTS, describe_variants


def test_names_and_defaults_are_those_of_the_networks():
    pytest.importorskip("torch")
    from stereo_depth_ros.networks import list_networks
    from stereo_depth_ros.networks.registry import network_module

    assert {network: tuple(variants) for network, variants in VARIANTS.items()} == list_networks()
    for network, variants in VARIANTS.items():
        for variant, stated in variants.items():
            config = network_module(network).VARIANTS[variant]
            fields = ("iterations", "max_disparity")
            assert tuple(getattr(config, field, None) for field in fields) == stated


def test_list_names_each_variant_with_its_defaults():
    lines = [line.split() for line in describe_variants().splitlines()]

    assert ["fast_foundation_stereo"] in lines
    assert ["pruned", "8", "iterations,", "192", "px"] in lines
    assert ["las2_h", "4", "iterations"] in lines
    assert ["las1"] in lines
