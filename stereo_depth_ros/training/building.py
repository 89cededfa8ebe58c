"""The network that a recipe trains."""

from __future__ import annotations

from pathlib import Path

from stereo_depth_ros.checkpoints import load_weights
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.networks import StereoNetwork, create_network
from stereo_depth_ros.training.recipe import Recipe


def build_network(recipe: Recipe) -> StereoNetwork:
    """Return the network to train, of the weights to begin from, if there are some.

    Raises
    ------
    InputError
        For weights of another network or variant, a crop that does not fit, or iterations where
        there are none.
    """
    if recipe.begin:
        network, info = load_weights(Path(recipe.begin))
        if info.network != recipe.network:
            raise InputError(
                f"{recipe.begin} holds weights of {info.network}, not of {recipe.network}"
            )
        if recipe.variant not in ("", info.variant):
            raise InputError(f"{recipe.begin} holds {info.variant}, not {recipe.variant}")
    else:
        network = create_network(recipe.network, recipe.variant or None)
    if any(side % network.multiple for side in recipe.crop):
        height, width = recipe.crop
        raise InputError(f"crop is {height}x{width}; give multiples of {network.multiple}")
    if recipe.iterations is not None and network.iterations is None:
        raise InputError(f"{network.name} {network.variant} has no iterations to set")
    return network
