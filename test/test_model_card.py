import hashlib

import pytest

from stereo_depth_ros.model_card import ModelError, list_models, load_model_card


def test_installed_card_is_found_by_name():
    card = load_model_card("sgbm")

    assert (card.name, card.engine, card.file) == ("sgbm", "sgbm", None)
    assert card.options == {"mode": "3way"}
    assert "Apache-2.0" in card.licence


def test_installed_models_are_sorted_names():
    names = list_models()

    assert names == sorted(names)
    assert {"sgbm", "sgbm_hh"} <= set(names)


@pytest.mark.parametrize("name", list_models())
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
    assert card.verify_file() == tmp_path / "graphs" / "net.onnx"


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


def test_card_says_whose_answer_goes_to_the_graph_and_a_bare_graph_says_it_itself(tmp_path):
    asking = load_model_card(write_card(tmp_path, "{engine: onnx, file: a.onnx, prior: sgbm}"))
    plain = load_model_card(write_card(tmp_path, "{engine: onnx, file: a.onnx}"))

    assert (asking.prior, plain.prior) == ("sgbm", "")
    assert load_model_card(str(tmp_path / "a.onnx")).prior is None


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


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{engine: onnx, options: [1]}", "options is [1], not keys and values"),
        ("{engine: onnx, options: {1: 2}}", "options has 1, not the name of an option"),
        ("{engine: onnx, sha256: 12345}", "sha256 is 12345, not a text; put it in quotes"),
        ("{engine: onnx, sha256: '12345'}", "sha256 is '12345', not 64 hexadecimal digits"),
        ("{engine: onnx, measured: 3}", "measured is 3, not keys and values"),
        ("{engine: onnx, commercial: perhaps}", "commercial is 'perhaps', not true or false"),
        ("{engine: onnx, prior: magic}", "prior is 'magic'; known are sgbm"),
        ("{engine: onnx, prior: [sgbm]}", "prior is ['sgbm'], not a text"),
        ("{engine: onnx, prior: ''}", "prior is ''; known are sgbm"),
        ("{engine: 7}", "engine is 7, not a text"),
        ("{engine: null}", "engine is None, not a text"),
        ("{engine: onnx, file: [a]}", "file is ['a'], not a text"),
        (f"{{engine: {'9' * 400}}}", "engine is 9999"),
        (f"{{engine: onnx, options: {'x' * 100_000}}}", "options is 'xxx"),
        (f"? {'k' * 100_000}\n: 1", "unknown keys kkk"),
        ("just words", "it holds 'just words', not keys and values"),
        ("[" * 100_000, "it is nested too deeply"),
        ("{engine: 2001-99-99}", "month must be in 1..12"),
        ("engine: sgbm\n" * 100_000, "it is larger than 256 kB"),
        ("{engine: sgbm, summary: \0}", "special characters are not allowed"),
    ],
)
def test_card_of_the_wrong_kind_names_the_key_on_one_short_line(tmp_path, text, cause):
    path = write_card(tmp_path, text)

    with pytest.raises(ModelError) as caught:
        load_model_card(path)

    message = str(caught.value)
    assert message.startswith(f"model card {path} cannot be read: ")
    assert cause in message
    assert "\n" not in message
    assert len(message) < len(path) + 350


def test_bytes_that_are_no_text_name_the_path(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_bytes(b"engine: \xff\xfe")

    with pytest.raises(ModelError, match=r"net\.yaml cannot be read: 'utf-8' codec"):
        load_model_card(str(path))


def test_empty_options_and_file_are_none(tmp_path):
    card = load_model_card(write_card(tmp_path, "engine: sgbm\noptions:\nfile:\n"))

    assert (card.options, card.file) == ({}, None)


def test_name_of_100_000_letters_is_cut():
    with pytest.raises(ModelError) as caught:
        load_model_card("x" * 100_000)

    assert len(str(caught.value)) < 500


def test_card_that_does_not_exist_names_its_path(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.yaml cannot be read"):
        load_model_card(str(tmp_path / "absent.yaml"))


def test_missing_graph_names_its_path(tmp_path):
    card = load_model_card(str(tmp_path / "absent.onnx"))

    with pytest.raises(ModelError, match=r"'absent': file .*absent\.onnx does not exist; correct"):
        card.verify_file()


def test_folder_in_place_of_a_graph_is_told(tmp_path):
    (tmp_path / "net.onnx").mkdir()

    with pytest.raises(ModelError, match=r"net\.onnx is a folder; correct the path"):
        load_model_card(str(tmp_path / "net.onnx")).verify_file()


def test_card_without_a_file_says_what_to_add(tmp_path):
    card = load_model_card(write_card(tmp_path, "engine: onnx"))

    with pytest.raises(ModelError, match="its card names no file; add 'file: NAME'"):
        card.verify_file()


def test_missing_graph_of_an_installed_card_is_mended_by_installing(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.yaml").write_text("{engine: onnx, file: net.onnx}")
    monkeypatch.setattr("stereo_depth_ros.model_card.share_directory", lambda: tmp_path)

    with pytest.raises(ModelError, match=r"net\.onnx does not exist; reinstall the package"):
        load_model_card("net").verify_file()


def test_graph_with_the_hash_of_its_card_is_verified(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"graph")
    digest = hashlib.sha256(b"graph").hexdigest()

    card = load_model_card(
        write_card(tmp_path, f"engine: onnx\nfile: net.onnx\nsha256: '{digest}'")
    )

    assert card.verify_file() == tmp_path / "net.onnx"


def test_altered_graph_is_refused_with_both_hashes(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"grapf")
    digest = hashlib.sha256(b"graph").hexdigest()
    actual = hashlib.sha256(b"grapf").hexdigest()
    card = load_model_card(
        write_card(tmp_path, f"engine: onnx\nfile: net.onnx\nsha256: '{digest}'")
    )

    with pytest.raises(ModelError, match=f"altered or truncated.*{actual[:12]}.*{digest[:12]}"):
        card.verify_file()
