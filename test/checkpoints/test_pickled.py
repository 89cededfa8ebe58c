"""Reading a file runs nothing that it names."""

import collections
import datetime
import io
import os
import pickle
import resource
import tarfile
import zipfile
from contextlib import suppress

import pytest
import torch
from authors import classes_of_authors

from stereo_depth_ros.checkpoints import CheckpointError
from stereo_depth_ros.checkpoints.pickled import StandIn, load_pickled
from stereo_depth_ros.checkpoints.reading import read_weights_file


class Calls:
    """Pickles into a call of ``function``."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def write_zip(path, opcodes):
    """A file as torch.save writes it, around any pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", opcodes)
        file.writestr("archive/byteorder", "little")
        file.writestr("archive/version", "3\n")


def code(canary):
    return f"open({str(canary)!r}, 'w').close()"


def by_hand(*parts):
    """Opcodes of protocol 2 around ``parts``: text of opcodes, or objects to pickle in place."""
    made = b"\x80\x02"
    for part in parts:
        made += part if isinstance(part, bytes) else pickle.dumps(part, 2)[2:-1]
    return made + b"."


def through_getattr(canary):
    """getattr(__import__("builtins"), "exec")(code)."""
    module = (b"cbuiltins\n__import__\n", ("builtins",), b"R")
    return by_hand(b"cbuiltins\ngetattr\n(", *module, "exec", b"tR", (code(canary),), b"R")


def through_state(canary):
    """A Namespace whose __setstate__ is made exec by its first state, and called by its second."""
    return by_hand(
        b"cargparse\nNamespace\n)\x81}", "__setstate__", b"cbuiltins\nexec\nsb", code(canary), b"b"
    )


ATTACKS = {
    "system": lambda canary: pickle.dumps(Calls(os.system, f"touch {canary}"), 2),
    "eval": lambda canary: pickle.dumps(Calls(eval, code(canary)), 2),
    "exec": lambda canary: pickle.dumps(Calls(exec, code(canary)), 2),
    "in_a_state_dict": lambda canary: pickle.dumps(
        {"model": collections.OrderedDict(weight=Calls(exec, code(canary)))}, 2
    ),
    "as_a_key": lambda canary: pickle.dumps({Calls(exec, code(canary)): 1}, 2),
    "getattr": through_getattr,
    "state_of_an_object": through_state,
    "protocol_4": lambda canary: pickle.dumps(Calls(exec, code(canary)), 4),
    "old_protocol_0": lambda canary: pickle.dumps(Calls(exec, code(canary)), 0),
    "instance_opcode": lambda canary: by_hand(b"(", code(canary), b"ibuiltins\nexec\n"),
    "object_opcode": lambda canary: by_hand(b"(cbuiltins\nexec\n", code(canary), b"o"),
    "function_of_numpy": lambda canary: by_hand(
        b"cnumpy.testing._private.utils\nrunstring\n", (code(canary), {}), b"R"
    ),
    "function_under_a_known_package": lambda canary: by_hand(
        b"ctorch.nn.functional\nwarnings.os.system\n", (f"touch {canary}",), b"R"
    ),
}


@pytest.fixture
def canary(tmp_path):
    return tmp_path / "executed"


@pytest.mark.parametrize("attack", [k for k in ATTACKS if "under_a_known" not in k])
def test_attacks_work_on_a_reader_that_trusts_files(attack, canary):
    # Otherwise the tests below could not fail.
    with suppress(AttributeError, ImportError, TypeError):
        pickle.loads(ATTACKS[attack](canary))

    assert canary.exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_in_a_torch_file_is_executed(attack, tmp_path, canary):
    write_zip(tmp_path / "net.pth", ATTACKS[attack](canary))

    with pytest.raises(CheckpointError):
        read_weights_file(tmp_path / "net.pth")

    assert not canary.exists()


@pytest.mark.parametrize("attack", ["system", "eval", "in_a_state_dict"])
def test_a_bare_pickle_and_a_tar_of_one_are_not_opened(attack, tmp_path, canary):
    opcodes = ATTACKS[attack](canary)
    (tmp_path / "bare.pth").write_bytes(opcodes)
    with tarfile.open(tmp_path / "tar.pth", "w") as tar:
        for name in ("storages", "tensors", "pickle"):
            member = tarfile.TarInfo(name)
            member.size = len(opcodes)
            tar.addfile(member, io.BytesIO(opcodes))

    for name in ("bare.pth", "tar.pth"):
        with pytest.raises(CheckpointError, match=r"torch\.save file"):
            read_weights_file(tmp_path / name)

    assert not canary.exists()


