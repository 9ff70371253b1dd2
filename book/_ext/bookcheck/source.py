"""读一章的源文件：代码格、紧跟其后的期望、正文里的数、带标签的公式、所有标签。

只做文本分析，不执行，也不依赖 Sphinx，所以命令行、测试与网页构建看到的是同一份结果。
"""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig

from bookcheck import deps

MYST_EXTENSIONS = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
_FENCE = re.compile(r"^(?P<mark>`{3,}|:{3,})\{expect\}\s*$")
_OPTION = re.compile(r"^:(?P<key>[a-z]+):\s*(?P<value>.*)$")
_ROLE = re.compile(r"\{(eval|eval-end)\}`([^`]+)`")
# 列表、引用里的公式有缩进，同样算数。
_MATH = re.compile(
    r"^[ \t>]*(`{3,}|:{3,})\{math\}[^\n]*\n(?P<body>.*?)^[ \t>]*\1[ \t]*$", re.M | re.S
)
_DOLLAR = re.compile(
    r"^[ \t>]*\$\$(?P<body>(?:(?!\$\$).)*)\$\$[ \t]*\((?P<label>[\w-]+)\)", re.M | re.S
)
_LABELS = [
    re.compile(r"^\((?P<label>[\w.-]+)\)=\s*$", re.M),
    re.compile(r"^\s*:(?:name|label):\s*(?P<label>[\w.-]+)\s*$", re.M),
    re.compile(r"^\s*name:\s*(?P<label>[\w.-]+)\s*$", re.M),
    re.compile(r"\$\$[ \t]*\((?P<label>[\w.-]+)\)[ \t]*$", re.M),
]


@cache
def _cuda() -> bool:
    """这里的 PyTorch 能不能用 CUDA。没有驱动的机器不必导入 PyTorch，那要几秒。"""
    if not shutil.which("nvidia-smi"):
        return False
    import torch

    return torch.cuda.is_available()


def _never() -> bool:
    return False


# ``{expect}`` 的 ``:where:`` 可以写什么，以及这台机器有没有。
HARDWARE: dict[str, Callable[[], bool]] = {"cuda": _cuda}


@dataclass
class Expect:
    """一个 ``{expect}`` 块。``start``、``stop`` 是它在源文件里的行号区间（从 0 起，左闭右开）。"""

    body: list[str]
    options: dict[str, str]
    start: int
    stop: int
    mark: str = "```"

    def render(self, body: list[str]) -> list[str]:
        """换上新的正文，写回源文件用。"""
        options = [f":{key}: {value}" for key, value in self.options.items()]
        return [f"{self.mark}{{expect}}", *options, *body, self.mark]


@dataclass
class Cell:
    """一个代码格。``line`` 是其起始行（从 1 起），``end`` 是结束栏之后的行（从 0 起）。"""

    index: int
    source: str
    metadata: dict
    line: int
    end: int
    expect: Expect | None = None
    evals: list[EvalRole] = field(default_factory=list)

    @property
    def tags(self) -> list[str]:
        return list(self.metadata.get("tags", []))

    @property
    def must_raise(self) -> bool:
        return "must-raise" in self.tags

    @property
    def recording(self) -> str:
        """录制的名字；没有录制的代码格为空串。"""
        return self.expect.options.get("recorded", "") if self.expect else ""

    @property
    def where(self) -> str:
        """有什么硬件就当场执行（``HARDWARE`` 里的名字）；空串是从不当场执行录制的格。"""
        return self.expect.options.get("where", "") if self.expect else ""

    @property
    def skipped(self) -> bool:
        """构建时不执行、显示录制：有录制，而且这台机器没有它要的硬件。"""
        return bool(self.recording) and not HARDWARE.get(self.where, _never)()

    @property
    def figure(self) -> dict:
        """图的名字、图题与替代文字；缺的为空串。"""
        options = self.metadata.get("mystnb", {})
        figure, image = options.get("figure", {}), options.get("image", {})
        return {
            "name": figure.get("name", ""),
            "caption": str(figure.get("caption", "")),
            "alt": str(image.get("alt", "")),
        }


@dataclass
class EvalRole:
    """正文里的一个数：``{eval}`` 的内容。``key`` 在一章内唯一，与怎样核对无关。"""

    text: str
    final: bool
    line: int
    key: str

    @property
    def expression(self) -> str:
        return eval_parts(self.text)[0]

    @property
    def comparator(self) -> str:
        return eval_parts(self.text)[1]

    @property
    def label(self) -> str:
        """这项说法的名字：表达式，连同怎样核对。"""
        return f"{self.key}; {self.comparator}" if self.comparator else self.key


@dataclass
class Equation:
    """一个带标签的公式；``latex`` 的空白已压成单个空格，便于比较。"""

    label: str
    latex: str
    line: int


