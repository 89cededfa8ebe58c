import pytest

from stereo_depth_ros.excerpt import MAX_LENGTH, excerpt, excerpt_repr


@pytest.mark.parametrize("text", ["short", "x" * MAX_LENGTH, ""])
def test_short_text_stays(text):
    assert excerpt(text) == text


def test_long_text_is_cut_to_the_limit():
    assert excerpt("x" * 100_000) == "x" * (MAX_LENGTH - 1) + "…"
    assert excerpt("abcdef", 4) == "abc…"


def test_lines_become_one():
    assert excerpt("a\n  b\r\n\tc\n") == "a b c"


def test_value_is_written_as_python_does():
    assert excerpt_repr({"a": [1, "b"]}) == "{'a': [1, 'b']}"


@pytest.mark.parametrize("value", ["x" * 100_000, [[["x"] * 1000] * 1000] * 1000, 10**3000])
def test_value_without_end_is_cut(value):
    assert len(excerpt_repr(value)) <= MAX_LENGTH
