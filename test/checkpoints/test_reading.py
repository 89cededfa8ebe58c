import argparse
import pickle
import zipfile

import numpy as np
import pytest
import torch
from authors import classes_of_authors
from safetensors.torch import save_file
from torch import nn

from stereo_depth_ros.checkpoints import CheckpointError
from stereo_depth_ros.checkpoints.reading import read_weights_file
from stereo_depth_ros.file_hash import sha256_of

ENTRIES = {
    "stem.0.weight": torch.arange(12.0).view(3, 4),
    "stem.0.steps": torch.tensor(7),
    "offsets": torch.arange(-4, 5, dtype=torch.int8),
}


def prefixed(prefix):
    return {prefix + key: value for key, value in ENTRIES.items()}


def module():
    """A module with these entries, and with one that state_dict() leaves out."""
    network = nn.Module()
    network.stem = nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU())
    network.stem[0].weight = nn.Parameter(ENTRIES["stem.0.weight"])
    network.stem[0].register_buffer("steps", ENTRIES["stem.0.steps"])
    network.stem[0].register_buffer("table", torch.ones(5), persistent=False)
    network.stem[0].register_parameter("bias", None)
    network.register_buffer("offsets", ENTRIES["offsets"])
    network.register_module("absent", None)
    return network


def training_state():
    weight = nn.Parameter(torch.ones(3))
    optimiser = torch.optim.AdamW([weight], lr=1e-3)
    weight.sum().backward()
    optimiser.step()
    return {
        "model": ENTRIES,
        "optimizer": optimiser.state_dict(),
        "global_step": np.int64(200_000),
        "loss": np.float32(0.5),
        "epoch": 12,
        "args": argparse.Namespace(lr=1e-3, name="run"),
        "history": np.arange(3.0),
    }


ANY_KEY = ("model_state", "model_state_dict", "net", "weights", "params", "params_ema")
FORMS = {
    "bare": lambda: ENTRIES,
    "under_model": lambda: {"model": ENTRIES, "epoch": 3},
    "under_state_dict": lambda: {"state_dict": ENTRIES, "epoch": 3},
    "data_parallel": lambda: prefixed("module."),
    "data_parallel_under_model": lambda: {"model": prefixed("module.")},
    "compiled_data_parallel": lambda: prefixed("module._orig_mod."),
    "lightning": lambda: {"state_dict": prefixed("model."), "hyper_parameters": {"lr": 1e-3}},
    "nested_twice": lambda: {"model": {"state_dict": prefixed("module.")}},
    "training_state": training_state,
    "module": module,
    "module_under_model": lambda: {"model": module()},
    "module_in_data_parallel": lambda: nn.DataParallel(module()),
    **{f"under_{key}": lambda key=key: {key: ENTRIES, "epoch": 3} for key in ANY_KEY},
    "under_any_keys": lambda: {"checkpoint": {"generator": prefixed("module.")}, "epoch": 3},
    "module_under_any_key": lambda: {"network": module(), "epoch": 3},
    "among_numbers_and_words": lambda: {"epoch": 3, "arch": "net", "best": None, **ENTRIES},
    "beside_a_smaller_mapping": lambda: {"net": ENTRIES, "statistics": {"mean": torch.ones(1)}},
    "beside_an_average": lambda: {"ema": prefixed("ema."), "model": ENTRIES},
    "averaged": lambda: {"n_averaged": torch.tensor(3), **prefixed("module.")},
    "profiled": lambda: {
        **ENTRIES,
        "total_ops": torch.ones(1),
        "stem.0.total_params": torch.ones(1),
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_entries(form, tmp_path):
    torch.save(FORMS[form](), tmp_path / "net.pth")

    found = read_weights_file(tmp_path / "net.pth").entries

    assert found.keys() == ENTRIES.keys()
    for key, value in ENTRIES.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value)


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        ({"model": ENTRIES, "epoch": 3}, ()),
        (
            {"ema": prefixed("ema."), "model": ENTRIES},
            ("it holds several state dicts (ema, model), of which 'model' was taken",),
        ),
        (
            {"student": {"stem.0.weight": torch.ones(1)}, "a": {"net": ENTRIES}},
            ("it holds several state dicts (student, a.net), of which 'a.net' was taken",),
        ),
    ],
    ids=["one", "two", "one_smaller"],
)
def test_state_dict_that_was_taken_of_several_is_noted(content, notes, tmp_path):
    torch.save(content, tmp_path / "net.pth")

    file = read_weights_file(tmp_path / "net.pth")

    assert file.entries.keys() == ENTRIES.keys()
    assert file.notes == notes


def test_half_precision_is_kept(tmp_path):
    torch.save({"weight": torch.ones(2, dtype=torch.float16)}, tmp_path / "net.pth")

    assert read_weights_file(tmp_path / "net.pth").entries["weight"].dtype == torch.float16


