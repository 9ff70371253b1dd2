"""离线的中文搜索：构建时把全书文字写成一个脚本，由 ``_static/search.js`` 在浏览器里逐字匹配。

Sphinx 自带的搜索按词索引，中文的任意子串搜不到，所以关掉。全书文字不大，整个放进
``_static/search_text.js`` 即可；它是普通脚本，``file://`` 下也能加载，打开搜索时才读入。

文件里是按书的次序排的节，每节一个对象：

====  ==========================================================================
``u``   页面与锚点，如 ``02_linear_regression.html#sec-toy``
``n``   节号，如 ``2.1``；没有编号则为空串
``t``   节标题
``p``   上级标题的列表，从章到父节
``w``   权重：正文章 1，附录 0.5，还没写成的章接近 0（总排在最后）
``k``   本节里加粗的词（多半是术语第一次出现）与定义列表的词条
``b``   文字块的列表，每块 ``[类别, 文字]`` 或 ``[类别, 文字, 锚点]``
====  ==========================================================================

块的类别：``p`` 正文，``f`` 图题与替代文字，``m`` 公式，``c`` 代码，``o`` 输出。
公式都写成普通文字（:mod:`bookcheck.plain`）。
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from html import unescape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from bookcheck.plain import plain_math
from bookcheck.site import is_unwritten

FILE = "search_text.js"
_SPACES = re.compile(r"[ \t]*\n[ \t]*|[ \t]+")
_SENTENCE = re.compile("[，。；：？！](?![^（]*）)")  # 括号里的不算
_TAGS = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.S)


def extract(app: Sphinx, doctree: nodes.document, docname: str) -> list[dict]:
    """一页的各节，按出现次序。"""
    weight = 1 if app.env.toc_secnumbers.get(docname) else 0.5
    page = Page(app, docname, 0.005 if is_unwritten(app, docname) else weight)
    page.walk(doctree)
    return page.entries


class Page:
    """走一遍文档树，把文字归到所在的节。"""

    def __init__(self, app: Sphinx, docname: str, weight: float) -> None:
        self.uri = app.builder.get_target_uri(docname)
        self.numbers = app.env.toc_secnumbers.get(docname, {})
        self.figures = app.env.toc_fignumbers.get(docname, {})
        self.formats = app.config.numfig_format
        self.weight = weight
        self.entries: list[dict] = []
        self.titles: list[str] = []

    def walk(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.section) and isinstance(node[0], nodes.title):
            self._section(node)
        elif isinstance(node, nodes.row):
            self._row(node)
        elif isinstance(node, nodes.raw):
            self._raw(node)
        elif isinstance(node, nodes.TextElement) and not isinstance(node, nodes.Inline):
            self._block(node)
        elif not isinstance(node, nodes.Invisible) and not _is_volatile_output(node):
            for child in node.children:
                self.walk(child)

    def _section(self, node: nodes.section) -> None:
        title = node[0]
        anchor = section_anchor(node)
        first = not self.entries
        key = "" if first else f"#{node['ids'][0]}"
        number = ".".join(map(str, self.numbers.get(key, ())))
        self.entries.append(
            {
                "u": self.uri if first else f"{self.uri}#{anchor}",
                "n": number,
                "t": text_of(title),
                "p": list(self.titles),
                "w": self.weight,
                "k": [],
                "b": [],
            }
        )
        self.titles.append(f"{number} {text_of(title)}".strip())
        for child in node.children[1:]:
            self.walk(child)
        self.titles.pop()

    def _row(self, node: nodes.row) -> None:
        """表格的一行是一块；格子里折叠的代码（核对总表里有）另算。"""
        copy = node.deepcopy()
        blocks = list(copy.findall(nodes.literal_block))
        for block in blocks:
            block.parent.remove(block)
        self._add("p", "　".join(text_of(entry) for entry in copy.children), node)
        for block in blocks:
            self._add("c", block.astext(), node)

    def _raw(self, node: nodes.raw) -> None:
        """内联的图只取替代文字；表格一类的 HTML 输出去掉标记。"""
        if "alt" in node:
            self._add("f", node["alt"], node)
        elif node.get("format") == "html":
            self._add("o", unescape(_TAGS.sub(" ", node.astext())), node)

    def _block(self, node: nodes.TextElement) -> None:
        kind, text = "p", text_of(node)
        if isinstance(node, nodes.math_block):
            kind = "m"
        elif isinstance(node, nodes.literal_block):
            kind = "o" if "output" in node["classes"] else "c"
        elif isinstance(node, nodes.caption):
            kind, text = "f", self._numbered(node)
        self._add(kind, text, node)
        if self.entries:
            terms = [node] if isinstance(node, nodes.term) else node.findall(nodes.strong)
            words = [text_of(term) for term in terms]
            # 加粗的整句是强调或提问，不是术语。
            self.entries[-1]["k"] += [word for word in words if not _SENTENCE.search(word)]

    def _numbered(self, caption: nodes.caption) -> str:
        """图题前补上编号，如“图 2.1　玩具数据集”。"""
        for kind, numbers in self.figures.items():
            for label in caption.parent["ids"]:
                if number := numbers.get(label):
                    return self.formats[kind] % ".".join(map(str, number)) + "　" + text_of(caption)
        return text_of(caption)

    def _add(self, kind: str, text: str, node: nodes.Element) -> None:
        # NFC：组合字符先合成，浏览器里逐字折叠时才不会拆散。
        text = unicodedata.normalize("NFC", _SPACES.sub(" ", text).strip())
        if not text or not self.entries:
            return
        ids = node["ids"] or (node.parent["ids"] if isinstance(node, nodes.caption) else [])
        self.entries[-1]["b"].append([kind, text, ids[0]] if ids else [kind, text])


def text_of(node: nodes.Element) -> str:
    """节点的文字：公式写成普通文字；略去夹着的 HTML，以及每次构建都不同的部分（用时之类）。"""
    if isinstance(node, nodes.math_block):
        return plain_math(node.astext())
    copy = node.deepcopy()
    for formula in list(copy.findall(nodes.math)):
        formula.replace_self(nodes.Text(plain_math(formula.astext())))
    for inner in list(copy.findall(nodes.Inline)):
        if isinstance(inner, nodes.raw) or "volatile" in inner["classes"]:
            inner.parent.remove(inner)
    return copy.astext()


def _is_volatile_output(node: nodes.Node) -> bool:
    """声明为“不定”的代码格的输出。"""
    parent = node.parent
    return (
        isinstance(node, nodes.container)
        and "cell_output" in node["classes"]
        and "tag_volatile" in parent["classes"]
    )


def section_anchor(node: nodes.section) -> str:
    """节的锚点：优先用作者写的标签（``sec-…``、``chap-…``），它不随标题改变。"""
    ids = node["ids"]
    return next((i for i in ids if i.startswith(("sec-", "chap-"))), ids[0])


# ---------------------------------------------------------------- Sphinx 事件


def disable_builtin(app: Sphinx) -> None:
    """关掉 Sphinx 自带的搜索索引与搜索页。"""
    app.builder.search = False


def search_page(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """我们自己的搜索页。"""
    yield "search", {}, "search.html"


def _saved(app: Sphinx, docname: str) -> Path:
    return Path(app.doctreedir, f"{docname}.search.json")


def collect(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """写一页时存下它的文字；没有重写的页沿用上次的。"""
    path = _saved(app, docname)
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = extract(app, doctree, docname)
    path.write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")


def write(app: Sphinx, exception: Exception | None) -> None:
    """把各页的文字合成一个脚本。"""
    if exception or app.builder.format != "html":
        return
    entries = []
    for docname in sorted(app.env.found_docs):
        if not _saved(app, docname).exists():
            app.env.get_and_resolve_doctree(docname, app.builder)  # 触发 collect
        entries += json.loads(_saved(app, docname).read_text(encoding="utf-8"))
    lines = ",\n".join(json.dumps(e, ensure_ascii=False, separators=(",", ":")) for e in entries)
    script = f"window.bookText = [\n{lines}\n];\n"
    path = Path(app.outdir, "_static", FILE)
    if not path.exists() or path.read_text(encoding="utf-8") != script:
        path.write_text(script, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """登记扩展。"""
    app.connect("builder-inited", disable_builtin)
    app.connect("html-collect-pages", search_page)
    app.connect("doctree-resolved", collect, priority=900)
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
