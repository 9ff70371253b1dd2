"""源账本的每一行都在 ``book/source_map.yml`` 里，对到书里真实存在的标签。"""

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


@pytest.mark.parametrize("chapter", WRITTEN)
@pytest.mark.skipif(not LEDGER.is_dir(), reason="没有源账本（../shared/source），只核对标签")
def test_every_ledger_row_is_mapped(source_map, chapter):
    for kind, rows in ledger_rows(chapter).items():
        mapped = set(source_map[str(chapter)].get(kind, {}))
        assert mapped == set(rows), f"第 {chapter} 章 {kind}：缺 {set(rows) - mapped}"


def test_every_mapped_label_exists(source_map, labels):
    for chapter, kinds in source_map.items():
        for kind, rows in kinds.items():
            for row, label in rows.items():
                assert label in labels, f"第 {chapter} 章 {kind} {row} 所指的标签 {label} 书里没有"


def test_a_missing_row_would_be_noticed(source_map):
    rows = ledger_rows(2) if LEDGER.is_dir() else {"equations": list(source_map["2"]["equations"])}
    damaged = dict(source_map["2"]["equations"])
    damaged.popitem()
    assert set(damaged) != set(rows["equations"])
