"""Write what the pages and config/stereo.yaml repeat of the tables in the code.

A page marks such a block by the lines ``<!-- generated: NAME -->`` and ``<!-- end -->``. `make doc`
runs this, and a test compares the files with it, so that none goes stale.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import fill
from types import ModuleType

import yaml

from stereo_depth_ros import baseline, calibrated_pair, calibration, pair_check, pair_monitor
from stereo_depth_ros.calibration_files import FORMATS
from stereo_depth_ros.cli.main import VERBS
from stereo_depth_ros.published import PUBLISHED
from stereo_depth_ros.ros.diagnosing import frame_id, health, name_watch, watchdog
from stereo_depth_ros.ros.outputs import TOPICS, TYPES
from stereo_depth_ros.ros.parameter_table import PARAMETERS, Value

ROOT = Path(__file__).resolve().parents[1]
STEREO_YAML = ROOT / "config" / "stereo.yaml"
PAGES = sorted((ROOT / "doc").rglob("*.md"))

_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

_MIN_MESSAGE = 25
"""Characters from which a text of the code is a sentence for people."""

_PLACEHOLDERS = {"hint": "", "image": "TOPIC", "own": "N", "spec": "ENGINE"}
"""What stands for a value, where its name in the code says little to others."""


def main() -> None:
    """Write the files anew."""
    STEREO_YAML.write_text(make_yaml())
    for page in PAGES:
        page.write_text(fill_page(page.read_text()))


def fill_page(text: str) -> str:
    """Return the ``text`` of a page with its marked blocks made anew."""
    return _BLOCK.sub(lambda block: f"{block[1]}\n{MAKERS[block[2]]()}\n{block[3]}", text)


def make_yaml() -> str:
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
        lines.append(f"    {parameter.name}: {_as_yaml(parameter.default)}")
    return "\n".join(lines) + "\n"


def make_parameters() -> str:
    """Return the table of the node's parameters."""
    return _make_table(
        ("Parameter", "Default", "Allowed", "Live", "Meaning"),
        (
            (
                f"`{p.name}`",
                f"`{_as_yaml(p.default)}`",
                p.constraint,
                "yes" if p.live else "",
                p.description,
            )
            for p in PARAMETERS
        ),
    )


def make_topics() -> str:
    """Return the table of the topics that the node publishes, but for /diagnostics."""
    descriptions = {topic.name: topic.description for topic in TOPICS.values()}
    return _make_table(
        ("Topic", "Type", "Content"),
        (
            (
                f"`{name}`",
                f"`{kind.__module__.split('.')[0]}/{kind.__name__}`",
                descriptions.get(name, "that of `depth/image_rect`"),
            )
            for name, kind in TYPES.items()
        ),
    )


def make_verbs() -> str:
    """Return the table of the verbs of ``stereo-depth``."""
    return _make_table(
        ("Verb", "Does"), ((f"`{verb}`", summary) for verb, (_, summary) in VERBS.items())
    )


def make_python() -> str:
    """Return the five lines of Python of the README."""
    return (ROOT / "README.md").read_text().split("<!-- five lines -->\n")[1]


def make_published() -> str:
    """Return the table of the published weights that can be added."""
    return _make_table(
        ("Name", "Network", "Fetched", "MB", "Terms of the weights"),
        (
            (
                f"`{name}`",
                f"`{' '.join(filter(None, (source.network, source.variant)))}`",
                f"[{'by the command' if source.hub else 'by hand'}]({source.url})",
                f"{source.size / 1e6:.0f}" if source.size else "",
                f"{source.licence}{'' if source.commercial else '; not for commercial use'}",
            )
            for name, source in PUBLISHED.items()
        ),
    )


def make_formats() -> str:
    """Return the list of calibration formats."""
    return re.sub(r"^ +- ", "- ", FORMATS, flags=re.MULTILINE) + "\n"


def make_presets() -> str:
    """Return the table of the topics that the camera presets stand for."""
    presets = {path.stem: yaml.safe_load(path.read_text()) for path in _list_presets()}
    columns = ("left_image", "left_info", "right_image", "right_info")
    return _make_table(
        ("`camera:=`", *(f"`{column}`" for column in columns)),
        (
            (f"`{name}`", *(f"`{preset['topics'][column]}`" for column in columns))
            for name, preset in presets.items()
        ),
    )


def make_silences() -> str:
    """Return why the node publishes nothing."""
    return _make_list(watchdog)


def make_outputs() -> str:
    """Return what is wrong with an engine or with all of an image."""
    return _make_list(health)


def make_calibrations() -> str:
    """Return what is said of calibrations that are refused or doubtful."""
    return _make_list(calibration) + _make_list(calibrated_pair) + _make_list(baseline)


def make_pairs() -> str:
    """Return what is said of pairs that are refused or spoilt."""
    return _make_list(pair_monitor) + _make_list(pair_check)


def make_names() -> str:
    """Return what is said of names of nodes and frames."""
    return _make_list(frame_id) + _make_list(name_watch)


MAKERS: dict[str, Callable[[], str]] = {
    "parameters": make_parameters,
    "topics": make_topics,
    "verbs": make_verbs,
    "python": make_python,
    "published": make_published,
    "formats": make_formats,
    "presets": make_presets,
    "silences": make_silences,
    "outputs": make_outputs,
    "calibrations": make_calibrations,
    "pairs": make_pairs,
    "names": make_names,
}
"""What fills a block, by its name."""


def list_messages(source: str) -> Iterator[str]:
    """Yield the sentences for people in Python ``source``, in its order.

    What is filled in when the program runs stands in capitals, a number as N.
    """
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for value in ast.walk(node)
        if value is not node
    }
    texts = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.Constant)
        and id(node) not in docstrings | inner
        and (isinstance(node, ast.JoinedStr) or isinstance(node.value, str))
    ]
    for node in sorted(texts, key=lambda node: (node.lineno, node.col_offset)):
        text = _as_template(node)
        # Labels name no cure, and what begins with a sign goes on with another text.
        is_sentence = len(text) >= _MIN_MESSAGE and re.search("[:;] ", text)
        if is_sentence and text[0].isalnum():
            yield text


def _as_template(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value).replace("{}", "ONE")
    assert isinstance(node, ast.JoinedStr)
    return "".join(
        _as_placeholder(value) if isinstance(value, ast.FormattedValue) else _as_template(value)
        for value in node.values
    )


def _as_placeholder(value: ast.FormattedValue) -> str:
    if value.format_spec is not None:
        return "N"
    names = re.findall(r"\w+", re.sub(r"'.*?'\.join|\.name\b|\[.*\]", "", ast.unparse(value.value)))
    name = names[-1].strip("_")
    return _PLACEHOLDERS.get(name, name.upper())


def _make_list(module: ModuleType) -> str:
    messages = list_messages(inspect.getsource(module))
    return "".join(f"- {_emphasise(text)}\n" for text in messages)


def _emphasise(message: str) -> str:
    """Return a message with its cause, which ends at the first colon or semicolon, in bold.

    The SOURCE that some begin with is the topic or file.
    """
    message = message.removeprefix("SOURCE: ").replace("*", r"\*")
    return re.sub(r"^(.*?)([:;] |$)", r"**\1**\2", message, count=1)


def _make_table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _list_presets() -> list[Path]:
    return sorted((ROOT / "config" / "cameras").glob("*.yaml"))


def _as_yaml(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    main()
