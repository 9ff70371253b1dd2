"""比较器：打印的文字、图的指纹。不符时说清楚哪里不符，相符时返回空串。"""

from __future__ import annotations

import math
import re
from itertools import zip_longest

_NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?|\b(?:nan|inf)\b")
_RANGE = re.compile(r"\[\[\s*([-+.\deE]+)\s*\.\.\s*([-+.\deE]+)\s*\]\]")


def comparator_of(body: list[str], options: dict[str, str]) -> str:
    """一个期望用哪种比较：``volatile``、``range``、``tol`` 或 ``exact``。"""
    if "volatile" in options:
        return "volatile"
    if any(_RANGE.search(line) for line in body):
        return "range"
    return "tol" if {"rtol", "atol"} & set(options) else "exact"


def compare_text(expected: list[str], got: list[str], options: dict[str, str]) -> str:
    """逐行比较。返回第一处不符的说明，全部相符返回空串。

    - 单独一行 ``...`` 匹配任意多行（包括零行）；
    - ``[[a..b]]`` 匹配一个落在闭区间内的数；
    - 给了 ``rtol``、``atol`` 时，带小数点或指数的数按容差比较，其余逐字。
    """
    rtol, atol = float(options.get("rtol", 0)), float(options.get("atol", 0))
    tolerant = "rtol" in options or "atol" in options
    if "..." in expected:
        cut = expected.index("...")
        head, rest = expected[:cut], expected[cut + 1 :]
        if len(got) < len(head):
            return f"只有 {len(got)} 行，至少应有 {len(head)} 行"
        if problem := compare_text(head, got[: len(head)], options):
            return problem
        tails = range(len(head), len(got) + 1)
        if any(not compare_text(rest, got[start:], options) for start in tails):
            return ""
        return "省略号（...）之后的部分对不上"
    for n, (want, have) in enumerate(zip_longest(expected, got), 1):
        if want is None or have is None:
            return f"期望 {len(expected)} 行，实得 {len(got)} 行"
        if problem := _compare_line(want, have, rtol, atol, tolerant):
            return f"第 {n} 行{problem}"
    return ""


def _compare_line(want: str, have: str, rtol: float, atol: float, tolerant: bool) -> str:
    want, have = want.rstrip(), have.rstrip()
    if want == have:
        return ""
    ranges = list(_RANGE.finditer(want))
    if ranges:
        parts = _RANGE.split(want)[::3]
        pattern = f"({_NUMBER.pattern})".join(re.escape(part) for part in parts)
        match = re.fullmatch(pattern, have)
        if not match:
            return "与区间模式的文字部分不符"
        for interval, number in zip(ranges, match.groups(), strict=True):
            low, high = float(interval[1]), float(interval[2])
            if not low <= float(number) <= high:
                return f"：{number} 不在区间 [{low}, {high}] 内"
        return ""
    if not tolerant:
        return "不同"
    if _NUMBER.sub("#", want).split() != _NUMBER.sub("#", have).split():
        return "的文字部分不同"
    pairs = zip(_NUMBER.findall(want), _NUMBER.findall(have), strict=True)
    for a, b in pairs:
        if a != b and (
            _is_integer(a) or _is_integer(b) or not _close(float(a), float(b), rtol, atol)
        ):
            return f"：{b} 与期望的 {a} 相差超出容差"
    return ""


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+", text) is not None


def _close(a: float, b: float, rtol: float, atol: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == b or abs(a - b) <= atol + rtol * abs(a)


def compare_fingerprint(expected: object, got: object, rtol: float, where: str = "") -> str:
    """比较两个指纹（嵌套的字典、列表、数、文字）。

    一串数按这串数的最大绝对值取相对容差，于是“整体挪动百分之一”与“一个点挪动百分之一”都会被发现。
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted(set(expected) | set(got)):
            if key not in expected or key not in got:
                return f"{where}/{key}：{'多出' if key in got else '缺少'}"
            if problem := compare_fingerprint(expected[key], got[key], rtol, f"{where}/{key}"):
                return problem
        return ""
    if _is_numbers(expected) and _is_numbers(got):
        return _compare_numbers(expected, got, rtol, where)
    if isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return f"{where}：期望 {len(expected)} 项，实得 {len(got)} 项"
        for n, (a, b) in enumerate(zip(expected, got, strict=True)):
            if problem := compare_fingerprint(a, b, rtol, f"{where}[{n}]"):
                return problem
        return ""
    return "" if expected == got else f"{where}：期望 {expected!r}，实得 {got!r}"


def _is_numbers(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    )


def _compare_numbers(expected: list, got: list, rtol: float, where: str) -> str:
    if len(expected) != len(got):
        return f"{where}：期望 {len(expected)} 个数，实得 {len(got)} 个"
    scale = max((abs(v) for v in expected if math.isfinite(v)), default=0.0)
    for a, b in zip(expected, got, strict=True):
        if not _close(a, b, 0.0, rtol * scale):
            return f"{where}：期望 {a!r}，实得 {b!r}（容差 {rtol:g} × {scale:g}）"
    return ""