def test_safetensors_are_read_with_what_they_say(tmp_path):
    save_file(prefixed("module."), tmp_path / "net.safetensors", metadata={"format": "pt"})

    file = read_weights_file(tmp_path / "net.safetensors")

    assert file.entries.keys() == ENTRIES.keys()
    assert file.metadata == {"format": "pt"}
    assert file.shapes["stem.0.weight"] == (3, 4)


def test_attributes_of_a_pickled_module_are_found_by_path(tmp_path):
    with classes_of_authors() as get:
        network = get("foundation_stereo.Net")()
        network.block = get("submodule.Basic")()
        network.block.relu = True
        network.block.conv = nn.ConvTranspose3d(2, 3, 4, stride=2)
        network.block.shift = {"of": nn.ReLU()}
        network.args = argparse.Namespace(normalize=False, hidden_dims=[128])
        torch.save(network, tmp_path / "net.pth")

    found = read_weights_file(tmp_path / "net.pth").attributes

    assert set(found) == {"", "block", "block.conv"}
    assert found[""]["normalize"] is False
    assert found[""]["hidden_dims"] == [128]
    assert (found["block"]["class"], found["block"]["relu"]) == ("Basic", True)
    assert (found["block.conv"]["stride"], found["block.conv"]["transposed"]) == ((2, 2, 2), True)
    assert "shift" not in found["block"]


def test_options_of_omegaconf_count_as_attributes(tmp_path):
    with classes_of_authors("omegaconf") as omegaconf, classes_of_authors() as get:
        options = omegaconf("dictconfig.DictConfig", object)()
        node = omegaconf("nodes.AnyNode", object)
        options._content = {"normalize": node(), "max_disp": node()}
        options._content["normalize"]._val = True
        options._content["max_disp"]._val = 192
        network = get("foundation_stereo.Net")()
        network.args = options
        network.weight = nn.Parameter(torch.ones(1))
        torch.save(network, tmp_path / "net.pth")

    found = read_weights_file(tmp_path / "net.pth").attributes[""]

    assert (found["normalize"], found["max_disp"]) == (True, 192)


def save(path, content):
    torch.save(content, path)
    return path.read_bytes()


