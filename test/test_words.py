"""Names read as the glossary of doc/design.md and CONTRIBUTING.md say."""

import ast
import re
from pathlib import Path

import pytest

import stereo_depth_ros

PACKAGE = Path(stereo_depth_ros.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
BANNED = {"found", "wanted", "kept", "how", "why", "words", "wish", "house"}
# Participles that do not end in -ed.
IRREGULAR = {"built", "chosen", "drawn", "found", "given", "held", "kept", "known", "made", "met"}
IRREGULAR |= {"seen", "sent", "shown", "taken", "told", "written", "begun"}
# Verbs, and nouns, that end like one.
NO_PARTICIPLES = {"embed", "expected", "feed", "need", "seed", "shed", "speed", "spread"}


def functions(tree):
    """Functions and methods, but no properties, which are values."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names = {ast.unparse(d).rpartition(".")[2] for d in node.decorator_list}
            if not names & {"property", "cached_property", "setter"}:
                yield node.name


def is_participle(name):
    first = re.split("_", name.strip("_"))[0]
    return first in IRREGULAR or (first.endswith("ed") and first not in NO_PARTICIPLES)


def assigned(tree):
    """Every name that is given a value: variables, fields, arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_functions_are_named_by_verbs(file):
    assert [n for n in functions(ast.parse(file.read_text())) if is_participle(n)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_names_say_what_the_thing_is(file):
    names = {name.strip("_") for name in assigned(ast.parse(file.read_text()))}

    assert names & BANNED == set()


def test_participles_are_told_from_verbs():
    assert all(map(is_participle, ("checked", "_seen", "resized_nearest", "built_engine")))
    assert not any(
        map(is_participle, ("check", "_seed", "embed", "read", "spread_out", "__init__"))
    )
