"""A network that is told what a classical matcher found.

The matcher measures textured surfaces, the network decides where nothing can be matched.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from stereo_depth_ros.engines.base import Engine, EngineError
from stereo_depth_ros.engines.described import DescribedEngine
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.graph_contract import MATCHERS, PRIOR


class PriorEngine(Engine, Protocol):
    """An engine on a graph that may take a prior, which ``infer`` leaves out.

    ``takes_prior`` says whether the graph has inputs for one, ``prior`` which one it names in its
    metadata, empty for none.
    """

    takes_prior: bool
    prior: str

    def infer_with_prior(
        self, left: np.ndarray, right: np.ndarray, prior: np.ndarray, prior_confidence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Match as ``infer`` does, with ``prior`` and ``prior_confidence``, (H, W) float32.

        The former is a disparity of the left view in px, the latter 0 to 1 and 0 for a guess; both
        are 0 where there is none.
        """
        ...


def find_prior(
    matcher: Engine, left: np.ndarray, right: np.ndarray, max_disparity: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``matcher`` finds for a pair, (H, W, 3) uint8 RGB each, as a prior.

    Disparity in px and confidence, (H, W) float32 each, are 0 where it finds more than
    ``max_disparity`` px, the search range of the network. The confidence of a guess is 0 as well.
    """
    disparity, confidence = matcher.infer(left, right)
    within = disparity <= max_disparity
    return np.where(within, disparity, np.float32(0)), np.where(within, confidence, np.float32(0))


def with_prior(engine: PriorEngine, graph: Path, asked: str | None) -> Engine:
    """Return ``engine``, which runs ``graph``, with the prior ``asked`` for, "" for none.

    None asks for what the graph names.

    Raises
    ------
    EngineError
        When the graph takes no prior, or names one that is not known.
    """
    check_prior(graph, engine.takes_prior, asked)
    prior = engine.prior if asked is None else asked
    if prior:
        if prior not in MATCHERS:
            raise EngineError(
                f"{graph}: its metadata names the prior '{excerpt(prior)}'; known are "
                f"{', '.join(MATCHERS)}; export it again, or give it a card"
            )
        return GuidedEngine(engine, SgbmEngine())
    if engine.takes_prior:
        return DescribedEngine(engine, checks=("without the prior that it may take",))
    return engine


def check_prior(graph: Path, takes_prior: bool, asked: str | None) -> None:
    """Raise an `EngineError` where a prior is ``asked`` for and ``graph`` takes none."""
    if asked and not takes_prior:
        raise EngineError(
            f"{graph}: has no inputs {' and '.join(PRIOR)}, though its card says 'prior: {asked}'; "
            "delete that line, or export a network that takes a prior"
        )


class GuidedEngine:
    """Tells ``network`` what ``matcher`` finds; see `stereo_depth_ros.engines.base.Engine`."""

    def __init__(self, network: PriorEngine, matcher: Engine) -> None:
        self._network, self._matcher = network, matcher
        self._max_disparity = network.spec.max_disparity or np.inf
        provenance = replace(
            network.spec.provenance, prior=f"prior: {matcher.spec.provenance.source}"
        )
        self.spec = replace(network.spec, provenance=provenance)

    def infer(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Match one pair; see `stereo_depth_ros.engines.base.Engine.infer`."""
        prior = find_prior(self._matcher, left, right, self._max_disparity)
        return self._network.infer_with_prior(left, right, *prior)

    def close(self) -> None:
        """Close both engines."""
        self._matcher.close()
        self._network.close()
