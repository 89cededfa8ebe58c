"""What README, pages and other documents promise is there."""

from __future__ import annotations

import ast
import pkgutil
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from stereo_depth_ros import pictures
from stereo_depth_ros.artifact import find_artifact
from stereo_depth_ros.cli import main as cli

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "doc").rglob("*.md"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *PAGES])
TEXTS = {document: document.read_text() for document in DOCUMENTS}

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def without_code(text):
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def links_of(document):
    """Targets within the repository, as (file, anchor)."""
    targets = re.findall(r"\]\(([^)\s]*)\)", without_code(TEXTS[document]))
    for target in targets:
        if not re.match("[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield (document.parent / path).resolve() if path else document, anchor


def headings_of(document):
    text = without_code(TEXTS[document])
    return [re.sub(r"[`*]", "", line) for line in re.findall("^#+ (.*)$", text, re.MULTILINE)]


def anchor_on_github(heading):
    return re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-")


def anchor_in_mkdocs(heading):
    ascii_only = heading.encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())


@each_document
def test_every_file_it_links_to_exists(document):
    assert [str(path) for path, _ in links_of(document) if not path.exists()] == []


@each_document
def test_every_heading_it_links_to_exists_on_github_and_in_mkdocs(document):
    linked = [(path, anchor) for path, anchor in links_of(document) if anchor]

    for path, anchor in linked:
        assert anchor in map(anchor_on_github, headings_of(path)), (path.name, anchor)
        assert anchor in map(anchor_in_mkdocs, headings_of(path)), (path.name, anchor)


def test_links_are_looked_for():
    # Else the tests above could not fail.
    assert (ROOT / "resource" / "demo.png", "") in list(links_of(README))
    assert (ROOT / "doc" / "install.md", "ros-machine") in list(links_of(README))
    assert [a for _, a in links_of(ROOT / "doc" / "gpu.md")].count("build") == 1
    assert anchor_on_github("By hand: `a` & b") == "by-hand-a--b"
    assert anchor_in_mkdocs("By hand: a & b") == "by-hand-a-b"


