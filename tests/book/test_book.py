"""书的各项约定：全绿、出处可循、术语统一、不抄源文、不泄露本机路径。"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from bookcheck.checks import check_book

REPO = Path(__file__).parents[2]
SHARED = REPO.parent / "shared"
PACKAGE = sorted((REPO / "dlbook").rglob("*.py"))


@pytest.fixture(scope="module")
def report():
    return check_book(REPO)


def test_every_claim_of_the_book_holds(report):
    assert [problem.render(REPO) for problem in report.problems] == []


def test_every_kind_of_claim_occurs_in_each_chapter(report, written):
    for name in written:
        kinds = {claim.kind for claim in report.of(name)}
        assert {"output", "figure", "equation", "number", "exercise"} <= kinds, name


def test_run_time_stays_within_the_budget_of_the_recorded_build(report):
    """预算按记录下来的用时核对（不是现在计时）：两章合计的单核秒数须能在两核上两分钟内完成。"""
    assert sum(sum(run.seconds) for run in report.runs.values()) < 200


def test_embedded_listing_names_its_file(written):
    pattern = re.compile(r"\{literalinclude\}\s+\.\./(\S+)\n((?::.*\n)*)")
    for name, chapter in written.items():
        found = pattern.findall(chapter.text)
        assert found, f"{name} 没有嵌入任何代码"
        for path, options in found:
            caption = re.search(r":caption:\s*(.*)", options)
            assert caption and caption[1].startswith(path), f"{name}：{path} 的图题应以文件路径开头"
            assert (REPO / path).is_file()


def public_functions():
    for path in PACKAGE:
        if path.stem.startswith("_"):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield path.relative_to(REPO).as_posix(), node


def test_public_functions_say_where_the_book_explains_them(labels):
    missing = []
    for path, node in public_functions():
        places = re.findall(r"书中：\s*([\w-]+)", ast.get_docstring(node) or "")
        if not path.startswith("dlbook/plot") and (not places or places[0] not in labels):
            missing.append(f"{path}:{node.name} → {places}")
    assert missing == []


def test_imports_point_one_way():
    rank = {"backprop": 0, "autograd": 1, "models": 2}
    for path in PACKAGE:
        own = path.relative_to(REPO / "dlbook").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dlbook."):
                other = node.module.split(".")[1]
                if own in rank and other in rank:
                    assert rank[other] <= rank[own], f"{path} 不应导入 {node.module}"


TERM = re.compile(r"\*\*([^*（()]+)（([^（）]+)）\*\*")


def test_one_translation_per_term(chapters):
    chinese, english = defaultdict(set), defaultdict(set)
    for chapter in chapters.values():
        for zh, en in TERM.findall(chapter.text):
            chinese[en.strip().lower()].add(zh.strip())
            english[zh.strip()].add(en.strip().lower())
    assert {k: v for k, v in chinese.items() if len(v) > 1} == {}
    assert {k: v for k, v in english.items() if len(v) > 1} == {}


def test_glossary_lists_every_term(chapters):
    glossary = chapters["glossary"].text
    missing = {
        zh
        for name, chapter in chapters.items()
        for zh, _ in TERM.findall(chapter.text)
        if name != "glossary" and f"| {zh.strip()} |" not in glossary
    }
    assert missing == set()


def test_chapters_follow_the_template(written):
    for name, chapter in written.items():
        for part in ("{chapter-facts}", "## 小结", "## 练习", "## 常见问题", "## 延伸阅读"):
            assert part in chapter.text, f"{name} 缺 {part}"
        assert len(re.findall(r"^:label: ex-", chapter.text, re.M)) >= 2, name


@pytest.mark.skipif(not SHARED.is_dir(), reason="没有 ../shared，无从比对源文")
def test_no_sentence_is_copied_from_the_source():
    tool = SHARED / "tools" / "originality.py"
    result = subprocess.run(
        [sys.executable, str(tool)], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=False
    ).stdout.split()
    return [REPO / name for name in listed if (REPO / name).is_file()]


def test_no_file_names_this_machine_or_a_package_registry():
    files = tracked_files()
    if not files:
        pytest.skip("不是 git 仓库，没有文件清单")
    forbidden = re.compile(
        r"/work/main|/root/|"
        + "|".join(["pypi" + r"\.org", "pythonhosted", "npmjs", r"deb\.debian"])
    )
    for path in files:
        if path.suffix in {".gz", ".otf", ".xz"} or path == Path(__file__):
            continue
        found = forbidden.search(path.read_text(encoding="utf-8", errors="replace"))
        assert not found, f"{path.relative_to(REPO)}：{found}"


def test_no_code_is_written_twice_in_chapters(written):
    """章节里的代码格不得重新定义包里已有的公开函数（教学用的朴素版须另起名字）。"""
    names = {node.name for _, node in public_functions()}
    for name, chapter in written.items():
        for cell in chapter.cells:
            for node in ast.walk(ast.parse(re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.M))):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    assert node.name not in names, f"{name}:{cell.line} 重写了 {node.name}"
