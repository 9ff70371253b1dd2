"""书本身的测试共用：仓库根目录、各章、全书的标签。"""

from pathlib import Path

import pytest
from bookcheck.source import read_chapter

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def chapters():
    """文件名 → 章，含附录。"""
    paths = [p for p in (REPO / "book").glob("*.md") if not p.name.startswith("_")]
    return {path.stem: read_chapter(path) for path in sorted(paths)}


@pytest.fixture(scope="session")
def written(chapters):
    """已写成的章（有代码格的）。"""
    return {name: chapter for name, chapter in chapters.items() if chapter.cells}


@pytest.fixture(scope="session")
def labels(chapters):
    return {label for chapter in chapters.values() for label in chapter.labels}
