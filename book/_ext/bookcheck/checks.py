"""核对一本书：执行、比较、汇总。

:func:`check_book` 是全部核对的入口，命令行、网页构建与测试都调用它。它返回 :class:`Report`：
书里的每一项说法（:class:`Claim`）与每一处不符（:class:`Problem`）。
不符之处若可以由人确认后接受，就带着怎样改（:class:`Fix`），``bless`` 据此写回。
"""

from __future__ import annotations

import asyncio
import datetime
import json
import platform
import re
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bookcheck import FIGURE_MIME, deps, prose
from bookcheck.compare import comparator_of, compare_fingerprint, compare_text
from bookcheck.execute import (
    Run,
    Store,
    gather,
    kernel_environment,
    record_chapter,
    run_chapter,
)
from bookcheck.recording import (
    Recording,
    absence,
    load_recording,
    record_command,
    save_recording,
)
from bookcheck.source import HARDWARE, Cell, Chapter, recall_chapter

DEFAULT_FIGURE_RTOL = 1e-6
SMALLEST_FONT = 7.0
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Claim:
    """书里一项可核对的说法。

    ``kind``：output、figure、equation、definition、number、exercise。
    ``comparator``：exact、tol、range、volatile、recorded、stale、absent、verified、definition。
    """

    kind: str
    chapter: str
    label: str
    comparator: str
    passed: bool
    seconds: float
    line: int
    detail: str = ""
    code: str = ""

    @property
    def anchor(self) -> str:
        return f"check-{self.chapter}-{self.label}"


@dataclass
class Fix:
    """接受新结果的一处改动。

    ``target`` 为 ``"source"`` 时，把章文件的 ``[start, stop)`` 行换成 ``new``；
    否则是 ``_expected`` 里的节名，把 ``key`` 一项设为 ``new``（``None`` 表示删除）。
    """

    target: str
    key: str = ""
    new: object = None
    start: int = 0
    stop: int = 0


@dataclass
class Problem:
    """一处不符。``fix`` 为 ``None`` 的不能靠接受新结果解决，要改书或改代码。"""

    path: Path
    line: int
    message: str
    expected: str = ""
    got: str = ""
    fix: Fix | None = None

    def render(self, root: Path) -> str:
        try:
            path = self.path.relative_to(root)
        except ValueError:
            path = self.path
        text = f"{path}:{self.line}: {self.message}"
        for title, body in (("期望", self.expected), ("实得", self.got)):
            if body:
                text += f"\n  {title}：" + body.replace("\n", "\n      ")
        return text


@dataclass
class Report:
    """一次核对的全部结果。"""

    root: Path
    chapters: dict[str, Chapter]
    runs: dict[str, Run] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)

    def of(self, chapter: str) -> list[Claim]:
        return [claim for claim in self.claims if claim.chapter == chapter]

    def find(self, chapter: str, label: str) -> Claim | None:
        return next((c for c in self.of(chapter) if c.label == label), None)

    def save(self) -> None:
        """写 ``_build/checks.json``。"""
        record = {
            "passed": not self.problems,
            "versions": versions(),
            "chapters": {
                name: {"seconds": sum(run.seconds), "claims": len(self.of(name))}
                for name, run in self.runs.items()
            },
            "claims": [asdict(claim) for claim in self.claims],
            "problems": [problem.render(self.root) for problem in self.problems],
        }
        text = json.dumps(record, ensure_ascii=False, indent=1)
        deps.write_whole(self.root / "_build" / "checks.json", text)


def versions() -> dict[str, str]:
    """决定结果的软件版本。"""
    found = {"Python": platform.python_version()}
    for name in ("numpy", "torch", "sympy", "matplotlib", "pandas", "Sphinx", "myst-nb"):
        if version := deps.current(f"dist:{name}", Path()):
            found[name] = version
    return found


