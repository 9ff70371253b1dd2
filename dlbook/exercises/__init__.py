"""练习的检查：``check("ex-2-1", my_function)``。

写一道练习的检查，就是在 ``dlbook/exercises/ch02.py``（第 2 章）里写一个生成器，
对解法提问，每问一次交出一个 :class:`Case`::

    from dlbook.exercises import Case, exercise

    @exercise("ex-2-1", title="中心差分")
    def _(solution):
        yield Case(
            "f(x) = x²，x = 3，h = 0.1",                  # 给了什么
            lambda: solution(lambda x: x**2, 3.0, 0.1),    # 怎样得到解法的答案
            6.0,                                           # 期望的答案
            rtol=1e-9,
            mistakes={"忘了除以 2h": 1.2, "用了前向差分": 6.1},  # 误解 → 它会得到的答案
            hint="差商的分母是两点之间的距离",              # 都不像时给的提示
        )

解法是读者交来的任何东西：函数、数组、一个数。检查按次序进行，停在第一个不通过的地方，
抛出 :class:`ExerciseError`，写明给了什么、期望什么、实际得到什么、像是哪一种误解。
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

__all__ = ["Case", "ExerciseError", "check", "exercise"]


class ExerciseError(AssertionError):
    """解法没有通过检查。"""


@dataclass(frozen=True)
class Case:
    """一项检查：给了什么、怎样取得解法的答案、期望的答案。

    expected 是数或数组时按 rtol、atol 比较，形状也须相同；是元组或列表时逐项比较；其余用 ``==``。
    没有唯一答案时给出 accept（判断答案是否可以接受的函数），这时 expected 是写给人看的要求。
    mistakes 把常见的误解对到它会得到的答案；答案恰好如此时，错误信息就指出这一误解。
    """

    given: str
    answer: Callable[[], object]
    expected: object
    hint: str = ""
    mistakes: Mapping[str, object] = field(default_factory=dict)
    rtol: float = 1e-7
    atol: float = 0.0
    accept: Callable[[object], bool] | None = None

    def passes(self, got: object) -> bool:
        if self.accept is not None:
            return bool(self.accept(got))
        return _same(got, self.expected, self.rtol, self.atol)

    def explain(self, got: object) -> str:
        """答案 got 不对：期望什么、实际是什么、像是哪一种误解。"""
        reason = self.hint
        if got is None:
            reason = "解法返回了 None，是不是忘了写 return？"
        for mistake, value in self.mistakes.items():
            if _same(got, value, self.rtol, self.atol):
                reason = mistake
        lines = [f"  期望：{_show(self.expected)}", f"  实际：{_show(got)}"]
        return "\n".join(lines + [f"  可能的原因：{reason}"] * bool(reason))


Checker = Callable[[object], Iterator[Case]]
_NAME = re.compile(r"ex-(\d+)-.+")
_exercises: dict[str, tuple[str, Checker]] = {}


def exercise(name: str, *, title: str) -> Callable[[Checker], Checker]:
    """登记一道练习的检查；name 形如 "ex-2-1"（第 2 章第 1 题），不合或重复时抛出 ValueError。"""
    if not _NAME.fullmatch(name):
        raise ValueError(f'练习的名字应形如 "ex-2-1"，收到 {name!r}')

    def register(checker: Checker) -> Checker:
        if name in _exercises:
            raise ValueError(f"练习 {name} 已经登记过（《{_exercises[name][0]}》）")
        _exercises[name] = title, checker
        return checker

    return register


def check(name: str, solution: object) -> None:
    """检查解法：通过就打印一行“✓ ex-2-1 通过：N 项检查”，不通过抛出 ExerciseError。

    没有这道练习时抛出 LookupError，并列出有哪些。
    """
    title, checker = _find(name)
    count, given = 0, ""
    failure, cause = "", None
    try:
        for case in checker(solution):
            given = f"  输入：{case.given}\n"
            got = case.answer()
            if not case.passes(got):
                failure = case.explain(got)
                break
            count, given = count + 1, ""
    except Exception as error:
        failure, cause = f"  解法报错：{type(error).__name__}: {error}", error
    if failure:
        where = f"{name}《{title}》第 {count + 1} 项检查没有通过"
        raise ExerciseError(f"{where}\n{given}{failure}") from cause
    if count == 0:
        raise RuntimeError(f"{name} 的检查一项也没有，等于没有检查")
    print(f"✓ {name} 通过：{count} 项检查")


def _find(name: str) -> tuple[str, Checker]:
    """找到名为 name 的检查；它所在的模块由章号决定，此时才导入。"""
    if chapter := _NAME.fullmatch(name):
        module = f"{__name__}.ch{int(chapter[1]):02d}"
        if find_spec(module):
            import_module(module)
    if name not in _exercises:
        for path in sorted(Path(__file__).parent.glob("ch[0-9]*.py")):
            import_module(f"{__name__}.{path.stem}")
    if name not in _exercises:
        similar = difflib.get_close_matches(name, _exercises, n=1)
        guess = f"，是不是 {similar[0]}？" if similar else "。"
        raise LookupError(f"没有名为 {name} 的练习{guess}现有：{'、'.join(sorted(_exercises))}")
    return _exercises[name]


def _same(got: object, expected: object, rtol: float, atol: float) -> bool:
    """got 与 expected 是否算作相等；类型对不上也只是不相等，不报错。"""
    numeric = isinstance(expected, float | int | complex | np.number | np.ndarray)
    if isinstance(expected, tuple | list):
        return (
            isinstance(got, tuple | list)
            and len(got) == len(expected)
            and all(_same(g, e, rtol, atol) for g, e in zip(got, expected, strict=True))
        )
    try:
        if isinstance(expected, bool) or not numeric:
            return bool(got == expected)
        if np.shape(got) != np.shape(expected):
            return False
        return np.allclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
    except (TypeError, ValueError):
        return False


def _show(value: object) -> str:
    """写进错误信息的样子：数组连同形状，长的只显示头尾。"""
    if isinstance(value, tuple):
        return f"({', '.join(_show(item) for item in value)})"
    if isinstance(value, np.ndarray):
        text = np.array2string(value, precision=8, threshold=20, separator=", ")
        return f"{text}，形状 {value.shape}"
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, str) else repr(value)
