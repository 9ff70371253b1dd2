"""接受新结果：把每处可接受的不符显示为差异，写回章节源文件与 ``_expected``。"""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from bookcheck import deps
from bookcheck.checks import Problem, Report, expected_path, load_expected


def bless(report: Report) -> list[Problem]:
    """写回全部可接受的改动，返回剩下的（不能靠接受解决的）问题。"""
    fixable = [p for p in report.problems if p.fix]
    for chapter in report.chapters.values():
        own = [p for p in fixable if p.path == chapter.path]
        _rewrite_source(chapter.path, [p for p in own if p.fix.target == "source"], report.root)
        records = [p for p in own if p.fix.target != "source"]
        if records:
            expected = load_expected(chapter)
            for problem in records:
                _apply_record(expected, problem, chapter.name)
            deps.write_whole(expected_path(chapter), dump_expected(expected))
    return [p for p in report.problems if not p.fix]


def dump_expected(value: object, indent: str = "") -> str:
    """``_expected`` 的写法：键排序，一组数占一行，便于在 git diff 里审阅。"""
    inner, text = indent + " ", ""
    if isinstance(value, dict) and value:
        rows = [
            f"{json.dumps(k, ensure_ascii=False)}: {dump_expected(value[k], inner)}"
            for k in sorted(value)
        ]
        text = "{\n" + ",\n".join(inner + row for row in rows) + f"\n{indent}}}"
    elif isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        rows = [dump_expected(v, inner) for v in value]
        text = "[\n" + ",\n".join(inner + row for row in rows) + f"\n{indent}]"
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text + "\n" if not indent else text


def _apply_record(expected: dict, problem: Problem, chapter: str) -> None:
    fix = problem.fix
    old = expected[fix.target].get(fix.key)
    if fix.new is None:
        expected[fix.target].pop(fix.key, None)
    else:
        expected[fix.target][fix.key] = fix.new
    print(f"{chapter} {fix.target}/{fix.key}")
    if isinstance(fix.new, str) or isinstance(old, str):
        print(f"- {old if old is not None else '（无）'}\n+ {fix.new if fix.new else '（删去）'}")
    elif old is None:
        print("+ 新的指纹")
    else:
        print(f"~ {problem.got or '删去'}")


def _rewrite_source(path: Path, problems: list[Problem], root: Path) -> None:
    if not problems:
        return
    old = path.read_text(encoding="utf-8").splitlines()
    new = list(old)
    for problem in sorted(problems, key=lambda p: -p.fix.start):
        new[problem.fix.start : problem.fix.stop] = problem.fix.new
    name = path.relative_to(root).as_posix()
    print("\n".join(difflib.unified_diff(old, new, name, name, lineterm="", n=2)))
    deps.write_whole(path, "\n".join(new) + "\n")
