"""The table of parameters as config/stereo.yaml and as the README show it."""

from __future__ import annotations

from textwrap import fill

from stereo_depth_ros.ros.parameter_table import PARAMETERS, Value


def as_yaml() -> str:
    """Return the content of config/stereo.yaml: every parameter with its default and meaning."""
    lines = ["# All parameters of stereo_depth_node with their defaults.", "/**:"]
    lines.append("  ros__parameters:")
    for parameter in PARAMETERS:
        note = f"{parameter.description}."
        if parameter.constraint:
            note += f" Allowed: {parameter.constraint}."
        if parameter.live:
            note += " Live."
        prefix = "    # "
        lines.append(fill(note, 96, initial_indent=prefix, subsequent_indent=prefix))
        lines.append(f"    {parameter.name}: {_yaml_value(parameter.default)}")
    return "\n".join(lines) + "\n"


def as_markdown() -> str:
    """Return the README's table of parameters."""
    lines = [
        "| Parameter | Default | Allowed | Live | Meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for p in PARAMETERS:
        live = "yes" if p.live else ""
        lines.append(
            f"| `{p.name}` | `{_yaml_value(p.default)}` | {p.constraint} | {live} "
            f"| {p.description} |"
        )
    return "\n".join(lines) + "\n"


def _yaml_value(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)