def check_book(
    root: Path, source: Path | None = None, only: str = "", workers: int | None = None
) -> Report:
    """执行过期的章节与核对函数，比较一切。

    Args:
        root: 仓库根目录，其下有 ``tests/equations``、``tests/exercises``，结果存进 ``_build``。
        source: 章节所在目录，默认 ``root/book``。
        only: 只看文件名以它开头的章（以及它们要先执行的章）。
        workers: 并行数，默认 CPU 核数。
    """
    root = root.resolve()
    source = (source or root / "book").resolve()
    paths = sorted(
        p for p in source.glob("**/*.md") if not p.relative_to(source).parts[0].startswith("_")
    )
    chapters = _select({p.stem: p for p in paths}, only, root)
    report = Report(root, chapters)
    store = Store(root)
    active = [c for c in chapters.values() if c.cells]
    files = [
        p for folder in ("equations", "exercises")
        for p in sorted((root / "tests" / folder).glob("test_*.py"))
        if not only or p.stem.removeprefix("test_ch")[:2] == only[:2]
    ]  # fmt: skip
    # 先跑别的章在等的，再跑上次最慢的：并行时总时间最短。
    awaited = {name for c in active for name in c.after}
    active.sort(key=lambda c: (c.name not in awaited, -_last_seconds(store, c.name)))
    jobs = {c.name: lambda c=c: run_chapter(c, store) for c in active}
    jobs |= {str(p): lambda p=p: _run_checks(p, store) for p in files}
    results = asyncio.run(gather(jobs, {c.name: c.after for c in active}, workers))
    for chapter in active:
        run = report.runs[chapter.name] = results[chapter.name]
        if run.fresh:
            report.executed.append(chapter.name)
    records = [record for path in files for record in results[str(path)]]
    for name in sorted(chapters):
        # 只因别的章要用它的成果才执行的，不在这次核对之列。
        if chapters[name].path.name.startswith(only):
            _check_chapter(report, chapters[name], records)
    _check_unbound(report, records, bool(only))
    report.claims.sort(key=lambda c: (c.chapter, c.line))
    report.problems.sort(key=lambda p: (str(p.path), p.line))
    if not only:
        report.save()
    return report


def _select(paths: dict[str, Path], only: str, root: Path) -> dict[str, Chapter]:
    """文件名以 ``only`` 开头的章，连同它们要先执行的章。"""
    wanted = [name for name, path in paths.items() if path.name.startswith(only)]
    chapters: dict[str, Chapter] = {}
    while wanted:
        name = wanted.pop()
        if name in paths and name not in chapters:
            chapters[name] = recall_chapter(paths[name], root)
            wanted += chapters[name].after
    return {name: chapters[name] for name in paths if name in chapters}


def _last_seconds(store: Store, name: str) -> float:
    try:
        saved = json.loads((store.folder / f"{name}.json").read_text(encoding="utf-8"))
        return sum(saved["seconds"])
    except (OSError, ValueError, KeyError):
        return float("inf")


async def _run_checks(path: Path, store: Store) -> list[dict]:
    """运行一个核对文件（或取存下的结果）；有一项不过就不存。"""
    name = f"{path.parent.name}-{path.stem}"
    key = deps.digest(f"{deps.digest_file(path, store.root)} {sys.version}")
    if saved := store.load(name, key):
        return saved["records"]
    store.discard(name)
    with tempfile.TemporaryDirectory(prefix="book-") as scratch:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bookcheck.equations", str(store.root), str(path),
            env=kernel_environment(store.root, scratch),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
    try:
        result = json.loads(out.decode().splitlines()[-1])
    except (IndexError, ValueError):
        error = (err or out).decode(errors="replace").strip()[-2000:]
        result = {"records": [{"kind": "file", "passed": False, "error": error}], "deps": {}}
    for record in result["records"]:
        record["file"] = str(path)
    if all(record["passed"] for record in result["records"]):
        store.save(name, {"key": key} | result)
    return result["records"]


def load_expected(chapter: Chapter) -> dict:
    """``_expected/<章>.json``：图的指纹、公式的原文、正文里的数。"""
    path = expected_path(chapter)
    empty = {"figures": {}, "equations": {}, "numbers": {}}
    return empty | json.loads(path.read_text(encoding="utf-8")) if path.is_file() else empty


def expected_path(chapter: Chapter) -> Path:
    return chapter.path.parent / "_expected" / f"{chapter.name}.json"


class _Checker:
    """核对一章时共用的状态。"""

    def __init__(self, report: Report, chapter: Chapter) -> None:
        self.report, self.chapter = report, chapter
        self.expected = load_expected(chapter)
        self.seen = {section: set() for section in self.expected}
        self.run = report.runs.get(chapter.name)

    def problem(self, line: int, message: str, **details: object) -> None:
        self.report.problems.append(Problem(self.chapter.path, line, message, **details))

    def claim(
        self, kind: str, label: str, comparator: str, passed: bool, **details: object
    ) -> None:
        details = {"seconds": 0.0, "line": 0} | details
        claim = Claim(kind, self.chapter.name, label, comparator, passed, **details)
        self.report.claims.append(claim)

    def recorded(self, section: str, key: str, got: object, line: int, what: str) -> object:
        """与 ``_expected`` 里记下的值配对；没有记过的报告为问题并返回 ``None``。"""
        self.seen[section].add(key)
        if key not in self.expected[section]:
            fix = Fix(section, key, got)
            self.problem(line, f"{what} {key} 还没有期望（make bless 可接受）", fix=fix)
            return None
        return self.expected[section][key]

    def leftovers(self) -> None:
        for section, keys in self.expected.items():
            for key in sorted(set(keys) - self.seen[section]):
                message = f"_expected 里的 {section}/{key} 在书里已经没有了"
                self.problem(1, message, fix=Fix(section, key, None))


