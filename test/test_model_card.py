import hashlib

import pytest

from stereo_depth_ros.model_card import ModelError, installed_models, load_model_card


def test_installed_card_is_found_by_name():
    card = load_model_card("sgbm")

    assert (card.name, card.engine, card.file) == ("sgbm", "sgbm", None)
    assert card.options == {"mode": "3way"}
    assert "Apache-2.0" in card.licence


def test_installed_models_are_sorted_names():
    names = installed_models()

    assert names == sorted(names)
    assert {"sgbm", "sgbm_hh"} <= set(names)


@pytest.mark.parametrize("name", installed_models())
def test_every_installed_card_can_be_read_and_says_its_licence(name):
    card = load_model_card(name)

    assert card.name == name
    assert card.engine in ("sgbm", "onnx")
    assert card.summary
    assert card.licence


def test_unknown_name_lists_the_installed_models():
    with pytest.raises(ModelError, match=r"'sgmb' is not known; installed are .*sgbm, sgbm_hh"):
        load_model_card("sgmb")


def test_path_of_a_graph_is_a_card():
    card = load_model_card("some/folder/net_480.onnx")

    assert (card.name, card.engine, str(card.file)) == (
        "net_480",
        "onnx",
        "some/folder/net_480.onnx",
    )


def test_home_is_resolved_in_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert load_model_card("~/net.onnx").file == tmp_path / "net.onnx"


def write_card(folder, text, name="net.yaml"):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_file_of_a_card_is_relative_to_the_card(tmp_path):
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "net.onnx").write_bytes(b"graph")

    card = load_model_card(write_card(tmp_path, "{engine: onnx, file: graphs/net.onnx}"))

    assert card.name == "net"
    assert card.verified_file() == tmp_path / "graphs" / "net.onnx"


def test_absolute_file_of_a_card_is_taken_as_it_is(tmp_path):
    card = load_model_card(write_card(tmp_path, "{engine: onnx, file: /opt/nets/net.onnx}"))

    assert str(card.file) == "/opt/nets/net.onnx"


def test_card_may_end_in_yml(tmp_path):
    assert load_model_card(write_card(tmp_path, "engine: sgbm", "mine.yml")).name == "mine"


def test_card_may_name_its_network_and_its_terms(tmp_path):
    text = "{engine: onnx, file: net.onnx, network: s2m2, variant: s, commercial: false}"

    card = load_model_card(write_card(tmp_path, text))

    assert (card.network, card.variant, card.commercial) == ("s2m2", "s", False)
    assert load_model_card("sgbm").commercial


def test_unknown_key_of_a_card_is_named(tmp_path):
    path = write_card(tmp_path, "{engine: sgbm, optoins: {mode: hh}}")

    with pytest.raises(ModelError, match=r"net\.yaml cannot be read: unknown keys optoins"):
        load_model_card(path)


@pytest.mark.parametrize(
    "text",
    ["", "just words", "[engine, sgbm]", "engine: [", "summary: lacks its engine"],
    ids=["empty", "text", "list", "broken", "no_engine"],
)
def test_card_that_is_no_card_names_its_path(tmp_path, text):
    path = write_card(tmp_path, text)

    with pytest.raises(ModelError, match=r"net\.yaml cannot be read"):
        load_model_card(path)


def test_card_that_does_not_exist_names_its_path(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.yaml cannot be read"):
        load_model_card(str(tmp_path / "absent.yaml"))


def test_missing_graph_names_its_path(tmp_path):
    card = load_model_card(str(tmp_path / "absent.onnx"))

    with pytest.raises(ModelError, match=r"model 'absent': file .*absent\.onnx is missing"):
        card.verified_file()


def test_graph_with_the_hash_of_its_card_is_verified(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"graph")
    digest = hashlib.sha256(b"graph").hexdigest()

    card = load_model_card(
        write_card(tmp_path, f"engine: onnx\nfile: net.onnx\nsha256: '{digest}'")
    )

    assert card.verified_file() == tmp_path / "net.onnx"


def test_altered_graph_is_refused_with_both_hashes(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"grapf")
    digest = hashlib.sha256(b"graph").hexdigest()
    actual = hashlib.sha256(b"grapf").hexdigest()
    card = load_model_card(
        write_card(tmp_path, f"engine: onnx\nfile: net.onnx\nsha256: '{digest}'")
    )

    with pytest.raises(ModelError, match=f"altered or truncated.*{actual[:12]}.*{digest[:12]}"):
        card.verified_file()
