"""How each network is trained unless other values are given.

`lite` is trained from the beginning. The others are meant to begin from their authors' weights and
to learn a camera on one GPU. Their authors' values, as far as they are published, are those of long
trainings on millions of pairs: marked so here. Unmarked ones are ours, as are for all networks the
crop, which fits the usual cameras, the length, the batch, the schedule, the averaged weights and
how pairs are varied.
"""

from __future__ import annotations

from typing import Any

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.training.recipe import Recipe


def _tune(network: str, **values: Any) -> Recipe:
    usual: dict[str, Any] = {
        "steps": 5000,
        "batch": 2,
        "accumulate": 2,
        "scene": (320, 640),
        "crop": (320, 640),
        "learning_rate": 5e-5,
        "freeze_norm": True,
        "validate_every": 250,
    }
    return Recipe(network, **{**usual, **values})


RECIPES = {
    "lite": Recipe("lite"),
    # Their loss and optimiser are its teacher's, of which it takes over what is published.
    "fast_foundation_stereo": _tune("fast_foundation_stereo", weight_decay=0.0),
    # Published: AdamW, a peak of 2e-4 over 200 000 steps.
    "lite_any_stereo": _tune("lite_any_stereo", learning_rate=1e-4),
    # Nothing is published.
    "s2m2": _tune("s2m2"),
    # Published: AdamW without weight decay, 1e-4 over 200 000 steps, 22 iterations, a frozen ViT.
    "foundation_stereo": _tune(
        "foundation_stereo",
        batch=1,
        accumulate=4,
        weight_decay=0.0,
        iterations=22,
        freeze=("feature.dino.depth_anything.pretrained.*",),
    ),
    # Published, for a training that begins from weights: learning rate, weight decay, clipping,
    # 16 iterations, frozen batch norms, and a ViT of which adapters and routers alone are trained.
    "smoe_stereo": _tune(
        "smoe_stereo",
        learning_rate=2e-4,
        weight_decay=2e-5,
        clip=0.99,
        iterations=16,
        freeze=("backbone.model.vfm_model.pretrained.*", "!*.lora_*"),
    ),
    # Published, for tuning on KITTI: learning rate, weight decay, clipping, a ViT of which the
    # adapters alone are trained.
    "waft_stereo": _tune(
        "waft_stereo",
        learning_rate=1e-4,
        weight_decay=1e-5,
        freeze=("encoder.encoder.base_model.*", "!*.lora_*"),
    ),
}
"""By the name of the network."""


def recipe_of(network: str) -> Recipe:
    """Return how ``network`` is trained.

    Raises
    ------
    InputError
        For a network that cannot be trained.
    """
    if network not in RECIPES:
        raise InputError(f"{network} cannot be trained; there is {', '.join(RECIPES)}")
    return RECIPES[network]