def test_torch_save_of_an_attack_beside_weights_is_refused_by_name(tmp_path, canary):
    content = {"model": {"weight": torch.ones(2)}, "note": Calls(os.system, f"touch {canary}")}
    torch.save(content, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match=r"net\.pth: names code .*(posix|nt)\.system"):
        read_weights_file(tmp_path / "net.pth")

    assert not canary.exists()


def test_class_is_replaced_even_where_the_real_one_can_be_imported(tmp_path):
    opcodes = by_hand(b"ctorch.nn.modules.linear\nLinear\n)\x81", {"in_features": 3}, b"b")
    write_zip(tmp_path / "net.pth", opcodes)

    made = load_pickled(tmp_path / "net.pth")

    assert isinstance(made, StandIn)
    assert (made.path, made.kind) == ("torch.nn.modules.linear.Linear", "Linear")
    assert made.state == {"in_features": 3}


def test_state_cannot_replace_methods_of_a_stand_in(tmp_path):
    state = {"__class__": 1, "__setstate__": 2, "state": 3}
    write_zip(tmp_path / "net.pth", by_hand(b"ctimm.layers\nMlp\n)\x81", state, b"b"))

    made = load_pickled(tmp_path / "net.pth")

    assert made.state == state
    assert isinstance(made, StandIn)
    assert callable(made.__setstate__)


def test_state_for_a_class_itself_changes_nothing(tmp_path):
    state = (None, {"__new__": 1, "path": "changed"})
    write_zip(tmp_path / "net.pth", by_hand(b"ctimm.layers\nMlp\n", state, b"b"))

    with pytest.raises(CheckpointError):
        load_pickled(tmp_path / "net.pth")

    assert StandIn.path == ""


def test_mapping_with_a_replaced_method_is_refused(tmp_path):
    mapping = by_hand(b"ccollections\nOrderedDict\n)R", {"items": 1}, b"b")
    write_zip(tmp_path / "net.pth", mapping)

    with pytest.raises(CheckpointError, match="not what they claim to be"):
        read_weights_file(tmp_path / "net.pth")


def test_stand_ins_are_forgotten_after_reading(tmp_path):
    write_zip(tmp_path / "net.pth", by_hand(b"ctimm.layers\nMlp\n)\x81"))
    load_pickled(tmp_path / "net.pth")

    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "net.pth", weights_only=True)


def test_torch_with_a_hole_in_its_safe_loader_is_refused(tmp_path, monkeypatch):
    torch.save({"weight": torch.ones(2)}, tmp_path / "net.pth")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cu128")

    with pytest.raises(CheckpointError, match=r"CVE-2026-24747\); install torch 2\.10"):
        load_pickled(tmp_path / "net.pth")


