"""The networks, for help texts: what `networks.registry` holds, known without loading PyTorch.

A test compares the two.
"""

VARIANTS: dict[str, dict[str, tuple[int | None, int | None]]] = {
    "lite": {"base": (None, 192)},
    "fast_foundation_stereo": {"pruned": (8, 192), "unpruned": (8, 192)},
    "lite_any_stereo": {
        "las2_m": (None, None),
        "las2_s": (None, None),
        "las2_l": (None, None),
        "las2_h": (4, None),
        "las1": (None, None),
    },
    "s2m2": {"s": (3, None), "m": (3, None), "l": (3, None), "xl": (3, None)},
    "foundation_stereo": {"vits": (32, 416), "vitl": (32, 416)},
    "smoe_stereo": {"damv2_vits": (32, None), "damv2_vitb": (32, None), "damv2_vitl": (32, None)},
    "waft_stereo": {"dav2_vits": (3, 800), "dav2_vitb": (3, 800), "dav2_vitl": (4, 800)},
}
"""Variants of every network, the default first: iterations, and search range in px."""

NETWORKS_HELP = f"one of {', '.join(VARIANTS)}"


def describe_variants() -> str:
    """Return a list of the networks and their variants, to end the help of a verb with."""
    lines = [
        "networks and their variants, the default first; iterations and search range by default:"
    ]
    for network, variants in VARIANTS.items():
        lines.append(f"  {network}")
        lines += [
            f"    {name:<12}{_describe(*values)}".rstrip() for name, values in variants.items()
        ]
    return "\n".join(lines)


def _describe(iterations: int | None, max_disparity: int | None) -> str:
    values = (iterations, "iterations"), (max_disparity, "px")
    return ", ".join(f"{value} {unit}" for value, unit in values if value is not None)
