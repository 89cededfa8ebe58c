import pytest

from stereo_depth_ros.graph_contract import AnySize, search_range

SIZES = AnySize((480, 640), (1, 192), 32)


def test_metadata_of_a_graph_for_any_size_is_read_as_it_was_written():
    assert SIZES.as_metadata() == {"size": "480x640", "min_size": "1x192", "multiple": "32"}
    assert AnySize.read(SIZES.as_metadata()) == SIZES


def test_static_graph_says_nothing_of_sizes():
    assert AnySize.read({"network": "lite"}) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"size": "any"}, "'size' is 'any', not HEIGHTxWIDTH"),
        ({"size": "0x640"}, "'size' is '0x640'"),
        ({"min_size": ""}, "'min_size' is ''"),
        ({"multiple": "0"}, "'multiple' is '0', not a number of px"),
        ({"multiple": "-8"}, "'multiple' is '-8'"),
    ],
)
def test_defect_of_the_metadata_is_named(change, problem):
    with pytest.raises(ValueError, match=problem):
        AnySize.read({**SIZES.as_metadata(), **change})


@pytest.mark.parametrize(
    ("size", "covering"),
    [((1, 192), (1, 192)), ((375, 1242), (375, 1242)), ((480, 191), (480, 192))],
)
def test_size_that_covers_an_image_is_its_own_from_the_smallest_on(size, covering):
    assert SIZES.cover(*size) == covering


def test_search_range_is_the_metadata_or_the_whole_row():
    assert search_range("192", 640) == 192.0
    assert search_range("0", 640) == 640.0


@pytest.mark.parametrize("text", ["wide", "-1", "inf", "nan"])
def test_search_range_that_is_no_number_is_refused(text):
    with pytest.raises(ValueError):
        search_range(text, 640)