def test_compressed_archive_is_not_opened(tmp_path):
    torch.save({"weight": torch.zeros(1 << 20)}, tmp_path / "stored.pth")
    with (
        zipfile.ZipFile(tmp_path / "stored.pth") as stored,
        zipfile.ZipFile(tmp_path / "net.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))

    with pytest.raises(CheckpointError, match="is a compressed archive"):
        load_pickled(tmp_path / "net.pth")


def test_one_wrong_bit_is_noticed(tmp_path):
    torch.save({"weight": torch.full((64,), 1.5)}, tmp_path / "net.pth")
    content = bytearray((tmp_path / "net.pth").read_bytes())
    content[content.index(torch.full((64,), 1.5).numpy().tobytes()) + 1] ^= 1
    (tmp_path / "net.pth").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"is damaged: '.*data/0' is not what was saved"):
        load_pickled(tmp_path / "net.pth")


def test_reason_is_given_without_advice_to_trust_the_file(tmp_path):
    torch.save({"counts": collections.defaultdict(list, a=[1])}, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="cannot be read as weights") as caught:
        load_pickled(tmp_path / "net.pth")

    assert "weights_only" not in str(caught.value)


def test_training_state_beside_the_weights_does_not_matter(tmp_path):
    layer = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(layer.parameters())
    content = {
        "model": layer.state_dict(),
        "optimizer": optimiser,
        "torch": torch.torch_version.TorchVersion("2.4.1"),
        "date": datetime.datetime(2025, 3, 1),
    }
    torch.save(content, tmp_path / "net.pth")

    entries = read_weights_file(tmp_path / "net.pth").entries

    assert entries.keys() == {"weight", "bias"}


@pytest.mark.parametrize(
    ("package", "path"), [("bridgedepth", "config.config.CfgNode"), ("yacs", "config.CfgNode")]
)
def test_settings_in_a_mapping_of_the_authors_own_beside_the_weights_do_not_matter(
    package, path, tmp_path
):
    layer = torch.nn.Linear(2, 2)
    with classes_of_authors(package) as get:
        settings = get(path, dict)({"MAX_DISP": 800})
        settings.__dict__["__immutable__"] = True
        settings["ENCODER"] = get(path)({"TYPE": "dav2"})
        torch.save({"model": layer.state_dict(), "model_config": settings}, tmp_path / "net.pth")

    assert load_pickled(tmp_path / "net.pth")["model_config"]["ENCODER"] == {"TYPE": "dav2"}
    assert read_weights_file(tmp_path / "net.pth").entries.keys() == {"weight", "bias"}


GIGABYTE = 0x3FFFFFFF


@pytest.mark.parametrize(
    "name", [b"cbuiltins\nbytearray\n", b"c__builtin__\nbytearray\n", b"cexceptions\nbytearray\n"]
)
def test_few_bytes_that_ask_for_gigabytes_are_refused_before_they_are_taken(name, tmp_path):
    parts = [part for _ in range(4) for part in (name, (GIGABYTE,), b"R")]
    write_zip(tmp_path / "net.pth", by_hand(b"(", *parts, b"t"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(CheckpointError, match=r"names code that no .*bytearray"):
        read_weights_file(tmp_path / "net.pth")

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_bytearray_beside_weights_is_refused_too(tmp_path):
    torch.save({"model": {"weight": torch.ones(2)}, "note": bytearray(3)}, tmp_path / "net.pth")

    with pytest.raises(CheckpointError, match="bytearray"):
        read_weights_file(tmp_path / "net.pth")


def test_huge_view_of_a_small_storage_is_refused(tmp_path):
    storage = (b"(", "storage", b"ctorch\nFloatStorage\n", "0", "cpu", 4, b"tQ")
    view = by_hand(
        b"}",
        "weight",
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        *(*storage, 0, (GIGABYTE,), (0,), False),
        b"ccollections\nOrderedDict\n)RtRs",
    )
    write_zip(tmp_path / "net.pth", view)
    with zipfile.ZipFile(tmp_path / "net.pth", "a") as file:
        file.writestr("archive/data/0", bytes(16))

    with pytest.raises(CheckpointError, match=r"claims \d+ bytes of weights in a file of"):
        read_weights_file(tmp_path / "net.pth")


def spoil(content, marker, offset, new):
    """Overwrite the bytes at ``offset`` from every ``marker`` of a zip."""
    spoilt = bytearray(content)
    at = spoilt.find(marker)
    assert at >= 0
    while at >= 0:
        spoilt[at + offset : at + offset + len(new)] = new
        at = spoilt.find(marker, at + 1)
    return bytes(spoilt)


CENTRAL = b"PK\x01\x02"
SPOILT = {
    "version_of_zip": lambda content: spoil(content, CENTRAL, 6, b"\xff\xff"),
    "name_that_is_no_text": lambda content: spoil(
        spoil(content, CENTRAL, 8, b"\x00\x08"), CENTRAL, 46, b"\xff\xfe"
    ),
    "encrypted": lambda content: spoil(content, CENTRAL, 8, b"\x01\x00"),
    "hole_before_the_entries": lambda content: spoil(content, CENTRAL, 42, b"\xff\xff\xff\x7f"),
    "weights_that_are_a_folder": lambda content: spoil(content, CENTRAL, 38, b"\x10"),
    "several_disks": lambda content: spoil(content, b"PK\x06\x07", 16, b"\xff"),
    "hole_in_the_middle": lambda content: content[:200] + content[300:],
    "zeros_in_the_middle": lambda content: content[:200] + bytes(300) + content[500:],
    "method_of_packing": lambda content: spoil(content, CENTRAL, 10, b"\x63\x00"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_spoilt_archive_is_one_line_that_names_file_and_cause(kind, tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"weight": torch.ones(64)}, path)
    path.write_bytes(SPOILT[kind](path.read_bytes()))

    with pytest.raises(CheckpointError) as refusal:
        read_weights_file(path)

    text = str(refusal.value)
    assert text.startswith(f"{path}: ")
    assert text.isprintable()
    assert "fetch" in text


def test_any_one_spoilt_byte_of_the_directory_is_no_raw_error(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"weight": torch.ones(4)}, path)
    content = path.read_bytes()
    for at in range(content.index(CENTRAL), len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        with suppress(CheckpointError):
            assert read_weights_file(path).entries["weight"].sum() == 4
