"""What a pickled torch module says, when its classes are not here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.checkpoints.pickled import StandIn

WRAPPERS = ("module", "model", "_orig_mod")  # how DataParallel, torch.compile and others name it
_DEEPEST = 100  # nested modules; the published ones have about ten
_MOST = 10_000  # modules; the published ones have at most some two thousand


def network_of(module: StandIn) -> StandIn:
    """Return the module inside of wrappers such as DataParallel."""
    for _ in WRAPPERS:
        children = _part(module, "_modules")
        if len(children) == 1 and children.keys() <= set(WRAPPERS):
            (module,) = children.values()
    return module


def state_dict_of(module: StandIn) -> dict[str, Tensor]:
    """Return what ``module.state_dict()`` would, were it a real one.

    Raises
    ------
    CheckpointError
        When ``module`` is no torch module, or not a whole one.
    """
    entries: dict[str, Tensor] = {}
    for path, node in _walk(module):
        prefix = f"{path}." if path else ""
        passing = node.state.get("_non_persistent_buffers_set", ())
        for name, value in {**_part(node, "_parameters"), **_part(node, "_buffers")}.items():
            if isinstance(value, Tensor) and name not in passing:
                entries[f"{prefix}{name}"] = value
    return entries


def attributes_of(module: StandIn) -> dict[str, dict[str, Any]]:
    """Return every submodule's plain attributes and "class" (a bare name) by path, "" the root's.

    The options in a module's ``args`` count as its attributes.
    """
    return {
        path: {**_options(node.state.get("args")), **_plain(node.state), "class": node.kind}
        for path, node in _walk(module)
    }


# What decides what a layer computes, beside its entries.
_DECISIVE = (
    "kernel_size",
    "stride",
    "padding",
    "output_padding",
    "dilation",
    "groups",
    "eps",
    "scale_factor",
    "mode",
    "align_corners",
)


def check_attributes(network: nn.Module, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a pickled module, of such ``attributes`` by path, that computes otherwise.

    Raises
    ------
    CheckpointError
        With the first attribute that ``network`` has otherwise.
    """
    for path, module in network.named_modules():
        told = attributes.get(path, {})
        for name in _DECISIVE:
            if name in told and hasattr(module, name):
                ours, theirs = getattr(module, name), told[name]
                if not _are_equal(ours, theirs):
                    raise CheckpointError(
                        f"its {path} has {name} {theirs}, where the network that is known here "
                        f"has {ours}: it is of another structure, and would answer wrongly; use a "
                        "published file"
                    )


def _are_equal(one: Any, other: Any) -> bool:
    parts = [list(x) if isinstance(x, (list, tuple)) else [x] for x in (one, other)]
    longest = max(map(len, parts))
    one, other = (part * longest if len(part) == 1 else part for part in parts)
    # Interpolation takes no alignment for False.
    return [x or 0 for x in one] == [x or 0 for x in other]


def _walk(root: StandIn) -> Iterator[tuple[str, StandIn]]:
    waiting: list[tuple[tuple[str, ...], StandIn]] = [((), root)]
    visited = 0
    while waiting:
        names, node = waiting.pop()
        visited += 1
        if len(names) > _DEEPEST or visited > _MOST:
            raise CheckpointError("the pickled module holds itself; fetch the file again")
        yield ".".join(names), node
        children = _part(node, "_modules").items()
        waiting += [((*names, str(name)), child) for name, child in children if child is not None][
            ::-1
        ]


def _part(node: Any, name: str) -> Mapping[str, Any]:
    part = node.state.get(name) if isinstance(node, StandIn) else None
    if not isinstance(part, Mapping):
        raise CheckpointError(
            f"the pickled {getattr(node, 'path', node)} is no whole torch module, as it lacks "
            f"{name}; fetch the file again"
        )
    return part


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that are numbers, words, or tuples and lists of these."""
    plain = (bool, int, float, str, type(None))
    return {
        str(key): value
        for key, value in values.items()
        if isinstance(value, plain)
        or (isinstance(value, (tuple, list)) and all(isinstance(v, plain) for v in value))
    }


def _options(args: Any) -> dict[str, Any]:
    """Return the entries of a dict, an argparse.Namespace or an OmegaConf mapping."""
    if isinstance(args, StandIn):
        args = args.state.get("_content", args.state)
    if not isinstance(args, Mapping):
        return {}
    values = {k: v.state.get("_val") if isinstance(v, StandIn) else v for k, v in args.items()}
    return _plain(values)
