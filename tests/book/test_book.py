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


def by_number(written):
    """章号 → 那一章的各页；多数章只有一页，第 8 章一节一页。"""
    pages = defaultdict(list)
    for name in written:
        pages[name[:2]].append(name)
    return pages


def test_every_claim_of_the_book_holds(report):
    assert [problem.render(REPO) for problem in report.problems] == []


def test_every_kind_of_claim_occurs_in_each_chapter(report, written):
    for number, pages in by_number(written).items():
        kinds = {claim.kind for name in pages for claim in report.of(name)}
        assert {"output", "figure", "equation", "number", "exercise"} <= kinds, number


def test_embedded_listing_names_its_file(written):
    pattern = re.compile(r"\{literalinclude\}\s+\.\./(\S+)\n((?::.*\n)*)")
    for name, chapter in written.items():
        for path, options in pattern.findall(chapter.text):
            caption = re.search(r":caption:\s*(.*)", options)
            assert caption and caption[1].startswith(path), f"{name}：{path} 的图题应以文件路径开头"
            assert (REPO / path).is_file()
    for number, pages in by_number(written).items():
        embeds = any(pattern.search(written[name].text) for name in pages)
        assert embeds, f"第 {number} 章没有嵌入任何代码"


def public_functions():
    for path in PACKAGE:
        if path.stem.startswith("_") or "exercises" in path.parts:
            continue  # 内部的帮手；练习的检查由练习自己说明
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
    layers = ["backprop", "autograd", "nn", "optim", "models", "training"]
    rank = {name: n for n, name in enumerate(layers)}
    for path in PACKAGE:
        own = path.relative_to(REPO / "dlbook").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dlbook."):
                other = node.module.split(".")[1]
                if own in rank and other in rank:
                    assert rank[other] <= rank[own], f"{path} 不应导入 {node.module}"


def test_chapters_follow_the_template(written):
    """每一页都有全部的部件；第 8 章的章首页只汇总各页，不另设练习。"""
    for name, chapter in written.items():
        text = chapter.text
        assert "{chapter-facts}" in text, name
        assert "需要先会" in text, name
        index = "{toctree}" in text
        for part in ("小结", "延伸阅读") if index else ("小结", "练习", "常见问题", "延伸阅读"):
            assert f"## {part}\n" in text, f"{name} 缺 {part}"
        checked = len(set(re.findall(r"check\(\"(ex-[\w-]+)\"", text)))
        assert index or checked >= 2, f"{name} 只有 {checked} 道带检查的练习"


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


def test_no_row_of_a_formula_begins_with_a_bracket(written):
    """``\\begin{aligned}`` 与 ``\\\\`` 之后紧跟的方括号，会被当成可选参数，悄悄不见。"""
    lost = re.compile(r"(?:\\begin\{(?:aligned|gathered|align\*?)\}|\\\\)\s*\[(?!\d)")
    assert lost.search("\\begin{aligned}\n[\\mathbf Q] &= 1")
    for name, chapter in written.items():
        assert not lost.search(chapter.text), name


def body_of(node: ast.AST) -> str:
    """函数或类的内容，不计名字与文档字符串。"""
    rest = node.body[1:] if ast.get_docstring(node) else node.body
    return "".join(ast.dump(statement) for statement in rest)


def test_package_code_is_embedded_not_pasted(written):
    """章节里可以写教学用的朴素版，但不得抄一份包里的函数；要展示就用 literalinclude。"""
    bodies = {body_of(node): f"{path}:{node.name}" for path, node in public_functions()}
    for name, chapter in written.items():
        for cell in chapter.cells:
            for node in ast.walk(ast.parse(re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.M))):
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and len(node.body) > 1:
                    assert body_of(node) not in bodies, f"{name}:{cell.line} 抄了 {node.name}"
