"""源账本的每一行都在 ``book/source_map.yml`` 里，对到书里真实存在、种类相符的标签。"""

import re
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).parents[2]
LEDGER = REPO.parent / "shared" / "source"
CHAPTERS = [str(number) for number in range(1, 13)]
# 账本的总数，写在它的 README 里；没有账本时也核对得了。
TOTALS = {
    "sections": 81, "equations": 132, "figures": 57, "listings": 75, "boxes": 21, "errata": 178,
}  # fmt: skip
# 每一类该对到哪些前缀的标签；源文的两幅“图”其实是模型写的诗，在书里是输出，练习框对到练习。
PREFIXES = {
    "sections": ("chap-", "sec-"),
    "equations": ("eq-",),
    "figures": ("fig-", "tab-", "out-"),
    "listings": ("code-",),
    "boxes": ("box-", "ex-"),
    "errata": ("erratum-",),
}
MAP = yaml.safe_load((REPO / "book" / "source_map.yml").read_text(encoding="utf-8"))
needs_ledger = pytest.mark.skipif(not LEDGER.is_dir(), reason="没有源账本（../shared/source）")


def ledger_rows(chapter: str) -> dict[str, set[str]]:
    """账本一章的全部行：框与勘误没有编号，用“节/次序”。"""
    doc = yaml.safe_load((LEDGER / f"{int(chapter):02d}.yaml").read_text(encoding="utf-8"))
    rows = {kind: set() for kind in TOTALS}
    for section in doc["sections"]:
        rows["sections"].add(section["id"])
        for kind in ("equations", "figures", "listings"):
            rows[kind] |= {item["id"] for item in section.get(kind, [])}
        for kind in ("boxes", "errata"):
            count = len(section.get(kind, []))
            rows[kind] |= {f"{section['id']}/{n}" for n in range(1, count + 1)}
    return rows


def problems(source_map: dict, labels: set[str]) -> list[str]:
    """不靠账本也看得出的毛病：章不全、标签不存在或种类不符、两行挤在一个标签上、总数不对。"""
    found = [f"章 {set(source_map) ^ set(CHAPTERS)}"] * (list(source_map) != CHAPTERS)
    rows = [
        (kind, f"第 {chapter} 章 {kind} {row}", label)
        for chapter, kinds in source_map.items()
        for kind, pairs in kinds.items()
        for row, label in pairs.items()
    ]
    owner = {}
    for kind, row, label in rows:
        if label not in labels:
            found.append(f"{row} 所指的标签 {label} 书里没有")
        if not label.startswith(PREFIXES[kind]):
            found.append(f"{row} 所指的 {label} 不是 {PREFIXES[kind]}")
        if label in owner:
            found.append(f"{row} 与 {owner[label]} 对到同一个标签 {label}")
        owner[label] = row
    counts = {kind: sum(kind == other for other, _, _ in rows) for kind in TOTALS}
    return found + [f"{kind} 共 {counts[kind]}，应为 {n}" for kind, n in TOTALS.items()
                    if counts[kind] != n]  # fmt: skip


@needs_ledger
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_ledger_row_is_mapped(chapter):
    mapped = {kind: set(MAP[chapter].get(kind, {})) for kind in TOTALS}
    assert mapped == ledger_rows(chapter)


def test_every_row_points_to_its_own_label_of_the_right_kind(labels):
    assert problems(MAP, labels) == []


@needs_ledger
def test_totals_are_those_of_the_ledger():
    chapters = [ledger_rows(chapter) for chapter in CHAPTERS]
    assert {kind: sum(len(rows[kind]) for rows in chapters) for kind in TOTALS} == TOTALS


def test_every_mapped_equation_is_verified_or_declared_a_definition():
    checks = "".join(p.read_text(encoding="utf-8") for p in (REPO / "tests/equations").glob("*.py"))
    wanted = {label for kinds in MAP.values() for label in kinds.get("equations", {}).values()}
    assert {label for label in wanted if f'"{label}"' not in checks} == set()


def test_errata_page_lists_every_chapter_with_errata(chapters):
    listed = set(re.findall(r"\{errata-list\} (\d\d)", chapters["errata"].text))
    having = {name[:2] for name, chapter in chapters.items() if "{erratum}" in chapter.text}
    assert listed == having


@pytest.mark.parametrize(
    ("chapter", "kind", "row", "label", "said"),
    [
        ("2", "equations", "2.1", None, "equations 共 131"),
        ("2", "equations", "2.1", "eq-no-such-label", "书里没有"),
        ("3", "errata", "3.4/1", "sec-dz2", "不是"),
        ("10", "figures", "10.7", "fig-sl-rms", "同一个标签"),
    ],
)
def test_a_damaged_map_would_be_noticed(labels, chapter, kind, row, label, said):
    damaged = {c: {k: dict(pairs) for k, pairs in kinds.items()} for c, kinds in MAP.items()}
    damaged[chapter][kind].pop(row)
    if label:
        damaged[chapter][kind][row] = label
    assert any(said in problem for problem in problems(damaged, labels))


def test_a_missing_chapter_would_be_noticed(labels):
    assert any("章" in problem for problem in problems({"1": MAP["1"]}, labels))
