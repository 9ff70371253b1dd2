"""不用浏览器就能查的：链接都通、不引外部文件、笔记本完整可运行。"""

import copy
import os
import re
from collections import Counter
from html.parser import HTMLParser
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bookcheck import deps
from nbclient import NotebookClient

REPO = Path(__file__).parents[2]
# 从头运行一遍的笔记本；其余的代码格与这两章一样，构建时都执行过。
RUN = ["02_linear_regression", "03_mnist"]
# 让浏览器去取文件的属性；<a href> 只在读者点击时才走，可以指向外网。
LOADING = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("use", "href")}


class Links(HTMLParser):
    """收集一页的 id 与链接。"""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = Counter(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids[value] += 1
            if name in ("href", "src", "action") and value:
                self.links.append((tag, name, value))


@pytest.fixture(scope="module")
def parsed(html):
    return {path.name: Links(path.read_text(encoding="utf-8")) for path in html.glob("*.html")}


def test_internal_links_and_anchors_exist(html, parsed):
    broken = []
    for page, found in parsed.items():
        for _, _, link in found.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            name, anchor = unquote(parts.path) or page, unquote(parts.fragment)
            if not (html / name).exists():
                broken.append(f"{page} → {link}")
            elif anchor and name in parsed and not parsed[name].ids[anchor]:
                broken.append(f"{page} → {link}（没有这个锚点）")
    assert sorted(set(broken)) == []


def test_no_page_loads_anything_from_outside(parsed):
    outside = [
        f"{page}: {link}"
        for page, found in parsed.items()
        for tag, name, link in found.links
        if (tag, name) in LOADING and re.match(r"(https?:)?//", link)
    ]
    assert outside == []


def test_style_sheets_load_nothing_from_outside(html):
    loads = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^)'\"]+)")
    outside = [
        f"{path.name}: {match}"
        for path in html.rglob("*.css")
        for match in loads.findall(path.read_text(encoding="utf-8"))
    ]
    assert outside == []


def test_theme_offers_no_second_download(parsed):
    for page, found in parsed.items():
        assert not [link for _, _, link in found.links if link.startswith("_sources/")], page


@pytest.fixture(scope="module")
def notebooks(html):
    """每一章的笔记本。"""
    return {
        path.stem: nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        for path in sorted((html / "notebooks").glob("*.ipynb"))
    }


def test_each_executed_page_links_to_its_notebook(parsed, notebooks):
    executed = {
        p.stem for p in (REPO / "book").glob("*.md") if "{code-cell}" in p.read_text("utf-8")
    }
    assert set(notebooks) == executed
    for name in notebooks:
        links = [link for _, _, link in parsed[f"{name}.html"].links]
        assert links.count(f"notebooks/{name}.ipynb") == 1


def test_notebooks_are_valid_and_plain_markdown(notebooks):
    for name, notebook in notebooks.items():
        nbformat.validate(notebook)
        ids = [cell.id for cell in notebook.cells]
        assert len(ids) == len(set(ids))
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                outside_code = re.sub(r"^```.*?^```", "", cell.source, flags=re.M | re.S)
                pattern = r"\{[\w:-]+\}`|^[`:]{3,}\{|^\([\w-]+\)=$"
                leftovers = re.findall(pattern, outside_code, re.M)
                assert leftovers == [], f"{name}：{cell.source[:300]}"
                assert "{expect}" not in cell.source, name
            for output in cell.get("outputs", []):
                mimes = output.get("data", {})
                assert not [mime for mime in mimes if mime.startswith("application/vnd.dlbook")]


def test_notebooks_carry_outputs_and_numbers(notebooks):
    for name, notebook in notebooks.items():
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert any(cell.outputs for cell in code), name
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        assert re.search(r"图 \d+\.\d+", text), name
        assert "pip install ." in notebook.cells[0].source


def printed(cell):
    streams = [output for output in cell.outputs if output.output_type == "stream"]
    return "".join(output.text for output in streams if output.name == "stdout")


def fingerprint(notebook):
    """代码格、配套代码与依赖版本的摘要：都没变，就不必再跑一遍。"""
    package = sorted((REPO / "dlbook").rglob("*.py"))
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    installed = sorted(f"{d.name} {d.version}" for d in distributions())
    return deps.digest(str([code, installed, [deps.digest_file(path, REPO) for path in package]]))


@pytest.mark.parametrize("chapter", RUN)
def test_notebook_runs_from_top_to_bottom(chapter, notebooks, html, tmp_path):
    """像读者那样运行：不在仓库里，也没有核对工具；每格打印的行数与书上相同。"""
    notebook = notebooks[chapter]
    passed = html.parent / "notebook_runs" / fingerprint(notebook)
    if passed.exists():
        return
    rerun = copy.deepcopy(notebook)
    client = NotebookClient(rerun, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"))
    for before, after in zip(notebook.cells, rerun.cells, strict=True):
        if before.cell_type == "code":
            lines = [len(printed(cell).splitlines()) for cell in (before, after)]
            assert lines[0] == lines[1], before.source
    passed.parent.mkdir(exist_ok=True)
    passed.touch()
