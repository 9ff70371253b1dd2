"""Sphinx 一侧：构建开始时核对全书，把执行结果交给 MyST-NB，渲染标记与核对总表。

核对不通过，构建在写出任何网页之前停下，一次列出全部不符之处；上一次通过的网页原样保留。
核对通过而 Sphinx 自己有警告（如断了的引用），构建也以非零退出，并且删去环境缓存，
下一次构建会重读全书、重报警告——MyST-NB 配 ``-W`` 的做法是第二次构建就悄悄变绿。
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError, SphinxError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective, SphinxRole

from bookcheck import deps
from bookcheck.checks import Claim, Report, check_book, output_label, versions
from bookcheck.recording import absence, load_recording
from bookcheck.source import (
    MYST_EXTENSIONS,
    chapter_number,
    eval_parts,
    number_key,
    read_notebook,
)

TABLE_PAGE = "checks"
_ERRATUM = re.compile(r"^(`{3,})\{erratum\}.*?^\1\s*$", re.M | re.S)
MARKS = {
    "exact": ("精确", "与期望逐字相等"),
    "tol": ("容差", "浮点数与期望之差在容差之内"),
    "range": ("区间", "数值落在声明的区间内"),
    "volatile": ("不定", "每次运行都可能不同，不作比较"),
    "recorded": ("录制", "另外运行时录下的结果"),
    "stale": ("过期", "录制之后代码改过，应当重录"),
    "absent": ("未录", "还没有录制"),
    "verified": ("✓", "有核对函数，本次构建已通过"),
    "definition": ("定义", "记号或定义，无须核对"),
}
KINDS = {
    "output": "打印的输出",
    "figure": "图",
    "equation": "公式",
    "definition": "定义",
    "number": "正文里的数",
    "exercise": "练习",
}


class CheckFailed(SphinxError):
    """书里有说法与实际不符。"""

    category = "核对未通过"


# 读入文档时用；构建开始时设定。
_current: Report | None = None


def run_checks(app: Sphinx) -> None:
    """构建一开始：核对全书。"""
    global _current
    if app.builder.format != "html":
        raise ExtensionError("本书只支持 HTML 类的构建器")
    root = Path(app.confdir)
    print("核对全书……", flush=True)
    report = check_book(root, Path(app.srcdir))
    executed = "、".join(report.executed) or "无"
    print(f"{len(report.claims)} 项说法；重新执行的章：{executed}", flush=True)
    if report.problems:
        listing = "\n".join(problem.render(root) for problem in report.problems)
        count = len(report.problems)
        advice = f"共 {count} 处不符，网页没有更新。确认新结果正确后，用 make bless 接受。"
        raise CheckFailed(f"\n{listing}\n{advice}")
    _current = report


def read_executed(text: str) -> nbformat.NotebookNode:
    """MyST-NB 的自定义读入函数：填上执行结果的笔记本。"""
    notebook = read_notebook(text)
    chapter = next(c for c in _current.chapters.values() if c.text.rstrip() == text.rstrip())
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    fill_outputs(notebook, _current, chapter.name)
    return notebook


def fill_outputs(notebook: nbformat.NotebookNode, report: Report, name: str) -> None:
    """把执行结果填进（未执行的）笔记本，就地修改。"""
    run = report.runs.get(name)
    chapter = report.chapters[name]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, parsed, outputs in zip(code, chapter.cells, run.outputs if run else [], strict=True):
        if parsed.skipped:
            recording = load_recording(chapter, parsed)
            outputs = recording.outputs if recording else []
        cell.outputs = [nbformat.from_dict(_public(output)) for output in outputs]
        if parsed.expect and "volatile" in parsed.expect.options:
            # 网页上成为 class="tag_volatile"：比较两次构建时略过这些输出。
            cell.metadata["tags"] = [*parsed.tags, "volatile"]


def numbers_of(report: Report, name: str) -> dict[str, str]:
    """一章里每个 ``{eval}`` 的键与求得的文字。"""
    run = report.runs.get(name)
    return {key: value["text"] for key, value in run.numbers.items()} if run else {}


def _public(output: dict) -> dict:
    public = copy.deepcopy(output)
    if "data" in public:
        public["data"] = {
            mime: data for mime, data in public["data"].items()
            if not mime.startswith("application/vnd.dlbook")
        }  # fmt: skip
    return public


# ---------------------------------------------------------------- 哪些页要重读


def outdated(app: Sphinx, env: BuildEnvironment, *_: object) -> list[str]:
    """执行结果变了的章、以及汇总全书的页，要重读。"""
    known = getattr(env, "bookcheck_digests", {})
    env.bookcheck_digests = digests = _digests(app)
    changed = [name for name in digests if known.get(name) != digests[name]]
    return [name for name in changed if name in env.found_docs]


def _digests(app: Sphinx) -> dict[str, str]:
    digests = {}
    for name, run in _current.runs.items():
        marks = [(c.kind, c.label, c.comparator, c.detail) for c in _current.of(name)]
        seconds = round(sum(run.seconds), 1)
        path = _current.chapters[name].path.relative_to(app.srcdir).with_suffix("")
        digests[path.as_posix()] = deps.digest(f"{run.digest} {marks} {seconds}")
    # 总表不写行号：只挪动了几行的说法不必重写这张大表。
    shown = [replace(claim, line=0) for claim in _current.claims]
    everything = deps.digest(str(digests) + str(shown))
    texts = deps.digest(
        "".join(m[0] for c in _current.chapters.values() for m in _ERRATUM.finditer(c.text))
    )
    return digests | {TABLE_PAGE: everything, "errata": texts}


def stay_red(app: Sphinx, exception: Exception | None) -> None:
    """有警告就算失败，并删去环境缓存，使下一次构建重新报告。"""
    if exception is None and not app._warncount:
        return
    Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)
    app.statuscode = app.statuscode or 1


# ---------------------------------------------------------------- 标记


class mark(nodes.General, nodes.Inline, nodes.Element):
    """一个小标记，链接到核对总表的对应行。"""


def mark_for(claim: Claim) -> mark:
    """一项说法的标记。"""
    return mark(comparator=claim.comparator, anchor=_anchor(claim), detail=claim.detail)


def _anchor(claim: Claim) -> str:
    return nodes.make_id("check") + "-" + deps.digest(claim.anchor)[:10]


def visit_mark(self: object, node: mark) -> None:
    text, meaning = MARKS[node["comparator"]]
    uri = self.builder.get_relative_uri(self.builder.current_docname, TABLE_PAGE)
    title = meaning
    if node["comparator"] == "volatile":
        title = f"每次运行都可能不同：{node['detail']}"
    elif node["comparator"] == "absent":
        title = node["detail"]
    self.body.append(
        self.starttag(
            node, "a", "", CLASS=f"mark mark-{node['comparator']}",
            href=f"{uri}#{node['anchor']}", title=title,
            **({"aria-label": f"{meaning}，查看核对记录"} if text == "✓" else {}),
        )
        + f"{text}</a>"
    )  # fmt: skip
    raise nodes.SkipNode


def _mark_line(claim: Claim) -> nodes.container:
    return nodes.container("", mark_for(claim), classes=["mark-line"])


def add_marks(app: Sphinx, doctree: nodes.document) -> None:
    """读完一页后：图题与公式后面加上标记。"""
    name = Path(app.env.docname).name
    for figure in list(doctree.findall(nodes.figure)):
        for label in figure["names"]:
            caption = next(iter(figure.findall(nodes.caption)), None)
            if caption is not None and (claim := _current.find(name, label)):
                caption += [nodes.Text(" "), mark_for(claim)]
    for block in list(doctree.findall(nodes.math_block)):
        claim = _current.find(name, block.get("label") or "")
        if claim:
            block.parent.insert(block.parent.index(block) + 1, _mark_line(claim))


# ---------------------------------------------------------------- 指令与角色


def _chapter_name(directive: SphinxDirective | SphinxRole) -> str:
    return Path(directive.env.docname).name


class ExpectDirective(SphinxDirective):
    """``{expect}``：期望本身不显示（显示的是真实输出），只留下标记。"""

    has_content = True
    option_spec: ClassVar[dict] = {
        key: directives.unchanged
        for key in ("name", "rtol", "atol", "volatile", "recorded", "where")
    }

    def run(self) -> list[nodes.Node]:
        name = _chapter_name(self)
        counter = self.env.temp_data.get("bookcheck_expect", 0)
        self.env.temp_data["bookcheck_expect"] = counter + 1
        cells = [cell for cell in _current.chapters[name].cells if cell.expect]
        cell = cells[counter]
        claim = _current.find(name, output_label(cell))
        if claim is None:  # 只声明图里的数不定：标记在图题后面
            return []
        line = _mark_line(claim)
        if cell.skipped:
            shown = absence(cell) if claim.comparator == "absent" else claim.detail
            line.insert(0, nodes.inline("", shown + " ", classes=["provenance"]))
        if "name" in self.options:
            self.add_name(line)
        return [line]


class EvalRole(SphinxRole):
    """``{eval}``、``{eval-end}``：由代码算出的数。"""

    def run(self) -> tuple[list[nodes.Node], list]:
        name = _chapter_name(self)
        seen = self.env.temp_data.setdefault("bookcheck_numbers", Counter())
        value = numbers_of(_current, name)[number_key(self.text, seen)]
        _, comparator = eval_parts(self.text)
        classes = ["eval", "volatile"] if comparator == "volatile" else ["eval"]
        return [nodes.inline("", value, classes=classes)], []


class GivenRole(SphinxRole):
    """``{given}``：给定的数，不是算出来的。"""

    def run(self) -> tuple[list[nodes.Node], list]:
        return [nodes.Text(self.text)], []


class ErratumDirective(SphinxDirective):
    """``{erratum}``：勘误，并收进勘误表。"""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[dict] = {
        "name": directives.unchanged_required,
        "where": directives.unchanged_required,
        "check": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        for option in self.option_spec:
            if option not in self.options:
                raise self.error(f"erratum 缺少 :{option}:")
        check, claim = self.options["check"], None
        if check != "editorial":
            claim = _current.find(_chapter_name(self), check)
            if claim is None:
                raise self.error(f"erratum 的 :check: 所指 {check} 不是本章的一项说法")
        box = nodes.admonition(classes=["erratum"])
        title, _ = self.parse_inline(self.arguments[0])
        where, _ = self.parse_inline(self.options["where"])
        box += nodes.title("", "勘误 · ", *title)
        box += self.parse_content_to_nodes()
        if claim:
            box[-1] += [nodes.Text(" "), mark_for(claim)]
        self.add_name(box)
        records = self.env.__dict__.setdefault("bookcheck_errata", {})
        records.setdefault(self.env.docname, []).append((where, title, box["ids"][0], claim))
        return [box]


class ErrataList(SphinxDirective):
    """``{errata-list}``：各章的勘误；给出文件名的开头（如 ``07``），就只列那一章的。

    内容在全部页面读完之后才定。
    """

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        return [errata_list(chapter=self.arguments[0] if self.arguments else "")]


class errata_list(nodes.General, nodes.Element):
    """勘误表的占位。"""


class FillErrata(SphinxPostTransform):
    """把各章的勘误抄进勘误表：标题链接到正文，接着是源文位置、核对与勘误的全文。"""

    default_priority = 5  # 先于交叉引用的解析（10），抄来的引用才会在这一页上解析

    def run(self, **_: object) -> None:
        for place in list(self.document.findall(errata_list)):
            errata = getattr(self.env, "bookcheck_errata", {})
            found = [s for s in errata if Path(s).name.startswith(place["chapter"])]
            chosen = [(s, errata[s]) for s in sorted(found, key=reading_order)]
            if place["chapter"] and not chosen:
                raise ExtensionError(f"errata-list：{place['chapter']} 没有勘误")
            place.replace_self(
                [e for source, records in chosen for e in self._list(source, records)]
            )

    def _list(self, source: str, records: list[tuple]) -> list[nodes.Node]:
        doctree = self.env.get_doctree(source)
        boxes = {
            box["ids"][0]: box
            for box in doctree.findall(nodes.admonition) if "erratum" in box["classes"]
        }  # fmt: skip
        entries = []
        for where, title, target, claim in records:
            uri = self.app.builder.get_relative_uri(self.env.docname, source) + f"#{target}"
            head = nodes.paragraph(classes=["errata-head"])
            copied = [node.deepcopy() for node in title]
            head += nodes.reference("", "", *copied, internal=True, refuri=uri)
            copied = [node.deepcopy() for node in where]
            head += [nodes.Text("　"), nodes.inline("", "", *copied, classes=["errata-where"])]
            head += [
                nodes.Text("　"),
                mark_for(claim) if claim else nodes.inline("", "文字", classes=["mark"]),
            ]
            body = [self._copied(node) for node in boxes[target].children[1:]]
            entries.append(nodes.container("", head, *body, classes=["errata-entry"]))
        return entries

    def _copied(self, node: nodes.Node) -> nodes.Node:
        copied = node.deepcopy()
        for inner in list(copied.findall(mark)):  # 核对的标记已经写在标题后面
            inner.parent.remove(inner)
        for inner in copied.findall(nodes.Element):
            inner["ids"] = []
            if isinstance(inner, addnodes.pending_xref):
                inner["refdoc"] = self.env.docname
        return copied


class ChapterFacts(SphinxDirective):
    """``{chapter-facts}``：本章实测用时、核对项数、可下载的笔记本。"""

    def run(self) -> list[nodes.Node]:
        name = _chapter_name(self)
        run, claims = _current.runs[name], _current.of(name)
        seconds = nodes.inline("", f"{sum(run.seconds):.1f}", classes=["volatile"])
        line = nodes.paragraph()
        line += [nodes.Text("本章全部代码在这次构建的机器上（单线程）实测运行 "), seconds]
        line += nodes.Text(f" 秒；{len(claims)} 项说法经过核对。下载")
        link = f'<a class="download-notebook" href="notebooks/{name}.ipynb" download>本章笔记本</a>'
        line += nodes.raw("", link, format="html")
        line += nodes.Text("，装好 dlbook 就能原样运行。")
        return [nodes.container("", line, classes=["chapter-facts"])]


def reading_order(name: str) -> tuple:
    """排序的键：文件名开头的数按大小比，第 8 章之后是 8.1 … 8.9、8.10；没有数的排在最后。"""
    numbers = [int(n) for n in chapter_number(name).split("_") if n]
    return not numbers, numbers, name


class ChecksTable(SphinxDirective):
    """``{checks-table}``：核对总表。"""

    def run(self) -> list[nodes.Node]:
        result = [self._environment()]
        for name in sorted(_current.chapters, key=reading_order):
            claims = _current.of(name)
            if not claims:
                continue
            section = nodes.section(ids=[f"checks-{name.replace('_', '-')}"])
            section += nodes.title("", self._title(name))
            section += self._table(name, claims)
            result.append(section)
        return result

    def _title(self, name: str) -> str:
        lines = _current.chapters[name].text.splitlines()
        return next(line.removeprefix("# ") for line in lines if line.startswith("# "))

    def _environment(self) -> nodes.Node:
        text = "，".join(f"{key} {value}" for key, value in versions().items())
        total = sum(sum(run.seconds) for run in _current.runs.values())
        line = nodes.paragraph(
            "", f"全书 {len(_current.claims)} 项说法，全部通过。环境：{text}。执行用时合计 "
        )
        line += [nodes.inline("", f"{total:.1f}", classes=["volatile"]), nodes.Text(" 秒。")]
        return line

    def _table(self, name: str, claims: list[Claim]) -> nodes.Node:
        group = nodes.tgroup(cols=5)
        for width in (14, 24, 10, 42, 10):
            group += nodes.colspec(colwidth=width)
        head = [nodes.Text(t) for t in ("类别", "标签", "核对", "怎样核对", "秒")]
        group += nodes.thead("", _row(head))
        group += nodes.tbody("", *(self._claim_row(name, claim) for claim in claims))
        return nodes.table("", group, classes=["checks-table"])

    def _claim_row(self, name: str, claim: Claim) -> nodes.row:
        text, meaning = MARKS[claim.comparator]
        label: nodes.Node = nodes.literal("", claim.label)
        if claim.kind in ("figure", "equation", "definition", "exercise"):
            label = nodes.reference(
                "", "", label, internal=True, refuri=f"{name}.html#{_id(claim)}"
            )
        # 不定的说法把当时的值写在这里，与正文里的值一样标明，比较两次构建时略过。
        classes = ["volatile"] if claim.comparator == "volatile" else []
        how: list[nodes.Node] = [nodes.inline("", claim.detail or meaning, classes=classes)]
        if claim.code:
            block = nodes.literal_block(claim.code, claim.code, language="python")
            how.append(collapsed("核对函数", block))
        seconds = nodes.inline("", f"{claim.seconds:.2f}", classes=["volatile"])
        row = _row([nodes.Text(KINDS[claim.kind]), label, nodes.Text(text), how, seconds])
        row["ids"].append(_anchor(claim))
        return row


def _id(claim: Claim) -> str:
    prefix = "equation-" if claim.kind in ("equation", "definition") else ""
    return prefix + nodes.make_id(claim.label)


def _row(cells: list) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        content = cell if isinstance(cell, list) else [cell]
        inline = [n for n in content if not isinstance(n, nodes.container)]
        blocks = [n for n in content if isinstance(n, nodes.container)]
        row += nodes.entry("", nodes.paragraph("", "", *inline), *blocks)
    return row


def collapsed(summary: str, content: nodes.Node) -> nodes.container:
    """一个默认折叠的 ``<details>``。"""
    opening = nodes.raw("", f"<details><summary>{summary}</summary>", format="html")
    closing = nodes.raw("", "</details>", format="html")
    return nodes.container("", opening, content, closing)


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    getattr(env, "bookcheck_errata", {}).pop(docname, None)


def setup(app: Sphinx) -> dict:
    """登记扩展。"""
    app.setup_extension("myst_nb")
    app.config.nb_execution_mode = "off"
    app.config.nb_custom_formats = {".md": ["bookcheck.directives.read_executed", {}, False]}
    app.config.myst_enable_extensions = MYST_EXTENSIONS
    app.add_node(mark, html=(visit_mark, None))
    app.add_node(errata_list)
    app.add_directive("expect", ExpectDirective)
    app.add_directive("erratum", ErratumDirective)
    app.add_directive("errata-list", ErrataList)
    app.add_post_transform(FillErrata)
    app.add_directive("chapter-facts", ChapterFacts)
    app.add_directive("checks-table", ChecksTable)
    app.add_role("eval", EvalRole(), override=True)  # 取代 MyST-NB 的同名角色
    app.add_role("eval-end", EvalRole())
    app.add_role("given", GivenRole())
    app.connect("builder-inited", run_checks)
    app.connect("env-get-outdated", outdated)
    app.connect("env-purge-doc", purge)
    app.connect("doctree-read", add_marks)
    app.connect("build-finished", stay_red)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
