"""What a folder of results replaces, and what it never touches."""

import json
import os

import pytest

from stereo_depth_ros.atomic_file import WriteError, write_text
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.result_folder import RECORD, ResultFolder


def save(folder, **files):
    with folder.replace("sgbm") as scratch:
        for name, content in files.items():
            write_text(scratch / name, content)


def contents(path):
    return {file.name: file.read_text() for file in path.iterdir() if file.name != RECORD}


@pytest.fixture
def folder(tmp_path):
    return ResultFolder(tmp_path / "new" / "out", "run")


def test_results_appear_with_a_record_of_them(folder):
    save(folder, a="1", b="2")

    assert contents(folder.path) == {"a": "1", "b": "2"}
    record = json.loads((folder.path / RECORD).read_text())
    assert (record["maker"], record["engine"], list(record["files"])) == ("run", "sgbm", ["a", "b"])


def test_earlier_results_are_replaced_and_what_is_new_no_more_is_removed(folder):
    save(folder, a="1", b="2")
    (folder.path / "notes").write_text("mine")

    save(folder, a="3", c="4")

    assert contents(folder.path) == {"a": "3", "c": "4", "notes": "mine"}


def test_nothing_changes_where_writing_fails(folder):
    save(folder, a="1")
    before = (folder.path / RECORD).read_text()

    with pytest.raises(WriteError) as error, folder.replace("sgbm") as scratch:
        write_text(scratch / "a", "2")
        write_text(scratch / "a" / "b", "3")

    # The place that the user knows, not the one that it was to come from.
    assert str(error.value).startswith(f"{folder.path / 'a' / 'b'} was not written: ")
    assert contents(folder.path) == {"a": "1"}
    assert (folder.path / RECORD).read_text() == before
    assert {file.name for file in folder.path.iterdir()} == {"a", RECORD}


def test_new_folder_is_gone_where_writing_fails(folder):
    with pytest.raises(RuntimeError, match="drawing"), folder.replace("sgbm"):
        raise RuntimeError("drawing failed")

    assert not folder.path.exists()
    assert folder.path.parent.exists()


def write_file(path):
    path.write_text("mine")


@pytest.mark.parametrize("name", ["a", RECORD])
@pytest.mark.parametrize(
    "make",
    [write_file, os.mkdir, lambda path: os.symlink("elsewhere", path)],
    ids=["file", "folder", "link"],
)
def test_what_is_no_result_is_never_replaced(tmp_path, make, name):
    folder = ResultFolder(tmp_path, "run")
    make(tmp_path / name)
    before = os.lstat(tmp_path / name)

    for attempt in (lambda: folder.check_free({"a"}), lambda: save(folder, a="1")):
        with pytest.raises(InputError) as error:
            attempt()
        assert str(error.value) == (
            f"{tmp_path / name} would be overwritten by a result, and is none of an earlier run; "
            "give another folder, or move it"
        )

    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert os.lstat(tmp_path / name) == before


def test_result_that_was_edited_is_the_user_s(folder):
    save(folder, a="1", b="2")
    (folder.path / "b").write_text("edited")

    with pytest.raises(InputError, match="b would be overwritten by a result"):
        save(folder, a="3", b="4")
    save(folder, a="3")

    assert contents(folder.path) == {"a": "3", "b": "edited"}


def test_results_of_another_maker_are_not_replaced(folder):
    save(folder, a="1")
    demo = ResultFolder(folder.path, "demo")

    with pytest.raises(InputError, match="none of an earlier demo"):
        save(demo, a="2")

    assert contents(folder.path) == {"a": "1"}


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"maker": "run", "files": []}', "\xff"])
def test_record_that_is_none_protects_what_lies_beside_it(folder, record):
    save(folder, a="1")
    (folder.path / RECORD).write_text(record)

    with pytest.raises(InputError, match="would be overwritten"):
        folder.check_free({"a"})


def test_folder_alone_holds_results_and_what_is_allowed(folder):
    folder.check_alone()
    save(folder, a="1")
    (folder.path / "log").write_text("…")
    (folder.path / ".stereo_depth-of_a_killed_run").mkdir()

    folder.check_alone(allowed=["log"])
    with pytest.raises(InputError) as error:
        folder.check_alone()
    (folder.path / "notes").write_text("mine")
    with pytest.raises(InputError, match="holds log and 1 more, no result"):
        folder.check_alone()

    assert str(error.value) == (
        f"{folder.path} holds log, no result of an earlier run; give another folder, or move what "
        "is in it"
    )
