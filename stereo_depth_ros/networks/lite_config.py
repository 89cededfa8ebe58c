"""The variants of `lite`, and what one may set of them."""

from __future__ import annotations

from dataclasses import dataclass

from stereo_depth_ros.networks.lite import SPAN, Lite


@dataclass(frozen=True)
class LiteConfig:
    """How a `Lite` is built; ``max_disparity`` in px."""

    max_disparity: int = SPAN


VARIANTS = {"base": LiteConfig()}


def create(variant: str, config: LiteConfig) -> Lite:
    """Build the one variant with untrained weights."""
    return Lite(config.max_disparity)
