"""Whole pickled modules, of which the structure is read as well as the weights."""

import argparse
from dataclasses import asdict, replace

import pytest
import torch
from authors import entries_of, save_fast_foundation_stereo
from networks.generator import stereo_pair
from networks.parity import Fixture, as_tensor
from torch import nn

from stereo_depth_ros.checkpoints import CheckpointError, import_weights, load_weights
from stereo_depth_ros.checkpoints.reading import read_weights_file
from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.networks.fast_foundation_stereo.reading import from_shapes
from stereo_depth_ros.networks.fast_foundation_stereo.structure import (
    RELEASED,
    Structure,
)
from stereo_depth_ros.published import PUBLISHED


@pytest.mark.parametrize("package", ["core", "foundation_stereo_ori"])
@pytest.mark.parametrize(
    ("variant", "structure"),
    [("released_vitl_d192", RELEASED), ("unpruned_vits_d192", Structure(features=128))],
    ids=["released", "unpruned"],
)
def test_structure_is_read_from_the_module(variant, structure, package, tmp_path):
    entries = save_fast_foundation_stereo(tmp_path / "net.pth", variant, package)

    file = read_weights_file(tmp_path / "net.pth")

    assert file.entries.keys() == entries.keys()
    found = asdict(from_shapes(file.shapes, file.attributes))
    expected = asdict(structure)
    found_blocks, expected_blocks = found.pop("blocks"), expected.pop("blocks")
    assert found == expected
    assert {slot: block for slot, block in found_blocks.items() if block} == {
        slot: block for slot, block in expected_blocks.items() if block
    }


def test_searched_network_that_shapes_do_not_tell_answers_as_recorded(tmp_path):
    # Two heads, concatenation, a convolution without activation, features that are not normalised.
    fixture = Fixture("fast_foundation_stereo", "nas_alt_vitb_d64_nonorm")
    options = argparse.Namespace(normalize=False, max_disp=64)
    save_fast_foundation_stereo(
        tmp_path / "net.pth", "nas_alt_vitb_d64_nonorm", "foundation_stereo_ori", options
    )

    info = import_weights(
        tmp_path / "net.pth",
        tmp_path / "net.safetensors",
        config={"iterations": 4},
    )
    network, _ = load_weights(tmp_path / "net.safetensors")
    left, right = (as_tensor(image) for image in stereo_pair(96, 160))
    with torch.inference_mode():
        disparity, _ = network(left, right)

    recorded = torch.from_numpy(fixture.arrays["disp"])
    tolerance = fixture.info["tolerance"]
    torch.testing.assert_close(
        disparity.view_as(recorded), recorded, atol=tolerance["atol"], rtol=tolerance["rtol"]
    )
    assert not any("normalised" in note for note in info.notes)
    assert "max_disparity is 64 px, as the module says" in info.notes


def in_wrapper(name, sibling):
    """Return a function that puts a network under ``name`` into a module, beside ``sibling``."""

    def wrap(network):
        wrapper = nn.Module()
        wrapper.add_module(name, network)
        wrapper.add_module("loss", sibling())
        wrapper.padding = (0, 0)  # which says nothing of the network
        return wrapper

    return wrap


FORMS = {
    "bare": lambda network: network,
    "under_a_key": lambda network: {"model": network},
    "beside_a_loss": in_wrapper("model", nn.Identity),
    "parallel_beside_a_loss": lambda network: nn.DataParallel(
        in_wrapper("model", nn.Identity)(network)
    ),
    "under_any_name": in_wrapper("student", nn.Identity),
    "under_two_names": lambda network: in_wrapper("student", nn.Identity)(
        in_wrapper("module", nn.Identity)(network)
    ),
}


@pytest.fixture(params=FORMS)
def save_in_form(request, monkeypatch):
    """Write the whole module in every form that is accepted, after ``change`` of it."""
    save = torch.save

    def save_changed(path, change=lambda network: None, **settings):
        def save_wrapped(network, file):
            change(network)
            save(FORMS[request.param](network), file)

        monkeypatch.setattr(torch, "save", save_wrapped)
        return save_fast_foundation_stereo(path, "released_vitl_d192", **settings)

    return save_changed


def test_every_form_says_as_much_of_the_network(save_in_form, tmp_path):
    options = argparse.Namespace(max_disp=416, normalize=False)
    entries = save_in_form(tmp_path / "net.pth", args=options)

    info = import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")

    file = read_weights_file(tmp_path / "net.safetensors")
    assert file.entries.keys() <= entries.keys()
    assert info.config["max_disparity"] == 416
    assert info.config["structure"]["normalise"] is False
    assert "max_disparity is 416 px, as the module says" in info.notes
    assert not any("not the authors' whole module" in note for note in info.notes)


