"""每章可下载的笔记本：MyST 源文件 → Jupyter 直接能读、能跑的 ``.ipynb``。

:func:`to_notebook` 做转换，不依赖 Sphinx；其余是构建结束时写文件的钩子。
MyST 的指令与角色 Jupyter 不认得，逐一换成普通的 Markdown：

- 公式 → ``$$…\\tag{编号}$$``；提示框与勘误 → 引用块；表 → 题注加表；
- 嵌入的代码 → 题注加代码块，内容从文件里取；
- 练习 → 小标题；提示与解答的文字 → ``<details>``，解答的代码格默认收起；
- ``{expect}`` 去掉；``{eval}`` 换成算出的值；交叉引用换成编号或标题。

新增一种指令时，在 :data:`_DIRECTIVES` 里登记一个函数。
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from pybtex.database import parse_file
from sphinx.application import Sphinx

from bookcheck import deps, directives
from bookcheck.source import number_key, read_notebook

PRIVATE_MIME = "application/vnd.dlbook"
TITLES = {
    "note": "备注",
    "important": "重要",
    "tip": "小技巧",
    "hint": "提示",
    "warning": "警告",
    "caution": "当心",
    "attention": "注意",
    "danger": "危险",
    "error": "错误",
    "seealso": "参见",
}
NOTE = """\
> 这是《深度学习：理论与实践》的一章，由书的源文件生成。
> 要运行它，先装本书的配套代码：在书的仓库根目录运行 `pip install .`；
> 用到 PyTorch、SymPy 的格子还需要 `pip install ".[book]"`。
> 排版完整、可以搜索的版本是 [网页](../{page}.html)。"""

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<mark>`{3,}|:{3,}|~{3,})(?:\{(?P<name>[\w:-]+)\})?(?P<rest>.*)$"
)
_OPTION = re.compile(r"^\s*:(?P<key>[\w-]+):\s*(?P<value>.*)$")
_LABEL = re.compile(r"^\([\w.-]+\)=\s*$")
_HEADING = re.compile(r"^(#{1,6}) (.*)$")
_ROLE = re.compile(r"\{(?P<role>[\w:-]+)\}`(?P<text>[^`]+)`")
_TARGET = re.compile(r"^(?P<title>.*?)\s*<(?P<label>[^<>]+)>$", re.S)
_DOLLAR_LABEL = re.compile(r"^\$\$\s*\((?P<label>[\w.-]+)\)\s*$")


@dataclass
class _State:
    """转换一章时的上下文。``labels`` 把标签对到读者看得懂的文字，``chapter`` 是章号。"""

    folder: Path
    labels: dict[str, str]
    chapter: str = ""
    values: dict[str, str] = field(default_factory=dict)
    counters: list[int] = field(default_factory=lambda: [0] * 6)
    in_solution: bool = False
    solution_shown: bool = False


def to_notebook(
    text: str,
    executed: NotebookNode | None = None,
    *,
    folder: Path = Path("book"),
    labels: dict[str, str] | None = None,
    chapter: str = "",
    page: str = "index",
) -> NotebookNode:
    """一章的 MyST 文本 → 笔记本。

    ``executed`` 是切分相同、填好了输出的笔记本，其文字格的 ``metadata.bookcheck.eval``
    给出 ``{eval}`` 的值；``folder`` 是章文件所在的文件夹，嵌入代码的路径相对于它；
    ``labels`` 给出各标签的编号文字（如 ``{"fig-x": "图 2.1"}``），没有的照写标签；
    ``chapter`` 是章号，给了就替标题编号。
    """
    state = _State(folder, labels or {}, chapter)
    notebook = nbformat.v4.new_notebook()
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    cells = [nbformat.v4.new_markdown_cell(NOTE.format(page=page))]
    for cell in (executed or read_notebook(text)).cells:
        if cell.cell_type == "code":
            cells += _code_cells(cell, state)
        else:
            state.values = cell.metadata.get("bookcheck", {}).get("eval", {})
            source = _markdown(cell.source, state)
            cells += [nbformat.v4.new_markdown_cell(source)] if source else []
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:03d}"
    notebook.cells = cells
    return notebook


def _code_cells(cell: NotebookNode, state: _State) -> Iterator[NotebookNode]:
    """代码格；有图题的，后面跟一个写图题的文字格。"""
    renamed = {"must-raise": "raises-exception"}
    tags = [renamed.get(tag, tag) for tag in cell.metadata.get("tags", [])]
    metadata: dict = {"tags": tags} if tags else {}
    if state.in_solution or "hide-input" in tags:
        metadata["jupyter"] = {"source_hidden": True}
    outputs = [_public(output) for output in cell.get("outputs", [])]
    yield nbformat.v4.new_code_cell(cell.source, metadata=metadata, outputs=outputs)
    figure = cell.metadata.get("mystnb", {}).get("figure", {})
    if figure.get("caption"):
        number = state.labels.get(figure.get("name", ""), "图")
        caption = _inline(str(figure["caption"]).strip(), state)
        yield nbformat.v4.new_markdown_cell(f"**{number}**　{caption}")


def _public(output: dict) -> NotebookNode:
    output = nbformat.from_dict(output)
    if "data" in output:
        for mime in [mime for mime in output.data if mime.startswith(PRIVATE_MIME)]:
            del output.data[mime]
    return output


# ---------------------------------------------------------------- 文字格


def _markdown(source: str, state: _State) -> str:
    """一个文字格。解答可能跨几个格，所以折叠块在每个格里各自开合。"""
    parts: list[str] = []
    buffer: list[str] = []

    def flush() -> None:
        body = "\n".join(_convert(buffer, state)).strip()
        body = re.sub(r"\n{3,}", "\n\n", body)
        buffer.clear()
        if body and state.in_solution:
            summary = "解答（续）" if state.solution_shown else "解答"
            state.solution_shown = True
            body = _details(summary, body)
        if body:
            parts.append(body)

    for block in _blocks(source.splitlines()):
        name = block[1] if isinstance(block, tuple) else ""
        if name in ("solution-start", "solution-end", "solution"):
            flush()
            state.in_solution, state.solution_shown = name != "solution-end", False
        if name in ("solution-start", "solution-end"):
            continue
        buffer.append(block)
        if name == "solution":
            flush()
            state.in_solution = False
    flush()
    return "\n\n".join(parts)


def _blocks(lines: list[str]) -> list[str | tuple]:
    """把行归成块。

    指令成为 ``(缩进, 指令名, 参数, 内文各行)``，普通代码块成为一个多行的串，其余一行一块。
    """
    blocks: list[str | tuple] = []
    position = 0
    while position < len(lines):
        start = position
        position += 1
        opening = _FENCE.match(lines[start])
        if not opening:
            blocks.append(lines[start])
            continue
        while position < len(lines) and not _closes(lines[position], opening["mark"]):
            position += 1
        position += 1
        if opening["name"]:
            indent = opening["indent"]
            body = [line.removeprefix(indent) for line in lines[start + 1 : position - 1]]
            blocks.append((indent, opening["name"], opening["rest"].strip(), body))
        else:
            blocks.append("\n".join(lines[start:position]))
    return blocks


def _closes(line: str, mark: str) -> bool:
    line = line.strip()
    return len(line) >= len(mark) and set(line) == {mark[0]}


def _convert(blocks: list[str | tuple], state: _State) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, tuple):
            indent, name, argument, body = block
            options, body = _options(body)
            make = _DIRECTIVES.get(name, _unwrap)
            text = make(name, argument, options, body, state)
            if text:
                yield "\n" + textwrap.indent(text, indent) + "\n"
        elif _LABEL.match(block):
            continue
        elif heading := _HEADING.match(block):
            yield _numbered(heading, state)
        elif closing := _DOLLAR_LABEL.match(block):
            yield f"{_tag(closing['label'], state)}$$"
        elif "\n" in block:  # 代码块
            yield block
        else:
            yield _inline(block, state)


def _nested(lines: list[str], state: _State) -> str:
    return "\n".join(_convert(_blocks(lines), state)).strip()


def _options(body: list[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    while body and (match := _OPTION.match(body[0])):
        options[match["key"]] = match["value"].strip()
        body = body[1:]
    return options, body


def _numbered(heading: re.Match, state: _State) -> str:
    level, title = len(heading[1]), _inline(heading[2], state)
    if not state.chapter:
        return f"{heading[1]} {title}"
    state.counters[level - 1] += 1
    state.counters[level:] = [0] * (6 - level)
    number = ".".join([state.chapter, *map(str, state.counters[1:level])])
    return f"{heading[1]} {number} {title}"


def _inline(text: str, state: _State) -> str:
    """替换一行里的角色。"""

    def replace(match: re.Match) -> str:
        role, content = match["role"], " ".join(match["text"].split())
        if role in ("eval", "eval-end"):
            return state.values.get(content, content)
        if role == "given":
            return content
        if role.startswith("cite"):
            keys = [key.strip() for key in content.split(",")]
            return "（" + "；".join(state.labels.get(key, key) for key in keys) + "）"
        target = _TARGET.match(content)
        label = target["label"] if target else content
        known = state.labels.get(label, label)
        if not target:
            return known
        return target["title"].replace("%s", known).replace("{number}", known)

    return _ROLE.sub(replace, text)


# ---------------------------------------------------------------- 指令


def _math(_name: str, argument: str, options: dict, body: list[str], state: _State) -> str:
    latex = "\n".join([argument, *body]).strip()
    if r"\\" in latex and r"\begin{" not in latex:
        latex = rf"\begin{{split}}{latex}\end{{split}}"
    label = options.get("label", "")
    return f"$$\n{latex}\n{_tag(label, state) if label else ''}$$"


def _tag(label: str, state: _State) -> str:
    number = state.labels.get(label, "").removeprefix("式 ")
    return rf"\tag{{{number}}}" + "\n" if number else ""


def _admonition(name: str, argument: str, options: dict, body: list[str], state: _State) -> str:
    title = TITLES.get(name) or argument or "说明"
    if name == "erratum":
        title = f"勘误 · {argument}"
    title, content = _inline(title, state), _nested(body, state)
    if "dropdown" in options.get("class", ""):
        return _details(title, content)
    return "\n".join(f"> {line}".rstrip() for line in [f"**{title}**", "", *content.splitlines()])


def _details(summary: str, content: str) -> str:
    # 空行不可少：没有它，Jupyter 不会把里面的当 Markdown。
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"


def _exercise(_name: str, argument: str, options: dict, body: list[str], state: _State) -> str:
    number = state.labels.get(options.get("label", ""), "练习")
    return f"#### {number}　{_inline(argument, state)}\n\n{_nested(body, state)}".strip()


def _include(_name: str, argument: str, options: dict, _body: list[str], state: _State) -> str:
    path = state.folder / argument
    source = path.read_text(encoding="utf-8")
    if wanted := options.get("pyobject"):
        source = python_object(source, wanted)
    elif unknown := {"lines", "start-after", "end-before", "start-at", "end-at"} & set(options):
        raise ValueError(f"笔记本不认得 literalinclude 的选项 {unknown}（{argument}）")
    number = state.labels.get(options.get("name", ""), "代码")
    caption = _inline(options.get("caption", Path(argument).name), state)
    return f"**{number}**　{caption}\n\n```python\n{source.rstrip()}\n```"


def python_object(source: str, name: str) -> str:
    """源码里的一个函数、类或方法（``类.方法``），连同装饰器。"""
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        children = [child for child in ast.iter_child_nodes(node) if isinstance(child, definitions)]
        found = [child for child in children if child.name == part]
        if not found:
            raise ValueError(f"源码里没有 {name}")
        node = found[0]
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    lines = source.splitlines()[first - 1 : node.end_lineno]
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] for line in lines)


def _table(_name: str, argument: str, options: dict, body: list[str], state: _State) -> str:
    number = state.labels.get(options.get("name", ""), "表")
    return f"**{number}**　{_inline(argument, state)}\n\n{_nested(body, state)}"


def _code(_name: str, argument: str, options: dict, body: list[str], state: _State) -> str:
    caption = f"{_inline(options['caption'], state)}\n\n" if "caption" in options else ""
    return f"{caption}```{argument}\n" + "\n".join(body) + "\n```"


def _dropdown(_name: str, argument: str, _options: dict, body: list[str], state: _State) -> str:
    return _details(_inline(argument, state), _nested(body, state))


def _unwrap(_name: str, _argument: str, _options: dict, body: list[str], state: _State) -> str:
    """没有登记的指令：留下内文。"""
    return _nested(body, state)


def _drop(*_: object) -> str:
    return ""


_DIRECTIVES: dict[str, Callable[..., str]] = {
    "math": _math,
    "admonition": _admonition,
    "erratum": _admonition,
    **dict.fromkeys(TITLES, _admonition),
    "exercise-start": _exercise,
    "exercise": _exercise,
    "exercise-end": _drop,
    "literalinclude": _include,
    "table": _table,
    "code-block": _code,
    "code": _code,
    "dropdown": _dropdown,
    "expect": _drop,
    "chapter-facts": _drop,
}


# ---------------------------------------------------------------- Sphinx 一侧


def label_texts(app: Sphinx) -> dict[str, str]:
    """全书各标签给读者看的文字：图 2.1、式 2.3、节标题、文献的作者与年份。"""
    env, formats = app.env, app.config.numfig_format
    sections = env.get_domain("std").labels
    texts = {label: str(title) for label, (_doc, _id, title) in sections.items()}
    for figures in env.toc_fignumbers.values():
        for kind, numbers in figures.items():
            for target, number in numbers.items():
                text = ".".join(map(str, number))
                if kind == "displaymath":
                    texts[target.removeprefix("equation-")] = f"式 {text}"
                else:
                    texts[target] = formats.get(kind, "练习 %s") % text
    for bib in app.config.bibtex_bibfiles:
        for key, entry in parse_file(str(Path(app.confdir, bib))).entries.items():
            texts[key] = _citation(entry)
    return texts


def _citation(entry: object) -> str:
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [" ".join(person.last_names) for person in people]
    author = " 与 ".join(names) if len(names) < 3 else f"{names[0]} 等"
    return f"{author}，{entry.fields.get('year', '')}"


def executed_notebook(text: str, outputs: Callable, values: dict[str, str]) -> NotebookNode:
    """未执行的笔记本填上输出与 ``{eval}`` 的值。``outputs`` 就地填写代码格的输出。"""
    notebook = read_notebook(text)
    outputs(notebook)
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        found = {}
        for match in re.finditer(r"\{eval(?:-end)?\}`([^`]+)`", cell.source):
            found[" ".join(match[1].split())] = values[number_key(match[1], seen)]
        cell.metadata["bookcheck"] = {"eval": found}
    return notebook


def write_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """构建成功后写 ``notebooks/<章>.ipynb``；所依据的一切都没变就跳过。"""

    report = directives._current
    if exception or report is None or app.builder.format != "html":
        return
    labels = label_texts(app)
    package = sorted(Path(app.confdir, "dlbook").rglob("*.py"))
    package = [path.read_text("utf-8") for path in package]
    # 标签要排序：重读过的一页，它的标签会挪到最后。
    shared = deps.digest(str([sorted(labels.items()), app.config.tools_digest, package]))
    for name, run in report.runs.items():
        text = report.chapters[name].text
        path = Path(app.outdir, "notebooks", f"{name}.ipynb")
        made_from = Path(app.doctreedir, f"{name}.notebook")
        key = deps.digest(json.dumps([text, run.digest, shared]))
        if path.exists() and made_from.exists() and made_from.read_text("utf-8") == key:
            continue
        executed = executed_notebook(
            text,
            lambda notebook, name=name: directives.fill_outputs(notebook, report, name),
            directives.numbers_of(report, name),
        )
        number = app.env.toc_secnumbers.get(name, {}).get("", ())
        notebook = to_notebook(
            text, executed, folder=Path(app.srcdir), labels=labels,
            chapter=".".join(map(str, number)), page=name,
        )  # fmt: skip
        path.parent.mkdir(exist_ok=True)
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        made_from.write_text(key, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """登记扩展。"""
    app.connect("build-finished", write_notebooks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