BROKEN = {
    "empty": (lambda path: b"", "is empty"),
    "web_page": (lambda path: b"\n<!DOCTYPE html><title>Google Drive</title>", "is a web page"),
    "lfs_pointer": (lambda path: b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
    "pickle": (lambda path: pickle.dumps({"weight": 1}), "is a bare pickle"),
    "text": (lambda path: b"weights, honestly", "neither a torch.save file nor"),
    "half_of_a_zip": (lambda path: save(path, ENTRIES)[:-700], "truncated"),
    "start_of_a_zip": (lambda path: save(path, ENTRIES)[:100], "truncated"),
    "number": (lambda path: save(path, 3), "holds a int, not a state dict"),
    "tensor": (lambda path: save(path, torch.ones(3)), "holds a Tensor, not a state dict"),
    "list": (lambda path: save(path, [ENTRIES]), "holds a list, not a state dict"),
    "no_weights": (lambda path: save(path, {"model": {}}), "holds no weights"),
    "other_things": (lambda path: save(path, {"epoch": 3}), "holds no weights by name"),
    "several": (
        lambda path: save(path, {"params": ENTRIES, "params_ema": prefixed("")}),
        r"several state dicts \(params, params_ema\); save the one that is meant",
    ),
    "several_of_which_one_is_deeper": (
        lambda path: save(path, {"student": ENTRIES, "teacher": {"state_dict": prefixed("")}}),
        r"several state dicts \(student, teacher\.state_dict\); save the one that is meant",
    ),
    "several_in_holders": (
        lambda path: save(
            path, {"ema": {"state_dict": ENTRIES}, "net": {"state_dict": prefixed("")}}
        ),
        r"several state dicts \(ema\.state_dict, net\.state_dict\); save the one that is meant",
    ),
    "many": (
        lambda path: save(path, {f"fold_{i}": prefixed("") for i in range(1000)}),
        r"several state dicts \(fold_0, fold_1, fold_2, fold_3, fold_4, …\); save",
    ),
    "by_number": (lambda path: save(path, {"net": dict(enumerate(ENTRIES))}), "no weights by name"),
    "empty_module": (lambda path: save(path, nn.Identity()), "holds no weights"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_weights_file_is_named_with_its_cause(kind, tmp_path):
    make, message = BROKEN[kind]
    path = tmp_path / "net.pth"
    path.write_bytes(make(path))

    with pytest.raises(CheckpointError, match=message) as refusal:
        read_weights_file(path)

    assert str(refusal.value).startswith(f"{path}: ")


def test_truncated_safetensors_are_named(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file(ENTRIES, path)
    path.write_bytes(path.read_bytes()[:-3])

    with pytest.raises(CheckpointError, match=r"is not a whole \.safetensors file"):
        read_weights_file(path)


def test_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_weights_file(tmp_path / "absent.pth")


def test_module_that_holds_itself_ends(tmp_path):
    network = module()
    network.stem[0]._modules["loop"] = network
    torch.save(network, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="holds itself"):
        read_weights_file(tmp_path / "net.pth")


def test_module_without_its_parts_is_damaged(tmp_path):
    network = module()
    del network.stem._parameters
    torch.save(network, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="lacks _parameters"):
        read_weights_file(tmp_path / "net.pth")


def test_file_that_holds_itself_is_read_to_its_end(tmp_path):
    content = {"epoch": 1}
    content["model"] = content
    torch.save(content, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="holds no weights by name"):
        read_weights_file(tmp_path / "net.pth")


def test_modules_that_hold_each_other_many_times_over_are_refused(tmp_path):
    network = nn.Linear(1, 1)
    for _ in range(60):
        network = nn.Sequential(network, network)
    torch.save(network, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="the pickled module holds itself"):
        read_weights_file(tmp_path / "net.pth")


@pytest.mark.parametrize(
    "odd",
    [torch.ones(2, 2).to_sparse(), torch.empty(2, device="meta")],
    ids=["sparse", "meta"],
)
def test_tensor_that_is_no_array_in_memory_is_refused(odd, tmp_path):
    torch.save({"plain": torch.ones(64), "odd": odd}, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="'odd' is no plain tensor in memory"):
        read_weights_file(tmp_path / "net.pth")


def test_file_that_claims_more_than_it_holds_is_refused(tmp_path):
    torch.save({"weight": torch.ones(1).expand(1000, 1000)}, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="claims 4000000 bytes of weights in a file of"):
        read_weights_file(tmp_path / "net.pth")


def test_mappings_that_hold_each_other_many_times_over_are_read_to_their_end(tmp_path):
    content = {}
    content.update({f"key{number}": content for number in range(1000)})
    torch.save(content, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="holds no weights by name"):
        read_weights_file(tmp_path / "net.pth")


def pack(path, *members, packing=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members:
            archive.writestr(name, content)


def unpack(tmp_path):
    """A saved file, unpacked with the folder that torch puts in it."""
    torch.save({"net": ENTRIES}, tmp_path / "saved.pth")
    with zipfile.ZipFile(tmp_path / "saved.pth") as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def as_folder(tmp_path):
    return unpack(tmp_path)


def as_inner_folder(tmp_path):
    return next(unpack(tmp_path).iterdir())


def zip_around(tmp_path):
    content = save(tmp_path / "saved.pth", ENTRIES)
    pack(
        tmp_path / "download.zip",
        ("README.md", b"weights"),
        ("models/net.pth", content),
        ("__MACOSX/models/._net.pth", b"of a Macintosh"),
    )
    return tmp_path / "download.zip"


def zip_around_safetensors(tmp_path):
    save_file(ENTRIES, tmp_path / "saved.safetensors")
    pack(tmp_path / "net.pth", ("net.safetensors", (tmp_path / "saved.safetensors").read_bytes()))
    return tmp_path / "net.pth"


@pytest.mark.parametrize(
    "make",
    [as_folder, as_inner_folder, zip_around, zip_around_safetensors],
    ids=lambda f: f.__name__,
)
def test_what_somebody_put_around_the_file_is_taken_off(make, tmp_path):
    path = make(tmp_path)
    before = set(tmp_path.rglob("*"))

    file = read_weights_file(path)

    assert file.entries.keys() == ENTRIES.keys()
    for key, value in ENTRIES.items():
        assert torch.equal(file.entries[key], value)
    assert file.path == path
    assert set(tmp_path.rglob("*")) == before


def test_file_in_a_zip_has_the_hash_of_the_file(tmp_path):
    file = read_weights_file(zip_around(tmp_path))

    assert file.sha256 == sha256_of(tmp_path / "saved.pth")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.pth", b"1"), ("b.pth", b"2")], "an archive with 2 weights files"),
        ([("notes.txt", b"1")], "an archive with 0 weights files"),
        ([("net.pth", bytes(1_000_000))], "claims to unpack into 1000000 bytes; do not trust it"),
        ([("net.pth", b"text")], "neither a torch.save file nor"),
    ],
    ids=["two", "none", "bomb", "text"],
)
def test_archive_without_one_weights_file_is_named_with_its_cause(members, message, tmp_path):
    pack(tmp_path / "net.zip", *members)

    with pytest.raises(CheckpointError, match=rf"net\.zip: .*{message}"):
        read_weights_file(tmp_path / "net.zip")


def test_folder_without_weights_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder, not an unpacked"):
        read_weights_file(tmp_path)