def _check_chapter(report: Report, chapter: Chapter, records: list[dict]) -> None:
    checker = _Checker(report, chapter)
    for line in chapter.orphans:
        checker.problem(line, "这个 {expect} 不紧跟在代码格之后")
    run = checker.run
    if run:
        stop = run.failed_cell if run.failure else len(chapter.cells)
        for cell in chapter.cells[:stop]:
            _check_cell(checker, cell, run.outputs[cell.index], run.seconds[cell.index])
        if run.failure:
            checker.problem(chapter.cells[run.failed_cell].line, run.failure)
            checker.seen["figures"] |= set(checker.expected["figures"])
            checker.seen["numbers"] |= set(checker.expected["numbers"])
        else:
            _check_numbers(checker)
    _check_equations(checker, records)
    _check_exercises(checker, records)
    for line, message in prose.lint(chapter.text):
        checker.problem(line, message)
    repeated = [label for label, n in Counter(e.label for e in chapter.equations).items() if n > 1]
    for label in repeated:
        checker.problem(chapter.labels[label], f"公式标签 {label} 重复")
    checker.leftovers()


def printed(outputs: list[dict]) -> list[str]:
    """一个代码格打印的全部文字（标准输出、警告、最后一个表达式的值、错误的最后一行）。"""
    text = ""
    for output in outputs:
        kind, data = output["output_type"], output.get("data", {})
        if kind == "stream":
            text += output["text"]
        elif kind == "error":
            text += _ANSI.sub("", f"{output['ename']}: {output['evalue']}") + "\n"
        elif not any(mime.startswith("image/") for mime in data):
            text += data.get("text/plain", "") + "\n"
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return lines


def _check_cell(checker: _Checker, cell: Cell, outputs: list[dict], seconds: float) -> None:
    if problem := _misplaced_where(cell):
        checker.problem(cell.line, problem)
    if cell.skipped:
        _check_recording(checker, cell)
        return
    raised = any(output["output_type"] == "error" for output in outputs)
    if cell.must_raise and not raised:
        checker.problem(cell.line, "标了 must-raise 的代码格没有报错")
        return
    text = printed(outputs)
    volatile = "" if text else _volatile_figure(cell)
    if text or (cell.expect and not volatile):
        _check_text(checker, cell, text, seconds)
    images = [o["data"] for o in outputs if any(m.startswith("image/") for m in o.get("data", {}))]
    if images or cell.figure["name"]:
        _check_figure(checker, cell, images, seconds, volatile)


def _volatile_figure(cell: Cell) -> str:
    """画测量结果的代码格：什么都不打印，``{expect}`` 只用来声明图里的数不定。返回原因。"""
    return cell.expect.options.get("volatile", "") if cell.expect and cell.figure["name"] else ""


def _misplaced_where(cell: Cell) -> str:
    if cell.where and not cell.recording:
        return "where 说的是录制在什么机器上当场执行，要与 recorded 同用"
    if cell.where and cell.where not in HARDWARE:
        return f"where 应是 {'、'.join(HARDWARE)}，写的是 {cell.where}"
    return ""


def _check_recording(checker: _Checker, cell: Cell) -> None:
    """录制的输出不重算：只记下它新不新鲜、从哪里来。"""
    recording = load_recording(checker.chapter, cell)
    status = recording.status(cell, checker.report.root) if recording else "absent"
    if recording:
        detail = recording.provenance()
    else:
        detail = f"{absence(cell)}；补录的命令是 {record_command(checker.chapter, cell)}"
    checker.claim("output", output_label(cell), status, True, line=cell.line, detail=detail)