@dataclass
class Chapter:
    """一章（一个 ``.md`` 文件）。``after``：执行前要先执行完的章，它的训练成果这一章要用。"""

    path: Path
    text: str
    cells: list[Cell]
    equations: list[Equation]
    evals: list[EvalRole]
    orphans: list[int]
    after: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def labels(self) -> dict[str, int]:
        """全部标签与所在行。"""
        return {
            match["label"]: self.text.count("\n", 0, match.start("label")) + 1
            for pattern in _LABELS
            for match in pattern.finditer(self.text)
        }


def read_notebook(text: str) -> nbformat.NotebookNode:
    """MyST 文本 → 笔记本（未执行），与 MyST-NB 的切分完全一致。"""
    config = MdParserConfig(enable_extensions=set(MYST_EXTENSIONS))
    return read_myst_markdown_notebook(text, config=config, add_source_map=True)


def read_chapter(path: Path) -> Chapter:
    """读一章。"""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    notebook = read_notebook(text)
    starts = notebook.metadata["source_map"]
    after = notebook.metadata.get("after", [])
    chapter = Chapter(path, text, [], _equations(text), [], [], after)
    claimed = set()
    for cell, start in zip(notebook.cells, starts, strict=True):
        if cell.cell_type == "code":
            end = _closing(lines, start - 1)
            current = Cell(
                len(chapter.cells), cell.source, cell.metadata, start, end, _expect(lines, end)
            )
            if current.expect:
                claimed.add(current.expect.start)
            chapter.cells.append(current)
        else:
            _read_evals(chapter, cell.source, start)
    chapter.orphans = [
        n + 1 for n, line in enumerate(lines) if _FENCE.match(line) and n not in claimed
    ]
    return chapter


def recall_chapter(path: Path, root: Path) -> Chapter:
    """读一章；文字与解析的程序都没变，就用上次解析的结果（解析全书要两秒）。"""
    key = [deps.digest_file(Path(__file__), root), deps.digest(path.read_bytes()), sys.version]
    key += [deps.current(f"dist:{name}", root) for name in ("myst-nb", "myst-parser", "nbformat")]
    name = f"chapter-{path.stem}"
    return deps.remembered(root, name, f"{path} {key}", lambda: read_chapter(path))


def _closing(lines: list[str], opening: int) -> int:
    """代码格的结束栏之后的行号。"""
    mark = re.match(r"`{3,}|:{3,}|~{3,}", lines[opening]).group()
    for n in range(opening + 1, len(lines)):
        if lines[n].strip().startswith(mark) and not lines[n].strip().strip(mark[0]):
            return n + 1
    return len(lines)


def _expect(lines: list[str], after: int) -> Expect | None:
    """代码格之后第一个非空行若是 ``{expect}``，读出整块。"""
    start = after
    while start < len(lines) and not lines[start].strip():
        start += 1
    match = _FENCE.match(lines[start]) if start < len(lines) else None
    if not match:
        return None
    stop = _closing(lines, start)
    body, options = lines[start + 1 : stop - 1], {}
    while body and (option := _OPTION.match(body[0])):
        options[option["key"]] = option["value"].strip()
        body = body[1:]
    return Expect(body, options, start, stop, match["mark"])


def chapter_number(name: str) -> str:
    """文件名开头的章号，如 ``08_6_training`` 的 ``08_6``；没有就是空的。"""
    return re.match(r"(?:\d+_)*", name)[0].rstrip("_")


def number_key(text: str, seen: Counter[str]) -> str:
    """``{eval}`` 的键：表达式，重复的加序号。不含区间，改区间就不必重新执行；``seen`` 随之计数。"""
    expression, _ = eval_parts(text)
    seen[expression] += 1
    return expression if seen[expression] == 1 else f"{expression} #{seen[expression]}"


def eval_parts(text: str) -> tuple[str, str]:
    """``{eval}`` 的内容 → （表达式，怎样核对），以分号隔开；后者可以没有。"""
    expression, _, comparator = text.partition(";")
    return expression.strip(), comparator.strip()


def _read_evals(chapter: Chapter, source: str, start: int) -> None:
    seen = Counter(role.expression for role in chapter.evals)
    for match in _ROLE.finditer(source):
        text, final = match[2].strip(), match[1] == "eval-end"
        line = start + source.count("\n", 0, match.start()) + 1
        role = EvalRole(text, final, line, number_key(text, seen))
        chapter.evals.append(role)
        if not final and chapter.cells:
            chapter.cells[-1].evals.append(role)


def _equations(text: str) -> list[Equation]:
    found = []
    for match in _MATH.finditer(text):
        label = re.search(r"^[ \t>]*:label:\s*(\S+)\s*$", match["body"], re.M)
        if label:
            latex = re.sub(r"^[ \t>]*:\w+:.*$", "", match["body"], flags=re.M)
            found.append((match.start(), label[1], latex))
    found += [(m.start(), m["label"], m["body"]) for m in _DOLLAR.finditer(text)]
    return [
        Equation(label, " ".join(latex.split()), text.count("\n", 0, position) + 1)
        for position, label, latex in sorted(found)
    ]
