import hashlib

import pytest

from stereo_depth_ros.artifact import (
    find_artifact,
    list_added,
    list_models,
    list_shipped,
    locate_graph,
    locate_reference,
    models_folder,
)
from stereo_depth_ros.model_card import ModelError


def write_card(folder, text, name="net.yaml"):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_shipped_model_is_found_by_name():
    artifact = find_artifact("sgbm")

    assert (artifact.name, artifact.card.engine, artifact.file) == ("sgbm", "sgbm", None)
    assert artifact.card.options == {"mode": "3way"}
    assert "Apache-2.0" in artifact.card.licence


def test_shipped_models_are_sorted_names():
    assert list_shipped() == sorted(list_shipped())
    assert {"lite", "sgbm", "sgbm_hh"} <= set(list_shipped())


@pytest.mark.parametrize("name", list_shipped())
def test_every_shipped_card_can_be_read_and_says_its_licence(name):
    artifact = find_artifact(name)

    assert artifact.name == name
    assert artifact.card.engine in ("sgbm", "onnx")
    assert artifact.card.summary
    assert artifact.card.licence


def test_shipped_network_lists_its_files():
    names = [path.name for path in find_artifact("lite").list_files()]

    assert names == ["lite.yaml", "lite.onnx", "lite.mixed.onnx", "lite.reference.npz"]


def test_added_model_is_found_by_name_beside_the_shipped_ones(models_home):
    (models_home / "net").mkdir(parents=True)
    write_card(models_home / "net", "{engine: onnx, file: net.onnx}")

    artifact = find_artifact("net")

    assert artifact.card_path == models_home / "net" / "net.yaml"
    assert artifact.file == models_home / "net" / "net.onnx"
    assert set(list_models()) == {"net", *list_shipped()}
    assert list_added() == ["net"]


def test_folders_that_are_being_written_and_other_cards_are_no_models(models_home):
    for folder, name in ((".net", "net.yaml"), ("net", "other.yaml"), ("lite", "lite.yaml")):
        (models_home / folder).mkdir(parents=True)
        write_card(models_home / folder, "{engine: onnx, file: net.onnx}", name)

    assert list_models() == list_shipped()
    assert list_added() == []
    assert find_artifact("lite").file.parent != models_home / "lite"


def test_folder_of_added_models_follows_the_xdg_specification(tmp_path, monkeypatch):
    monkeypatch.delenv("STEREO_DEPTH_MODELS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert models_folder() == tmp_path / ".local/share/stereo_depth_ros/models"

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert models_folder() == tmp_path / "data/stereo_depth_ros/models"

    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert models_folder() == tmp_path / ".local/share/stereo_depth_ros/models"

    monkeypatch.setenv("STEREO_DEPTH_MODELS", "~/nets")
    assert models_folder() == tmp_path / "nets"


def test_user_without_a_home_has_the_shipped_models(monkeypatch):
    for name in ("STEREO_DEPTH_MODELS", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    # As in a container that runs under a number that its system does not know.
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])

    assert str(models_folder()) == "/.local/share/stereo_depth_ros/models"
    assert list_models() == list_shipped()


@pytest.mark.parametrize("name", ["net.onnx", "net.mixed.onnx"])
def test_graphs_of_both_precisions_share_a_reference(tmp_path, name):
    assert locate_graph(tmp_path / name, "mixed") == tmp_path / "net.mixed.onnx"
    assert locate_reference(tmp_path / name) == tmp_path / "net.reference.npz"


def test_unknown_name_lists_the_installed_models():
    with pytest.raises(ModelError, match=r"'sgmb' is not known; installed are .*sgbm, sgbm_hh"):
        find_artifact("sgmb")


def test_path_of_a_graph_is_a_model():
    artifact = find_artifact("some/folder/net_480.onnx")

    assert (artifact.name, artifact.card.engine, str(artifact.file)) == (
        "net_480",
        "onnx",
        "some/folder/net_480.onnx",
    )


def test_home_is_resolved_in_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert find_artifact("~/net.onnx").file == tmp_path / "net.onnx"


def test_file_of_a_card_is_relative_to_the_card(tmp_path):
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "net.onnx").write_bytes(b"graph")

    artifact = find_artifact(write_card(tmp_path, "{engine: onnx, file: graphs/net.onnx}"))

    assert artifact.name == "net"
    assert artifact.verify_file() == tmp_path / "graphs" / "net.onnx"


def test_absolute_file_of_a_card_is_taken_as_it_is(tmp_path):
    artifact = find_artifact(write_card(tmp_path, "{engine: onnx, file: /opt/nets/net.onnx}"))

    assert str(artifact.file) == "/opt/nets/net.onnx"


def test_card_may_end_in_yml(tmp_path):
    assert find_artifact(write_card(tmp_path, "engine: sgbm", "mine.yml")).name == "mine"


def test_card_says_whose_answer_goes_to_the_graph_and_a_bare_graph_says_it_itself(tmp_path):
    asking = find_artifact(write_card(tmp_path, "{engine: onnx, file: a.onnx, prior: sgbm}"))
    plain = find_artifact(write_card(tmp_path, "{engine: onnx, file: a.onnx}"))

    assert (asking.card.prior, plain.card.prior) == ("sgbm", "")
    assert find_artifact(str(tmp_path / "a.onnx")).card.prior is None


def test_name_of_100_000_letters_is_cut():
    with pytest.raises(ModelError) as caught:
        find_artifact("x" * 100_000)

    assert len(str(caught.value)) < 500


def test_missing_graph_names_its_path(tmp_path):
    artifact = find_artifact(str(tmp_path / "absent.onnx"))

    with pytest.raises(ModelError, match=r"'absent': file .*absent\.onnx does not exist; correct"):
        artifact.verify_file()


def test_folder_in_place_of_a_graph_is_told(tmp_path):
    (tmp_path / "net.onnx").mkdir()

    with pytest.raises(ModelError, match=r"net\.onnx is a folder; correct the path"):
        find_artifact(str(tmp_path / "net.onnx")).verify_file()


def test_card_without_a_file_says_what_to_add(tmp_path):
    artifact = find_artifact(write_card(tmp_path, "engine: onnx"))

    with pytest.raises(ModelError, match="its card names no file; add 'file: NAME'"):
        artifact.verify_file()


def test_missing_graph_of_an_installed_card_is_mended_by_installing(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.yaml").write_text("{engine: onnx, file: net.onnx}")
    monkeypatch.setattr("stereo_depth_ros.artifact.share_directory", lambda: tmp_path)

    with pytest.raises(ModelError, match=r"net\.onnx does not exist; reinstall the package"):
        find_artifact("net").verify_file()


def test_graph_with_the_hash_of_its_card_is_verified(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"graph")
    digest = hashlib.sha256(b"graph").hexdigest()

    artifact = find_artifact(
        write_card(tmp_path, f"engine: onnx\nfile: net.onnx\nsha256: '{digest}'")
    )

    assert artifact.verify_file() == tmp_path / "net.onnx"


def test_altered_graph_is_refused_with_both_hashes(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"grapf")
    digest = hashlib.sha256(b"graph").hexdigest()
    actual = hashlib.sha256(b"grapf").hexdigest()
    artifact = find_artifact(
        write_card(tmp_path, f"engine: onnx\nfile: net.onnx\nsha256: '{digest}'")
    )

    with pytest.raises(ModelError, match=f"altered or truncated.*{actual[:12]}.*{digest[:12]}"):
        artifact.verify_file()