def record(root: Path, chapter: Chapter, name: str) -> Path:
    """真正执行一章，把名为 ``name`` 的录制写下来。

    没有这个名字抛出 ``LookupError``；执行中报错抛出 ``RuntimeError``，原来的录制不动。
    """
    cell = next((c for c in chapter.cells if c.recording == name), None)
    if cell is None:
        names = "、".join(c.recording for c in chapter.cells if c.recording) or "无"
        raise LookupError(f"{chapter.name} 里没有名为 {name} 的录制；有：{names}")
    run = asyncio.run(record_chapter(chapter, root.resolve(), name))
    if run.failure:
        raise RuntimeError(f"{chapter.name}:{chapter.cells[run.failed_cell].line}: {run.failure}")
    today = datetime.date.today().isoformat()
    index = cell.index
    return save_recording(
        chapter,
        cell,
        Recording(
            code=deps.digest(cell.source),
            deps=run.deps,
            device=run.device["device"],
            versions={k: v for k, v in versions().items() if k in ("Python", "numpy", "torch")},
            date=today,
            seconds=run.seconds[index],
            outputs=run.outputs[index],
        ),
    )


def output_label(cell: Cell) -> str:
    """一处输出的标签：``{expect}`` 的 ``:name:``，或按代码格的次序。"""
    return (cell.expect and cell.expect.options.get("name")) or f"out-{cell.index + 1}"


def _check_text(checker: _Checker, cell: Cell, text: list[str], seconds: float) -> None:
    expect = cell.expect
    if expect is None:
        block = ["```{expect}", *text, "```"]
        fix = Fix("source", new=block, start=cell.end, stop=cell.end)
        message = "代码格有输出，但没有 {expect}（make bless 可补上）"
        checker.problem(cell.line, message, got="\n".join(text), fix=fix)
        return
    comparator = comparator_of(expect.body, expect.options)
    problem = ""
    if comparator == "volatile":
        if not expect.options["volatile"]:
            problem = "：volatile 必须写明原因"
    else:
        problem = compare_text(expect.body, text, expect.options)
    if problem:
        fix = Fix("source", new=expect.render(text), start=expect.start, stop=expect.stop)
        if comparator in ("range", "volatile") or "..." in expect.body:
            fix = None
        message = f"输出与期望不符，{problem}"
        if fix is None:
            message += "（区间、省略与易变的期望要由人来改）"
        got, want = "\n".join(text), "\n".join(expect.body)
        checker.problem(expect.start + 1, message, expected=want, got=got, fix=fix)
    detail = expect.options.get("volatile", "")
    if comparator == "tol":
        detail = " ".join(f"{k}={v}" for k, v in expect.options.items() if k in ("rtol", "atol"))
    label = output_label(cell)
    checker.claim(
        "output", label, comparator, not problem, seconds=seconds, line=cell.line, detail=detail
    )


def _check_figure(
    checker: _Checker, cell: Cell, images: list[dict], seconds: float, volatile: str
) -> None:
    figure, line = cell.figure, cell.line
    missing = [
        title for key, title in (("name", "名字"), ("caption", "图题"), ("alt", "替代文字"))
        if not figure[key].strip()
    ]  # fmt: skip
    if missing:
        checker.problem(
            line, f"图缺少{'、'.join(missing)}（mystnb.figure.name/caption、mystnb.image.alt）"
        )
    if figure["alt"] and not re.search(r"[\u4e00-\u9fff]", figure["alt"]):
        checker.problem(line, "图的替代文字应是中文")
    if len(images) != 1:
        checker.problem(line, f"一个代码格应恰有一幅图，实得 {len(images)} 幅")
    if len(images) != 1 or not figure["name"]:
        return
    name, got = figure["name"], images[0].get(FIGURE_MIME)
    if got is None:
        checker.problem(line, f"图 {name} 没有指纹：书里的图要由 matplotlib 画出")
        return
    if got["missing_glyphs"]:
        checker.problem(line, f"图 {name} 缺字", got="\n".join(got["missing_glyphs"]))
    if got["smallest_font"] < SMALLEST_FONT:
        checker.problem(line, f"图 {name} 的字号小于 {SMALLEST_FONT}：{got['smallest_font']}")
    want = checker.recorded("figures", name, got, line, "图")
    rtol = float(cell.metadata.get("figure_rtol", DEFAULT_FIGURE_RTOL))
    problem = compare_fingerprint(want, got, rtol) if want is not None else "没有期望"
    if want is not None and problem:
        fix = Fix("figures", name, got)
        checker.problem(line, f"图 {name} 的数据与指纹不符", got=problem, fix=fix)
    comparator, detail = "tol", f"rtol={rtol:g}"
    if volatile:
        comparator, detail = "volatile", f"{volatile}；坐标轴、文字照常核对，数值只比到 {detail}"
    checker.claim(
        "figure", name, comparator, not problem, seconds=seconds, line=line, detail=detail
    )


