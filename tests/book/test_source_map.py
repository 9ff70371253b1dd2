"""源账本的每一行都在 ``book/source_map.yml`` 里，对到书里真实存在的标签。"""

import copy
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).parents[2]
LEDGER = REPO.parent / "shared" / "source"
WRITTEN = tuple(range(1, 13))


@pytest.fixture(scope="module")
def source_map():
    return yaml.safe_load((REPO / "book" / "source_map.yml").read_text(encoding="utf-8"))


def ledger_rows(chapter: int) -> dict[str, list[str]]:
    """账本一章的全部行：框与勘误没有编号，用“节/次序”。"""
    doc = yaml.safe_load((LEDGER / f"{chapter:02d}.yaml").read_text(encoding="utf-8"))
    rows = {
        kind: [] for kind in ("sections", "equations", "figures", "listings", "boxes", "errata")
    }
    for section in doc["sections"]:
        rows["sections"].append(section["id"])
        for kind in ("equations", "figures", "listings"):
            rows[kind] += [item["id"] for item in section.get(kind, [])]
        for kind in ("boxes", "errata"):
            count = len(section.get(kind, []))
            rows[kind] += [f"{section['id']}/{n}" for n in range(1, count + 1)]
    return rows


def unmapped(source_map, chapter: int, rows: dict[str, list[str]]) -> list[str]:
    """账本里有而对照表里没有的，以及反过来的。"""
    return [
        f"第 {chapter} 章 {kind} {row}"
        for kind, names in rows.items()
        for row in sorted(set(names) ^ set(source_map[str(chapter)].get(kind, {})))
    ]


def dangling(source_map, labels) -> list[str]:
    """对照表所指、书里却没有的标签。"""
    return [
        f"第 {chapter} 章 {kind} {row} → {label}"
        for chapter, kinds in source_map.items()
        for kind, rows in kinds.items()
        for row, label in rows.items()
        if label not in labels
    ]


@pytest.mark.parametrize("chapter", WRITTEN)
@pytest.mark.skipif(not LEDGER.is_dir(), reason="没有源账本（../shared/source），只核对标签")
def test_every_ledger_row_is_mapped(source_map, chapter):
    assert unmapped(source_map, chapter, ledger_rows(chapter)) == []


def test_every_mapped_label_exists(source_map, labels):
    assert dangling(source_map, labels) == []


def test_a_missing_row_or_label_is_noticed(source_map, labels):
    """上面两项检查自己也要能变红：删一行、多一行、改一个标签。"""
    rows = {kind: list(mapped) for kind, mapped in source_map["2"].items()}
    assert unmapped(source_map, 2, rows) == []
    damaged = copy.deepcopy(source_map)
    del damaged["2"]["equations"]["2.4"]
    damaged["2"]["errata"]["2.9/1"] = "erratum-2-4"
    damaged["2"]["figures"]["2.1"] = "fig-nowhere"
    assert unmapped(damaged, 2, rows) == ["第 2 章 equations 2.4", "第 2 章 errata 2.9/1"]
    assert dangling(damaged, labels) == ["第 2 章 figures 2.1 → fig-nowhere"]
