import json
import os
import re
import stat
import subprocess

import pytest
import torch
from authors import entries_of, shapes_of
from safetensors import safe_open
from safetensors.torch import save_file

from stereo_depth_ros.checkpoints import (
    CheckpointError,
    WeightsInfo,
    import_weights,
    load_weights,
    read_info,
    save_weights,
)
from stereo_depth_ros.checkpoints.detection import blueprint, identify, mismatch
from stereo_depth_ros.checkpoints.reading import shapes_of as shapes_of_entries
from stereo_depth_ros.networks import create_network

PUBLISHED = {  # of each fixture: network, variant, what is said beside the variant
    ("lite_any_stereo", "las1"): ("las1", {}),
    ("lite_any_stereo", "las2_s"): ("las2_s", {}),
    ("lite_any_stereo", "las2_m"): ("las2_m", {}),
    ("lite_any_stereo", "las2_l"): ("las2_l", {}),
    ("lite_any_stereo", "las2_h"): ("las2_h", {}),
    ("s2m2", "s"): ("s", {}),
    ("s2m2", "m"): ("m", {}),
    ("s2m2", "l"): ("l", {}),
    ("s2m2", "xl"): ("xl", {}),
    ("smoe_stereo", "damv2_vits"): ("damv2_vits", {"selective": True}),
    ("smoe_stereo", "damv2_vits_noselect"): ("damv2_vits", {"selective": False}),
    ("smoe_stereo", "damv2_vitb"): ("damv2_vitb", {"selective": True}),
    ("foundation_stereo", "vits"): ("vits", {}),
    ("foundation_stereo", "vitl"): ("vitl", {}),
    ("waft_stereo", "dav2_vits"): ("dav2_vits", {}),
    ("waft_stereo", "dav2_vitb"): ("dav2_vitb", {}),
    ("waft_stereo", "dav2_vitl"): ("dav2_vitl", {}),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The smallest published file, in the form that its authors are said to use."""
    path = tmp_path_factory.mktemp("small") / "LAS2_S.pth"
    entries = entries_of("lite_any_stereo", "las2_s")
    torch.save({"model": {f"module.{k}": v for k, v in entries.items()}}, path)
    return path


@pytest.fixture(scope="module")
def imported(small):
    """The smallest published file, imported."""
    output = small.with_suffix(".safetensors")
    import_weights(small, output)
    return output


def altered(tmp_path, change, network="lite_any_stereo", variant="las2_s"):
    """The smallest file after ``change`` of its entries."""
    entries = entries_of(network, variant)
    torch.save(change(entries) or entries, tmp_path / "altered.pth")
    return tmp_path / "altered.pth"


@pytest.mark.parametrize(("network", "fixture"), PUBLISHED, ids="/".join)
def test_network_and_variant_are_told_from_shapes(network, fixture):
    variant, config = PUBLISHED[network, fixture]

    found, arguments = identify(shapes_of(network, fixture))

    assert (found, arguments) == (network, {"variant": variant, **config})


@pytest.mark.parametrize(
    ("network", "variant"),
    [
        ("lite_any_stereo", "las1"),
        ("lite_any_stereo", "las2_h"),
        pytest.param("s2m2", "s", marks=pytest.mark.slow),
        pytest.param("smoe_stereo", "damv2_vits", marks=pytest.mark.slow),
        pytest.param("foundation_stereo", "vits", marks=pytest.mark.slow),
        pytest.param("waft_stereo", "dav2_vits", marks=pytest.mark.slow),
    ],
)
def test_what_is_imported_is_loaded_whole(network, variant, tmp_path):
    entries = entries_of(network, variant)
    torch.save({"state_dict": entries}, tmp_path / "net.pth")

    info = import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")
    made, loaded_info = load_weights(tmp_path / "net.safetensors")

    assert info == loaded_info
    assert (made.name, made.variant, made.training) == (network, variant, False)
    state = made.state_dict()
    assert state
    for key, value in state.items():
        assert torch.equal(value, entries[key]), key


def test_file_says_where_it_is_from(small, imported):
    info = read_info(imported)

    assert (info.network, info.variant, info.config) == ("lite_any_stereo", "las2_s", {})
    assert (info.licence, info.commercial, info.source) == ("MIT", True, "LAS2_S.pth")
    assert len(info.sha256) == 64
    with safe_open(imported, "pt") as file:
        metadata = file.metadata()
    assert metadata["commercial"] == "true"
    assert json.loads(metadata["config"]) == {}


def test_generated_weights_are_not_taken_for_the_published_file(imported):
    assert "not the published file" in read_info(imported).notes[0]


def test_state_dict_that_was_taken_of_several_is_recorded(tmp_path):
    entries = entries_of("lite_any_stereo", "las2_s")
    copy = {key: value.clone() for key, value in entries.items()}
    torch.save({"model": entries, "model_ema": copy}, tmp_path / "net.pth")

    info = import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")

    note = "it holds several state dicts (model, model_ema), of which 'model' was taken"
    assert note in info.notes
    assert note in read_info(tmp_path / "net.safetensors").notes


def test_terms_of_a_non_commercial_network_are_recorded(tmp_path):
    path = altered(tmp_path, lambda entries: None, "s2m2", "s")

    import_weights(path, tmp_path / "net.safetensors")

    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        metadata = file.metadata()
    assert (metadata["licence"], metadata["commercial"]) == ("CC-BY-NC-4.0", "false")


def test_imported_file_can_be_imported_again_with_other_settings(tmp_path):
    torch.save(entries_of("lite_any_stereo", "las2_h"), tmp_path / "LAS2_H.pth")
    first = import_weights(tmp_path / "LAS2_H.pth", tmp_path / "first.safetensors")

    second = import_weights(
        tmp_path / "first.safetensors", tmp_path / "second.safetensors", config={"iterations": 2}
    )

    assert (second.source, second.sha256) == (first.source, first.sha256)
    assert load_weights(tmp_path / "second.safetensors")[0].iterations == 2


@pytest.mark.parametrize(
    ("dtypes", "note"),
    [
        ([torch.float32, torch.float64], None),
        ([torch.float16], "its weights are rounded to float16, not the float32 that"),
        ([torch.bfloat16, torch.float16], "its weights are rounded to bfloat16 and float16, not"),
        ([torch.float8_e4m3fn], "its weights are rounded to float8_e4m3fn, not"),
    ],
    ids=str,
)
def test_weights_that_were_rounded_are_noted_once(dtypes, note, tmp_path):
    def rounded(entries):
        floats = [key for key, value in entries.items() if value.is_floating_point()]
        for i, key in enumerate(floats):
            entries[key] = (entries[key] / 8).to(dtypes[i % len(dtypes)])

    import_weights(altered(tmp_path, rounded), tmp_path / "first.safetensors")
    import_weights(tmp_path / "first.safetensors", tmp_path / "net.safetensors")

    _, info = load_weights(tmp_path / "net.safetensors")
    said = [text for text in info.notes if "rounded" in text]
    assert len(said) == (note is not None)
    assert all(text.startswith(note) for text in said)


def test_rounded_weights_that_are_not_finite_are_refused(tmp_path):
    def rounded(entries):
        key = next(k for k in entries if k.endswith("weight"))
        entries[key] = torch.full_like(entries[key], torch.nan).to(torch.float8_e4m3fn)

    with pytest.raises(CheckpointError, match="holds infinities or NaN"):
        import_weights(altered(tmp_path, rounded), tmp_path / "net.safetensors")


def test_authors_safetensors_are_imported(tmp_path):
    save_file(entries_of("lite_any_stereo", "las2_s"), tmp_path / "plain.safetensors")

    info = import_weights(tmp_path / "plain.safetensors", tmp_path / "net.safetensors")

    assert (info.variant, info.source) == ("las2_s", "plain.safetensors")


def test_entries_that_share_memory_are_written(tmp_path):
    def share(entries):
        keys = [key for key in entries if key.endswith("running_mean")]
        by_size = {entries[key].numel(): key for key in keys}
        for key in keys:
            entries[key] = entries[by_size[entries[key].numel()]]

    import_weights(altered(tmp_path, share), tmp_path / "net.safetensors")

    load_weights(tmp_path / "net.safetensors")


def test_weights_made_here_are_saved_and_loaded(tmp_path, imported):
    entries = load_weights(imported)[0].state_dict()
    info = WeightsInfo("lite_any_stereo", "las2_s", licence="Apache-2.0")

    save_weights(tmp_path / "new" / "mine.safetensors", entries, info)

    assert load_weights(tmp_path / "new" / "mine.safetensors")[1] == info


def remove(entries):
    del entries["fnet.backbone.patch_embed.proj.weight"], entries["refine_3.block.0.weight"]


def rename_some(entries):
    for key in [key for key in entries if key.startswith("cost_agg.conv4.")]:
        entries[key.replace("conv4", "convolution4")] = entries.pop(key)


def reshape(entries):
    entries["refine_3.block.0.weight"] = torch.zeros(4)


def add(entries):
    entries["head.extra"] = torch.zeros(4)


def mix(entries):
    other = entries_of("lite_any_stereo", "las1")
    entries.update({k: v for k, v in other.items() if k.startswith("cost_agg_2d")})


def cut_off(entries):
    return dict(list(entries.items())[:200])


WRONG = {
    "missing": (
        remove,
        r"2 missing: (?=.*patch_embed\.proj\.weight)(?=.*refine_3\.block)",
    ),
    "renamed": (
        rename_some,
        r"missing: cost_agg\.conv4.*, …; .* unexpected: cost_agg\.convolution4",
    ),
    "reshaped": (reshape, r"1 of a wrong shape: refine_3\S+ \(4,\) instead of \(16, 9, 4, 4\)"),
    "unexpected": (add, r"looks like lite_any_stereo las2_s, .* 1 unexpected: head\.extra"),
    "mixed": (mix, r"looks like lite_any_stereo las1, .* \d+ missing: .* unexpected: "),
    "cut_off": (cut_off, r"nearest is lite_any_stereo las2_s, .* \d+ missing: "),
}


@pytest.mark.parametrize("kind", WRONG)
def test_entries_that_do_not_fit_are_named(kind, tmp_path):
    change, message = WRONG[kind]

    with pytest.raises(CheckpointError, match=message):
        import_weights(altered(tmp_path, change), tmp_path / "net.safetensors")

    assert not (tmp_path / "net.safetensors").exists()


def test_nobodys_entries_list_the_known_networks(tmp_path):
    torch.save({"fc.weight": torch.ones(3, 3)}, tmp_path / "net.pth")

    message = (
        r"net\.pth: is not one of the supported networks \(.*s2m2.*\): 0 of its 1 entries "
        r"\(fc\.weight\) fit"
    )
    with pytest.raises(CheckpointError, match=message):
        import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")


def test_telling_entry_of_an_odd_shape_is_of_no_network(tmp_path):
    torch.save({"disp_init.layer_norm.weight": torch.tensor(1.0)}, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="is not one of the supported networks"):
        import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")


def test_two_networks_in_one_file_are_named_and_one_can_be_asked_for(tmp_path):
    def both(entries):
        entries.update(entries_of("s2m2", "s"))

    path = altered(tmp_path, both)

    with pytest.raises(CheckpointError, match="several networks, lite_any_stereo and s2m2"):
        import_weights(path, tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=r"looks like s2m2 s, but .* unexpected: fnet"):
        import_weights(path, tmp_path / "net.safetensors", network="s2m2")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("s2m2", r"is not s2m2: \d+ of its \d+ entries \(.*\) fit"),
        ("s3m3", r"network 's3m3' is not known; there are .*s2m2"),
        ("lite", r"lite has no published checkpoints, but .*s2m2"),
    ],
)
def test_file_of_another_network_than_asked_for_is_refused(network, message, small, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        import_weights(small, tmp_path / "net.safetensors", network=network)


def test_imported_file_of_another_network_than_asked_for_is_refused(imported, tmp_path):
    with pytest.raises(CheckpointError, match="weights of lite_any_stereo, not of s2m2"):
        import_weights(imported, tmp_path / "net.safetensors", network="s2m2")


def without_counters(entries):
    return {k: v for k, v in entries.items() if not k.endswith("num_batches_tracked")}


def profiled(entries):
    """What thop adds to every module, and averaging and loops to the whole."""
    paths = {key.rpartition(".")[0] for key in entries}
    counts = {f"{path}.total_ops": torch.zeros(1, dtype=torch.float64) for path in paths}
    tops = {name: torch.tensor(7) for name in ("n_averaged", "step", "epoch", "total_params")}
    return {**entries, **counts, **tops}


def counted_more(entries):
    return {**entries, "refine_3.extra.num_batches_tracked": torch.tensor(7)}


def prefixed(prefix, stray="n_averaged"):
    return lambda entries: {
        stray: torch.tensor(7),
        **{f"{prefix}{key}": value for key, value in entries.items()},
    }


UNUSUAL = {
    "without_counters": without_counters,
    "profiled": profiled,
    "another_counter": counted_more,
    "averaged": prefixed("module."),
    "prefix_of_any_name": prefixed("net."),
    "prefixes_of_any_name": prefixed("student.module.stereo."),
    "prefix_on_most": prefixed("generator.", stray="generator_steps.num_batches_tracked"),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_what_surrounds_the_weights_does_not_matter(kind, tmp_path):
    path = altered(tmp_path, UNUSUAL[kind])

    info = import_weights(path, tmp_path / "net.safetensors")

    assert (info.network, info.variant) == ("lite_any_stereo", "las2_s")
    state = load_weights(tmp_path / "net.safetensors")[0].state_dict()
    for key, value in entries_of("lite_any_stereo", "las2_s").items():
        if key in state and not key.endswith("num_batches_tracked"):
            assert torch.equal(state[key], value), key


def test_prefix_of_any_name_does_not_hide_an_entry_that_does_not_fit(tmp_path):
    path = altered(tmp_path, prefixed("net.", stray="net.extra_layer"))

    with pytest.raises(CheckpointError, match=r"las2_s, but entries are 1 unexpected: extra_layer"):
        import_weights(path, tmp_path / "net.safetensors")


def test_another_networks_file_is_not_called_nearly_ours(tmp_path):
    # Names that stereo networks share, of shapes that ours do not have.
    def resize(entries):
        return {
            key: value.new_zeros((*value.shape, 2)) if i % 3 else value
            for i, (key, value) in enumerate(entries.items())
        }

    entries = resize(entries_of("lite_any_stereo", "las2_s"))
    del entries["fnet.backbone.patch_embed.proj.weight"]
    torch.save(entries, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="is not one of the supported networks") as refusal:
        import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")

    assert "nearest" not in str(refusal.value)
    assert len(str(refusal.value)) < 600


def test_names_of_any_length_make_an_error_of_one_bounded_line(tmp_path):
    entries = {f"{'layer' * 20_000}\n\x1b[2J{i}": torch.ones(2) for i in range(9)}
    torch.save(entries, tmp_path / "net.pth")

    with pytest.raises(CheckpointError) as refusal:
        import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors")

    assert len(str(refusal.value)) < 1200
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "config",
    ['{"max_disparity": 1' + "0" * 400 + "}", "[" * 100_000, '{"structure": {"blocks": 3}}'],
    ids=["number", "nesting", "kind"],
)
def test_settings_that_nothing_can_be_built_of_are_one_line(config, tmp_path):
    info = WeightsInfo("fast_foundation_stereo", "pruned")
    metadata = {**info.as_metadata(), "config": config}
    save_file({"weight": torch.ones(1)}, tmp_path / "net.safetensors", metadata=metadata)

    with pytest.raises(CheckpointError) as refusal:
        load_weights(tmp_path / "net.safetensors")

    assert str(refusal.value).startswith(f"{tmp_path / 'net.safetensors'}: ")
    assert len(str(refusal.value)) < 1200


def test_weights_on_a_full_disk_are_named_and_the_old_ones_stay(tmp_path, imported):
    small = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if small.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        path = tmp_path / "net.safetensors"
        path.write_bytes(b"old")
        with pytest.raises(OSError, match=r"net\.safetensors was not written: .*No space left"):
            import_weights(imported, path)
        assert path.read_bytes() == b"old"
        assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_weights_are_as_readable_as_the_mask_says(tmp_path):
    network = create_network("lite")

    save_weights(tmp_path / "lite.safetensors", network.state_dict(), WeightsInfo("lite", "base"))

    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "lite.safetensors").stat().st_mode) == 0o666 & ~mask


def test_setting_inside_of_a_number_is_refused(tmp_path):
    torch.save(entries_of("lite_any_stereo", "las2_h"), tmp_path / "LAS2_H.pth")
    path = tmp_path / "net.safetensors"
    import_weights(tmp_path / "LAS2_H.pth", path, config={"iterations": 2})

    with pytest.raises(CheckpointError, match="'iterations' has no entries"):
        import_weights(path, tmp_path / "other.safetensors", config={"iterations.few": 1})


def test_file_can_be_imported_onto_itself(tmp_path):
    torch.save(entries_of("lite_any_stereo", "las2_h"), tmp_path / "LAS2_H.pth")
    path = tmp_path / "net.safetensors"
    import_weights(tmp_path / "LAS2_H.pth", path)

    import_weights(path, path, config={"iterations": 2})

    assert load_weights(path)[0].iterations == 2
    assert not list(tmp_path.glob("*.partial"))


def test_setting_that_the_network_does_not_take_is_refused(small, tmp_path):
    with pytest.raises(CheckpointError, match="iterations"):
        import_weights(small, tmp_path / "net.safetensors", config={"iterations": 3})


def test_output_must_be_safetensors(small, tmp_path):
    with pytest.raises(CheckpointError, match=r"net\.pth: .* written as \.safetensors"):
        import_weights(small, tmp_path / "net.pth")


def test_authors_file_is_not_loaded_but_told_how_to_import(small):
    with pytest.raises(CheckpointError, match=r"'stereo-depth import .*LAS2_S\.pth -o"):
        load_weights(small)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"commercial": "perhaps"}, "does not say which network"),
        ({"config": "3"}, "does not say which network"),
        ({"variant": "las9"}, "has no variant 'las9'"),
        ({"variant": "las2_m"}, "does not fit lite_any_stereo las2_m: .* missing"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_imported_file_whose_description_is_wrong_is_named(change, message, imported, tmp_path):
    with safe_open(imported, "pt") as file:
        metadata = file.metadata()
    entries = entries_of("lite_any_stereo", "las2_s")
    save_file(entries, tmp_path / "net.safetensors", metadata={**metadata, **change})

    with pytest.raises(CheckpointError, match=message):
        load_weights(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.to(torch.int64), "is torch.int64, but must be of floats"),
        (lambda x: x > 0, "is torch.bool, but must be of floats"),
        (lambda x: x.to(torch.complex64), "is torch.complex64, but must be of floats"),
        (lambda x: x * float("nan"), "holds infinities or NaN"),
    ],
)
def test_entries_that_are_no_finite_floats_are_refused(change, message, tmp_path):
    def spoilt(entries):
        key = next(k for k in entries if k.endswith("weight"))
        entries[key] = change(entries[key])

    with pytest.raises(CheckpointError, match=message):
        import_weights(altered(tmp_path, spoilt), tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("network", "variant", "first", "second"),
    [
        ("foundation_stereo", "vits", r"(cnet\.layer\d\.0)\.downsample\.1\.", r"\1.norm3."),
        ("smoe_stereo", "damv2_vits", r"\.lora_w_gate$", ".moe_layer.clean_gate"),
        (
            "smoe_stereo",
            "damv2_vits",
            r"\.(lora_A|lora_B|lora_adapter)\.(\d+)\.",
            r".moe_layer.experts.\2.\1.",
        ),
    ],
)
def test_second_name_of_an_entry_does_as_well(network, variant, first, second):
    shapes = shapes_of(network, variant)
    renamed = {re.sub(first, second, key): shape for key, shape in shapes.items()}
    assert len(renamed) < len(shapes)  # both were there

    found, arguments = identify(renamed)
    made = blueprint(found, arguments)

    assert found == network
    assert not mismatch(shapes_of_entries(made.state_dict()), made.own_entries(renamed))
