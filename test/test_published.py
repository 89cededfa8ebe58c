"""The list of published weights, which knows no PyTorch."""

import pytest

from stereo_depth_ros.artifact import list_shipped
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.published import PUBLISHED, find_source, list_sources


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_file_says_where_it_is_and_on_what_terms(name):
    source = PUBLISHED[name]

    assert source.url.startswith("https://")
    assert source.licence
    # What a program can fetch is known by name and hash.
    assert not source.hub or (source.file and source.sha256 and source.size)


def test_names_are_those_of_no_shipped_model_and_of_no_path():
    assert not set(PUBLISHED) & {*list_shipped(), "auto"}
    assert [name for name in PUBLISHED if set(name) & set("./, ")] == []


@pytest.mark.parametrize("name", PUBLISHED)
def test_network_and_variant_are_those_that_there_are(name):
    pytest.importorskip("torch", reason="needs the extra training")
    from stereo_depth_ros.networks.registry import list_networks

    source = PUBLISHED[name]

    variants = list_networks()[source.network]
    assert not source.variant or source.variant in variants


def test_file_is_known_by_its_hash_or_the_start_of_it():
    vitl = find_source("foundation_stereo_vitl")

    assert vitl.is_of("60e79bde9c6a" + "0" * 52)
    assert not vitl.is_of("60e79bde9c6b" + "0" * 52)
    assert not find_source("ffs_23-36-37").is_of(""), "a hash that nobody knows fits no file"


def test_commercial_use_is_what_the_licence_says():
    assert find_source("las2_m").commercial
    assert find_source("ffs_commercial").commercial
    assert not find_source("s2m2_s").commercial
    assert not find_source("foundation_stereo_vitl").commercial


def test_sources_of_a_network_are_all_of_it_and_no_other():
    assert [source.variant for source in list_sources("s2m2")] == ["s", "m", "l", "xl"]
    assert list_sources("lite") == []


def test_what_files_do_not_say_is_known_by_their_names():
    configs = {name: source.config for name, source in PUBLISHED.items() if source.config}

    assert configs == {
        "ffs_commercial": {"structure.normalise": True},
        "ffs_23-36-37": {"structure.normalise": True},
        "ffs_20-26-39": {"structure.normalise": False},
        "ffs_20-30-48": {"structure.normalise": False},
    }


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"no published weights 's3m3'; there are .*s2m2_xl"):
        find_source("s3m3")
