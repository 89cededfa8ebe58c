"""Which parts of a network a recipe trains."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from stereo_depth_ros.errors import InputError


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Freeze the parameters whose names match ``patterns``, shell patterns.

    One that begins with ``!`` lets those train that it matches; the last match decides.

    Raises
    ------
    InputError
        For a pattern that no name matches, or when nothing is left to train.
    """
    parameters = dict(network.named_parameters())
    for pattern in patterns:
        names = [name for name in parameters if fnmatchcase(name, pattern.removeprefix("!"))]
        if not names:
            parts = dict.fromkeys(f"{name.partition('.')[0]}.*" for name in parameters)
            raise InputError(
                f"nothing to freeze is called '{pattern}'; parts are {', '.join(parts)}"
            )
        for name in names:
            parameters[name].requires_grad_(pattern.startswith("!"))
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise InputError("everything is frozen, so that nothing is left to train")


def set_training_mode(network: nn.Module, freeze_norm: bool) -> None:
    """Put ``network`` into training mode, but for batch norms that are frozen themselves.

    With ``freeze_norm`` all of them keep the statistics that they have; their scales and shifts are
    trained.
    """
    network.train()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)) and (
            freeze_norm or not any(p.requires_grad for p in module.parameters())
        ):
            module.eval()
