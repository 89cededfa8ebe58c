"""Published weights that can be added as models: where they are, their terms, their accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stereo_depth_ros.errors import InputError

NVIDIA_LICENCE = "NVIDIA Source Code License, research and evaluation only"
_FFS_FILE = "model_best_bp2_serialize.pth"
_FFS_PAGE = "https://github.com/NVlabs/Fast-FoundationStereo"
_FFS_HUB = "nvidia/c-fast-foundationstereo"
_FS_PAGE = "https://github.com/NVlabs/FoundationStereo"
_LAS2_HUB = "tomtomtommi/LiteAnyStereoV2"
_SMOE_PAGE = "https://github.com/cocowy1/SMoE-Stereo"
_SMOE_TERMS = "none stated; code MIT, parts from Depth Anything V2"
_WAFT_HUB = "MemorySlices/WAFT-Stereo"


@dataclass(frozen=True)
class Source:
    """One published checkpoint.

    Attributes
    ----------
    network, variant
        What it is of, as `stereo_depth_ros.networks.registry` names them; the variant is empty
        where only the file tells it.
    file
        Its name where it is published, empty where the page does not say.
    url
        The page to fetch it from by hand.
    licence, commercial
        Of the weights, and whether it allows commercial use.
    size
        In bytes, to about 1 %.
    sha256
        The hash of the file, or the start of it.
    hub
        The Hugging Face repository that holds the file, empty where it lies elsewhere.
    accuracy
        Published: Middlebury, half size, pixels that both views see, off by more than 2 px, in
        percent, without training on Middlebury.
    config
        What its file does not say of the network, as
        `stereo_depth_ros.checkpoints.import_weights` takes it.
    """

    network: str
    variant: str
    file: str
    url: str
    licence: str
    commercial: bool
    size: int | None = None
    sha256: str = ""
    hub: str = ""
    accuracy: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def is_of(self, sha256: str) -> bool:
        """Return whether a file of that hash is known to be this one."""
        return bool(self.sha256) and sha256.startswith(self.sha256)


def _las2(size: str, length: int, sha256: str, accuracy: float) -> Source:
    return Source(
        "lite_any_stereo",
        f"las2_{size.lower()}",
        f"LAS2_{size}.pth",
        f"https://huggingface.co/{_LAS2_HUB}",
        "MIT",
        True,
        length,
        sha256,
        _LAS2_HUB,
        accuracy,
    )


def _s2m2(variant: str, file: str, length: int, sha256: str) -> Source:
    return Source(
        "s2m2",
        variant,
        file,
        "https://huggingface.co/minimok/s2m2",
        "CC-BY-NC-4.0",
        False,
        length,
        sha256,
        "minimok/s2m2",
    )


def _fast_foundation_stereo(folder: str, is_normalised: bool, sha256: str = "") -> Source:
    return Source(
        "fast_foundation_stereo",
        "",
        f"{folder}/{_FFS_FILE}",
        _FFS_PAGE,
        NVIDIA_LICENCE,
        False,
        sha256=sha256,
        config=_describe_features(is_normalised),
    )


def _describe_features(is_normalised: bool) -> dict[str, Any]:
    return {"structure.normalise": is_normalised}


def _smoe_stereo(variant: str, parts: str) -> Source:
    # The authors' page links one folder of files that it does not name.
    return Source("smoe_stereo", variant, "", _SMOE_PAGE, f"{_SMOE_TERMS} {parts}", False)


def _waft_stereo(
    variant: str, file: str, length: int, sha256: str, licence: str, commercial: bool
) -> Source:
    return Source(
        "waft_stereo",
        variant,
        f"SynLarge/{file}.pth",
        f"https://huggingface.co/{_WAFT_HUB}",
        licence,
        commercial,
        length,
        sha256,
        hub=_WAFT_HUB if sha256 else "",
    )


# Accuracy: Lite Any Stereo V2, table II (LAS); Fast-FoundationStereo, table 1 (FoundationStereo).
# Fast-FoundationStereo's own figure there, 2.20, is not said to be of one of these files, and S²M²,
# SMoEStereo and WAFT-Stereo give none that compares. The sizes of WAFT-Stereo's files are those of
# the weights in them.
PUBLISHED: dict[str, Source] = {
    "las2_s": _las2(
        "S",
        24_380_949,
        "dda5ad5495710466f7e5c5a2dff395223893ef68a17d57d88e7ea7dfbb9d08e1",
        8.87,
    ),
    "las2_m": _las2(
        "M",
        41_925_933,
        "c41b61efce9b36e6b8b38b580421cd20cc9e84a47f0f45361767281938f69696",
        5.47,
    ),
    "las2_l": _las2(
        "L",
        109_270_797,
        "12f86f758b0aa6cd59c11d40f41e7d954121d7626e4719eff71d9dd22da36539",
        5.28,
    ),
    "las2_h": _las2(
        "H",
        46_698_761,
        "758585a25c3a332711f92a28ad1437e08080fb714ad1146de7cf2c01ce8479f4",
        3.71,
    ),
    "las1": Source(
        "lite_any_stereo",
        "las1",
        "LiteAnyStereo.pth",
        "https://github.com/TomTomTommi/LiteAnyStereo",
        "MIT",
        True,
        30_775_410,
        "ee0c3a0dc1d4b49cbd67edf00079b9993c0fa21f6c19a0eb812fa32f7ec1b9b1",
        accuracy=7.51,
    ),
    "ffs_commercial": Source(
        "fast_foundation_stereo",
        "",
        _FFS_FILE,
        f"https://huggingface.co/{_FFS_HUB}",
        "NVIDIA Open Model Agreement",
        True,
        71_000_000,
        "7aee85948373da62b0503c2542507129a3e7cab9d97d10e6790d89512a7db214",
        _FFS_HUB,
        config=_describe_features(is_normalised=True),
    ),
    "ffs_23-36-37": _fast_foundation_stereo("23-36-37", is_normalised=True),
    "ffs_20-26-39": _fast_foundation_stereo("20-26-39", is_normalised=False),
    "ffs_20-30-48": _fast_foundation_stereo(
        "20-30-48",
        is_normalised=False,
        sha256="98b5a9acf39fbfa795025de8cea95ce123daa40f6b6234d719167751024cf692",
    ),
    "foundation_stereo_vits": Source(
        "foundation_stereo",
        "vits",
        "11-33-40/model_best_bp2.pth",
        _FS_PAGE,
        NVIDIA_LICENCE,
        False,
        787_711_942,
        "8d7850b9dc68",
    ),
    "foundation_stereo_vitl": Source(
        "foundation_stereo",
        "vitl",
        "23-51-11/model_best_bp2.pth",
        _FS_PAGE,
        NVIDIA_LICENCE,
        False,
        sha256="60e79bde9c6a",
        accuracy=1.10,
    ),
    "s2m2_s": _s2m2("s", "CH128NTR1.pth", 106_004_172, "93f7177d8159"),
    "s2m2_m": _s2m2("m", "CH192NTR2.pth", 321_881_036, "6e767e0977dd"),
    "s2m2_l": _s2m2("l", "CH256NTR3.pth", 722_896_332, "770e82227258"),
    "s2m2_xl": _s2m2("xl", "CH384NTR3.pth", 1_622_840_012, "78dee08652ac"),
    "smoe_stereo_vits": _smoe_stereo("damv2_vits", "Small (Apache-2.0)"),
    "smoe_stereo_vitb": _smoe_stereo("damv2_vitb", "Base (CC-BY-NC-4.0)"),
    "smoe_stereo_vitl": _smoe_stereo("damv2_vitl", "Large (CC-BY-NC-4.0)"),
    "waft_stereo_vits": _waft_stereo(
        "dav2_vits",
        "DAv2S-4",
        308_198_488,
        "340d6bff17ad",
        "BSD-3-Clause, and Apache-2.0 of Depth Anything V2 Small in it",
        True,
    ),
    "waft_stereo_vitb": _waft_stereo(
        "dav2_vitb",
        "DAv2B-4",
        607_546_840,
        "65c52425722e",
        "CC-BY-NC-4.0, of Depth Anything V2 Base in it, and BSD-3-Clause",
        False,
    ),
    "waft_stereo_vitl": _waft_stereo(
        "dav2_vitl",
        "DAv2L-5",
        1_523_470_040,
        "",
        "CC-BY-NC-4.0, of Depth Anything V2 Large in it, and BSD-3-Clause",
        False,
    ),
}
"""By the name of the model that each becomes."""


def find_source(name: str) -> Source:
    """Return the checkpoint that becomes the model ``name``.

    Raises
    ------
    InputError
        When there is none of that name.
    """
    if name not in PUBLISHED:
        raise InputError(f"no published weights '{name}'; there are {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def list_sources(network: str) -> list[Source]:
    """Return the published checkpoints of ``network``."""
    return [source for source in PUBLISHED.values() if source.network == network]