def _check_numbers(checker: _Checker) -> None:
    for role in checker.chapter.evals:
        got = checker.run.numbers.get(role.key, {"error": "章首没有代码格，无处求值"})
        if "error" in got:
            checker.problem(role.line, f"正文里的数 {role.text} 求值失败：{got['error']}")
            continue
        comparator, problem = "exact", ""
        if role.comparator == "volatile":
            comparator = "volatile"
        elif role.comparator:
            comparator = "range"
            match = re.fullmatch(r"([-+.\deE]+)\.\.([-+.\deE]+)", role.comparator.replace(" ", ""))
            if not match or "value" not in got:
                problem = "区间应写作 a..b，且求值结果须是一个数"
            elif not float(match[1]) <= got["value"] <= float(match[2]):
                problem = f"{got['value']!r} 不在区间 {role.comparator} 内"
        else:
            want = checker.recorded("numbers", role.key, got["text"], role.line, "正文里的数")
            if want is None:
                problem = "没有期望"
            elif want != got["text"]:
                problem = "变了"
                message, fix = f"正文里的数 {role.text} 变了", Fix("numbers", role.key, got["text"])
                checker.problem(role.line, message, expected=want, got=got["text"], fix=fix)
        if problem and comparator == "range":
            checker.problem(role.line, f"正文里的数 {role.text}：{problem}")
        checker.claim(
            "number", role.label, comparator, not problem, line=role.line, detail=got["text"]
        )


def _check_equations(checker: _Checker, records: list[dict]) -> None:
    bound: dict[str, list[dict]] = {}
    for record in records:
        if record["kind"] in ("equation", "definition"):
            bound.setdefault(record["label"], []).append(record)
    for equation in checker.chapter.equations:
        found, line = bound.get(equation.label, []), equation.line
        if not found:
            message = f"公式 {equation.label} 没有核对函数，也没有声明为定义（tests/equations）"
            checker.problem(line, message)
            continue
        want = checker.recorded("equations", equation.label, equation.latex, line, "公式")
        if want is not None and want != equation.latex:
            fix = Fix("equations", equation.label, equation.latex)
            message = f"公式 {equation.label} 的写法变了：请重新核对后接受"
            checker.problem(line, message, expected=want, got=equation.latex, fix=fix)
        checks = [r for r in found if r["kind"] == "equation"]
        for record in checks:
            if not record["passed"]:
                message = f"公式 {equation.label} 的核对函数 {record['function']} 未通过"
                checker.problem(line, message, got=record["error"])
        checker.claim(
            "equation" if checks else "definition",
            equation.label,
            "verified" if checks else "definition",
            all(r["passed"] for r in found),
            seconds=sum(r["seconds"] for r in found),
            line=line,
            detail="；".join(r["by"] for r in found),
            code="\n\n".join(r["code"] for r in checks),
        )


def _check_exercises(checker: _Checker, records: list[dict]) -> None:
    chapter = checker.chapter
    cells = {}
    for cell in chapter.cells:
        for label in re.findall(r"""\bcheck\(\s*["'](ex-[\w-]+)["']""", cell.source):
            cells[label] = cell
    for label, line in chapter.labels.items():
        if not label.startswith("ex-"):
            continue
        mutants = [r for r in records if r["kind"] == "mutant" and r["label"] == label]
        cell = cells.get(label)
        if cell is None and not mutants:
            continue  # 没有检查函数的思考题
        if cell is None:
            checker.problem(line, f"练习 {label} 有错误解法，却没有经过 check 的解答")
        if not mutants:
            checker.problem(line, f"练习 {label} 没有错误解法可供检查函数拒绝（tests/exercises）")
        for record in mutants:
            if not record["passed"]:
                checker.problem(line, f"练习 {label}：{record['by']}", got=record["error"])
        passed = cell is not None and bool(mutants) and all(r["passed"] for r in mutants)
        detail = f"解答通过；{len(mutants)} 个错误解法被拒绝：" + "、".join(
            r["by"] for r in mutants
        )
        seconds = sum(r["seconds"] for r in mutants)
        checker.claim(
            "exercise", label, "verified", passed, line=line, detail=detail, seconds=seconds
        )


def _check_unbound(report: Report, records: list[dict], partial: bool) -> None:
    """核对文件本身的问题：不能导入，或所指的标签书里没有。"""
    labels = {label for chapter in report.chapters.values() for label in chapter.labels}
    for record in records:
        path = Path(record["file"])
        if record["kind"] == "file":
            report.problems.append(Problem(path, 1, "核对文件不能运行", got=record["error"]))
        elif record["label"] not in labels and not partial:
            message = f"所指的标签 {record['label']} 书里没有"
            report.problems.append(Problem(path, 1, message))
