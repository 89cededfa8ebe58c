import pytest

from stereo_depth_ros.excerpt import MAX_EXCERPT, MAX_MESSAGE, excerpt, excerpt_repr, shorten


@pytest.mark.parametrize("text", ["short", "x" * MAX_EXCERPT, ""])
def test_short_text_stays(text):
    assert excerpt(text) == text


def test_long_text_is_cut_to_the_limit():
    assert excerpt("x" * 100_000) == "x" * (MAX_EXCERPT - 1) + "…"
    assert excerpt("abcdef", 4) == "abc…"


def test_lines_become_one():
    assert excerpt("a\n  b\r\n\tc\n") == "a b c"


def test_value_is_written_as_python_does():
    assert excerpt_repr({"a": [1, "b"]}) == "{'a': [1, 'b']}"


@pytest.mark.parametrize("value", ["x" * 100_000, [[["x"] * 1000] * 1000] * 1000, 10**3000])
def test_value_without_end_is_cut(value):
    assert len(excerpt_repr(value)) <= MAX_EXCERPT


@pytest.mark.parametrize("text", ["", "short", "x" * MAX_MESSAGE])
def test_what_is_short_enough_stays(text):
    assert shorten(text) == text


@pytest.mark.parametrize("limit", [30, 100, 1000])
@pytest.mark.parametrize("length", [1001, 100_000])
def test_what_is_longer_loses_its_middle(length, limit):
    text = "b" + "x" * (length - 2) + "e"
    short = shorten(text, limit)
    assert len(short) <= limit
    assert (short[0], short[-1]) == ("b", "e")
    assert f"[{length} characters]" in short
