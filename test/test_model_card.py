import pytest

from stereo_depth_ros.model_card import ModelError, read_card


def write_card(folder, text, name="net.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_card_may_name_its_network_and_its_terms(tmp_path):
    text = "{engine: onnx, file: net.onnx, network: s2m2, variant: s, commercial: false}"

    card = read_card(write_card(tmp_path, text))

    assert (card.network, card.variant, card.commercial) == ("s2m2", "s", False)
    assert read_card(write_card(tmp_path, "engine: sgbm")).commercial


def test_empty_options_and_file_are_none(tmp_path):
    card = read_card(write_card(tmp_path, "engine: sgbm\noptions:\nfile:\n"))

    assert (card.options, card.file) == ({}, "")


def test_unknown_key_of_a_card_is_named(tmp_path):
    path = write_card(tmp_path, "{engine: sgbm, optoins: {mode: hh}}")

    with pytest.raises(ModelError, match=r"net\.yaml cannot be read: unknown keys optoins"):
        read_card(path)


@pytest.mark.parametrize(
    "text",
    ["", "just words", "[engine, sgbm]", "engine: [", "summary: lacks its engine"],
    ids=["empty", "text", "list", "broken", "no_engine"],
)
def test_card_that_is_no_card_names_its_path(tmp_path, text):
    path = write_card(tmp_path, text)

    with pytest.raises(ModelError, match=r"net\.yaml cannot be read"):
        read_card(path)


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
        read_card(path)

    message = str(caught.value)
    assert message.startswith(f"model card {path} cannot be read: ")
    assert cause in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 350


def test_bytes_that_are_no_text_name_the_path(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_bytes(b"engine: \xff\xfe")

    with pytest.raises(ModelError, match=r"net\.yaml cannot be read: 'utf-8' codec"):
        read_card(path)


def test_card_that_does_not_exist_names_its_path(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.yaml cannot be read"):
        read_card(tmp_path / "absent.yaml")
