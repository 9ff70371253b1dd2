"""公式的核对函数与练习的错误解法：登记，以及在单独的进程里运行。

写法见 ``CONTRIBUTING.md``。登记了核对函数的文件有两种用法：pytest 照常收集其中的 ``test_…``；
构建时用 ``python -m bookcheck.equations 根目录 文件`` 运行，
把每个标签的结果、用时与源代码交给《核对总表》。
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from bookcheck import deps
from bookcheck.opened import watch

_CHECKS: list[tuple[str, str, Callable[[], None]]] = []
_DEFINITIONS: dict[str, str] = {}
_MUTANTS: list[tuple[str, str, Callable]] = []


def verifies(*labels: str, by: str) -> Callable:
    """把一个无参数的测试函数登记为若干公式的核对函数。

    Args:
        labels: 书里公式的标签。
        by: 一句话说明怎么核对的，显示在《核对总表》里。
    """

    def register(function: Callable[[], None]) -> Callable[[], None]:
        _CHECKS.extend((label, by, function) for label in labels)
        return function

    return register


def definition(label: str, why: str) -> None:
    """声明一个公式只是记号或定义，没有可核对的内容。"""
    _DEFINITIONS[label] = why


def mutant(exercise: str, why: str) -> Callable:
    """登记一个练习的错误解法；练习的检查函数必须拒绝它。"""

    def register(function: Callable) -> Callable:
        _MUTANTS.append((exercise, why, function))
        return function

    return register


def printed_latex(expected: Path, label: str) -> str:
    """书里一个公式的 LaTeX 原文，取自 ``_expected``：它与正文是否相同另有核对。

    不直接读正文，改一句话才不必重算整章的公式。
    """
    return json.loads(expected.read_text(encoding="utf-8"))["equations"][label]


def kill(exercise: str, solution: Callable) -> str:
    """让检查函数检查一个错误解法。被拒绝时返回给读者的提示，漏过则抛出 ``AssertionError``。"""
    from dlbook.exercises import ExerciseError, check

    try:
        check(exercise, solution)
    except ExerciseError as error:
        return str(error)
    raise AssertionError(f"练习 {exercise} 的检查函数放过了错误解法")


def registered_mutants(module: str) -> list[tuple[str, str, Callable]]:
    """某个测试模块登记的错误解法，供 pytest 参数化。"""
    return [entry for entry in _MUTANTS if entry[2].__module__ == module]


def run_file(path: Path) -> list[dict]:
    """导入一个核对文件，运行其中登记的一切。"""
    for registry in (_CHECKS, _DEFINITIONS, _MUTANTS):
        registry.clear()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    records = [
        {"kind": "definition", "label": label, "by": why, "passed": True, "seconds": 0.0}
        for label, why in _DEFINITIONS.items()
    ]
    for label, by, function in _CHECKS:
        records.append(_run("equation", label, by, function, function))
    for label, why, function in _MUTANTS:
        records.append(_run("mutant", label, why, lambda f=function, n=label: kill(n, f), function))
    return records


def _run(kind: str, label: str, by: str, job: Callable, function: Callable) -> dict:
    start, error = time.perf_counter(), ""
    try:
        job()
    except Exception as failure:
        frame = traceback.extract_tb(failure.__traceback__)[-1]
        error = f"{type(failure).__name__}: {failure}（{Path(frame.filename).name}:{frame.lineno}）"
    return {
        "kind": kind,
        "label": label,
        "by": by,
        "passed": not error,
        "error": error,
        "seconds": time.perf_counter() - start,
        "function": function.__name__,
        "code": inspect.getsource(function),
    }


def main(root: str, path: str) -> None:
    """子进程入口：结果以一行 JSON 写到标准输出。"""
    watch()
    try:
        records = run_file(Path(path))
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
        records = [{"kind": "file", "label": "", "passed": False, "error": error}]
    print("\n" + json.dumps({"records": records, "deps": deps.footprint(Path(root))}))


if __name__ == "__main__":
    # 以模块名导入自己：核对文件里的 verifies 与这里须是同一份登记表。
    from bookcheck import equations

    equations.main(*sys.argv[1:])