@pytest.mark.parametrize(
    ("options", "settings", "searched", "note"),
    [
        (argparse.Namespace(max_disp=416), {}, 416, "max_disparity is 416 px, as the module says"),
        (argparse.Namespace(max_disp=416), {"max_disparity": 192}, 192, None),
        (None, {"max_disparity": 64}, 64, None),
        (None, {}, None, "it does not say how far it searches; 192 px are taken"),
        (argparse.Namespace(max_disp=100), {}, None, "192 px are taken"),
        (argparse.Namespace(max_disp="far"), {}, None, "192 px are taken"),
        (argparse.Namespace(max_disp=32 * 10**9), {}, None, "192 px are taken"),
    ],
    ids=["told", "told_otherwise", "given", "untold", "no_multiple", "no_number", "endless"],
)
def test_search_range_is_the_modules_or_is_said_to_be_assumed(
    options, settings, searched, note, tmp_path
):
    save_fast_foundation_stereo(tmp_path / "net.pth", "released_vitl_d192", args=options)

    info = import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors", config=settings)

    assert info.config.get("max_disparity") == searched
    said = [text for text in info.notes if "px" in text]
    assert len(said) == (note is not None)
    assert all(note in text for text in said)


def test_missing_word_on_normalisation_is_noted_and_can_be_given(tmp_path):
    save_fast_foundation_stereo(tmp_path / "net.pth", "released_vitl_d192")

    assumed = import_weights(tmp_path / "net.pth", tmp_path / "a.safetensors")
    given = import_weights(
        tmp_path / "net.pth", tmp_path / "b.safetensors", config={"structure.normalise": False}
    )

    assert any("does not say whether its features are normalised" in n for n in assumed.notes)
    assert assumed.config["structure"]["normalise"] is True
    assert given.config["structure"]["normalise"] is False
    assert not any("normalised" in note for note in given.notes)
    assert load_weights(tmp_path / "b.safetensors")[1] == given


def test_terms_are_the_strictest_where_the_file_is_not_known(tmp_path):
    save_fast_foundation_stereo(tmp_path / "net.pth", "released_vitl_d192")

    info = import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")

    assert not info.commercial
    assert any("the strictest terms hold" in note for note in info.notes)


def test_plain_state_dict_is_taken_for_the_released_structure_and_says_so(tmp_path):
    torch.save(entries_of("fast_foundation_stereo", "released_vitl_d192"), tmp_path / "net.pth")

    info = import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")

    assert any("not the authors' whole module" in note for note in info.notes)
    load_weights(tmp_path / "net.safetensors")


def test_structure_that_shapes_do_not_tell_asks_for_the_whole_module(tmp_path):
    entries = entries_of("fast_foundation_stereo", "released_vitl_d192")
    for key in [key for key in entries if "post8_to_4.upsample.1." in key]:
        entries[key.replace("upsample.1.", "upsample.2.")] = entries.pop(key)
    torch.save(entries, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match=r"post8_to_4\.upsample .* the authors' whole module"):
        import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")


@pytest.mark.parametrize("save_in_form", ["bare", "under_two_names"], indirect=True)
@pytest.mark.parametrize(
    ("path", "attribute", "value"),
    [
        ("corr_feature_att.layers.0.conv", "padding", (0, 0, 0)),
        ("cost_agg.feature_att_8.layers.0.conv", "dilation", (2, 2, 2)),
        ("corr_feature_att.layers.0.bn", "eps", 1e-3),
        ("cost_agg.post8_to_4.upsample.2", "mode", "nearest"),
    ],
)
def test_module_that_computes_otherwise_is_refused(path, attribute, value, save_in_form, tmp_path):
    save_in_form(
        tmp_path / "net.pth",
        lambda network: setattr(network.get_submodule(path), attribute, value),
    )

    with pytest.raises(CheckpointError, match=rf"its {path} has {attribute} .*another structure"):
        import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")


def test_published_file_that_is_known_not_to_normalise_needs_no_word(tmp_path, monkeypatch):
    save_fast_foundation_stereo(tmp_path / "net.pth", "released_vitl_d192")
    monkeypatch.setitem(
        PUBLISHED,
        "ffs_20-30-48",
        replace(PUBLISHED["ffs_20-30-48"], sha256=sha256_of(tmp_path / "net.pth")),
    )

    info = import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")

    assert info.config["structure"]["normalise"] is False
    assert not any("normalised" in note for note in info.notes)
