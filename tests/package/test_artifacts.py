"""训练成果的存放处。"""

import pytest

from dlbook import artifacts


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DLBOOK_ARTIFACTS", str(tmp_path / "made"))
    return tmp_path / "made"


def test_path_is_in_the_named_folder(folder):
    assert artifacts.path("model") == folder / "model" and folder.is_dir()


def test_without_the_variable_the_cache_folder_is_used(monkeypatch, tmp_path):
    monkeypatch.delenv("DLBOOK_ARTIFACTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert artifacts.path("model") == tmp_path / "dlbook" / "model"


@pytest.mark.parametrize("name", ["", "a/b", "../a", "/a"])
def test_names_with_folders_are_refused(name):
    with pytest.raises(ValueError, match="单纯的文件名"):
        artifacts.path(name)


def test_missing_artifact_says_where_it_comes_from(folder):
    with pytest.raises(artifacts.ArtifactMissing, match=r"8\.6 节"):
        artifacts.require("model", made_by="第 8.6 节")
    artifacts.path("model").write_bytes(b"")
    assert artifacts.require("model", made_by="第 8.6 节") == folder / "model"