def test_every_page_is_in_the_navigation_and_every_entry_a_page():
    entries = re.findall(r"- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = {str(page.relative_to(ROOT / "doc")) for page in PAGES}

    assert set(entries) - {"CONTRIBUTING.md", "SECURITY.md"} == pages
    assert len(entries) == len(set(entries))


def test_every_page_is_reached_from_the_readme():
    reached, ahead = set(), [README]
    while ahead:
        document = ahead.pop()
        if document not in reached and document in TEXTS:
            reached.add(document)
            ahead += [path for path, _ in links_of(document)]

    assert set(PAGES) <= reached


@each_document
def test_no_mark_is_left_but_those_that_are_filled(document):
    marks = set(re.findall("<!--.*?-->", TEXTS[document]))

    known = r"<!-- (generated: \w+|end|five lines) -->"
    assert [mark for mark in marks if not re.fullmatch(known, mark)] == []


@each_document
def test_every_target_of_make_that_is_named_exists(document):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([a-z-]+)", TEXTS[document], re.MULTILINE)

    assert set(named) <= set(targets)


def test_readme_gives_what_was_measured_as_the_cards_do():
    cells = re.findall(r"^\| `(\w+)`[^|]*\| ([\d.]+) \|", TEXTS[README], re.MULTILINE)

    cards = {name: find_artifact(name).card.measured["real"][name] for name, _ in cells}
    assert set(cards) == {"lite", "sgbm"}
    assert {name: float(figure) for name, figure in cells} == {
        name: pytest.approx(card["bad2"], abs=0.05) for name, card in cards.items()
    }


def test_readme_gives_the_size_of_lite_that_the_list_of_models_gives():
    (size,) = re.findall(r"^\| `lite`.* ([\d.]+), included", TEXTS[README], re.MULTILINE)

    total = sum(file.stat().st_size for file in find_artifact("lite").list_files())
    assert size == f"{total / 1e6:.1f}"
    assert f"{size} MB with its graph" in TEXTS[ROOT / "doc" / "models.md"]


def test_page_of_figures_gives_what_the_cards_do():
    table = TEXTS[ROOT / "doc" / "figures.md"].split("| Model | EPE |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)

    assert [name for name, _ in rows] == ["lite", "sgbm", "sgbm_hh"]
    for name, row in rows:
        epe, _, bad1, bad2, _, ause, thin = row.split(" | ")
        card = find_artifact(name).card.measured["real"][name]
        assert (epe, ause) == (f"{card['epe']:.2f}", f"{card['ause']:.2f}"), name
        assert (bad1, bad2) == (f"{card['bad1']:.1f}", f"{card['bad2']:.1f}"), name
        assert thin == f"{card['thin']:.0f} %", name


# -- commands --------------------------------------------------------------------------------------


def lines_of_shell(document):
    for block in re.findall(r"```sh\n(.*?)```", TEXTS[document], re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


def commands_of(document):
    """The command lines of ``stereo-depth`` in the blocks of a document, as arguments."""
    for line in lines_of_shell(document):
        words = shlex.split(line, comments=True)
        for start in ("stereo-depth", "stereo_depth_ros.cli.main"):
            if start in words:
                yield tuple(words[words.index(start) + 1 :])


COMMANDS = sorted({command for document in DOCUMENTS for command in commands_of(document)})


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_command_is_understood(arguments):
    if arguments == ("--version",):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 0
    else:
        assert cli._parse(arguments).verb == arguments[0]


def help_of(capsys, *verb):
    with pytest.raises(SystemExit) as stop:
        cli.main([*verb, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@each_document
def test_every_option_within_a_sentence_exists(document, capsys):
    named = re.findall(r"`stereo-depth ([^`]*)`", without_code(TEXTS[document]))

    for command in map(str.split, named):
        words = [word for word in command if word not in ("-v", "--traceback")]
        if words[0] == "VERB" or words[0].startswith("-"):
            continue
        assert words[0] in cli.VERBS, command
        text = help_of(capsys, words[0])
        options = {word for word in words[1:] if word.startswith("-")}
        assert options <= set(re.findall(r"-[-\w]+", text)), command


def test_commands_are_looked_for():
    assert ("run", "left.png", "right.png", "--calib", "calib.txt", "-o", "out") in COMMANDS
    assert any(command[0] == "train" and "-o" in command for command in COMMANDS)


def test_every_verb_is_shown():
    text = "".join(TEXTS[page] for page in PAGES)

    assert [verb for verb in cli.VERBS if f"stereo-depth {verb}" not in text] == []


def test_first_depth_writes_the_files_that_its_page_lists(tmp_path, monkeypatch, yard):
    pytest.importorskip("onnxruntime")
    page = ROOT / "doc" / "first_depth.md"
    (command,) = [command for command in commands_of(page) if command[0] == "run"]
    camera = yard.camera
    for side in ("left", "right"):
        pictures.write_image(tmp_path / f"{side}.png", getattr(yard.pair, side))
    k = f"[{camera.fx} 0 {camera.cx}; 0 {camera.fy} {camera.cy}; 0 0 1]"
    (tmp_path / "calib.txt").write_text(
        f"cam0={k}\ncam1={k}\ndoffs=0\nbaseline={1000 * camera.baseline}\n"
        f"width={camera.width}\nheight={camera.height}\n"
    )
    monkeypatch.chdir(tmp_path)

    assert cli.main(command) == 0

    files = re.findall(
        r"`(\w+\.(?:npy|png|ply|json))`", TEXTS[page].split("| File in")[1].split("\n\n")[0]
    )
    assert sorted(files) == sorted(path.name for path in (tmp_path / "out").iterdir())
    depth = np.load(tmp_path / "out" / "depth.npy")
    assert (depth.shape, depth.dtype) == ((camera.height, camera.width), np.float32)


# -- Python ----------------------------------------------------------------------------------------


@each_document
def test_python_of_a_block_is_python(document):
    for block in re.findall(r"```python\n(.*?)```", TEXTS[document], re.DOTALL):
        assert ast.parse(block).body


def test_every_name_on_the_page_of_python_exists():
    page = TEXTS[ROOT / "doc" / "python.md"]
    names = re.findall(r"`(stereo_depth_ros(?:\.\w+)+)", page)

    assert "stereo_depth_ros.pipeline.StereoPipeline" in names
    for name in names:
        pkgutil.resolve_name(name)


# -- launch and parameters -------------------------------------------------------------------------


def launch_arguments():
    names = set()
    for node in ast.parse((ROOT / "launch" / "stereo.launch.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id in ("INPUTS", "ARGUMENTS"):
            names |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    return names


@each_document
def test_every_launch_argument_exists(document):
    presets = {path.stem for path in (ROOT / "config" / "cameras").glob("*.yaml")}
    for line in lines_of_shell(document):
        if "stereo.launch.py" in line:
            given = dict(re.findall(r"(\w+):=(\S+)", line))
            assert set(given) <= launch_arguments()
            assert given.get("camera", "generic") in presets


def test_every_launch_argument_is_in_the_table():
    table = TEXTS[ROOT / "doc" / "cameras.md"].split("| Argument |")[1].split("\n\n")[0]
    firsts = [row.split(" | ")[0] for row in table.splitlines()[2:]]

    assert set(re.findall(r"`(\w+)`", " ".join(firsts))) == launch_arguments()


@each_document
def test_every_parameter_in_a_block_exists_and_is_of_its_type(document):
    defaults = yaml.safe_load((ROOT / "config" / "stereo.yaml").read_text())["/**"]
    for block in re.findall(r"```yaml\n(.*?)```", TEXTS[document], re.DOTALL):
        given = yaml.safe_load(block).get("/**", {}).get("ros__parameters", {})
        for name, value in given.items():
            assert type(value) is type(defaults["ros__parameters"][name]), name
