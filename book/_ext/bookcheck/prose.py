"""正文里的数与图从哪里来：拒绝手写的“测得的数”，也拒绝不是代码格画出的图。

规则（都是近似，宁可误报，可用 ``{given}`` 声明例外）：

- 正文文字里不许出现小数与百分数；
- 行内公式与行内代码里不许出现有效数字三位及以上的小数。

代码块、展示公式、标题、指令选项与角色（``{eval}``、``{given}``、``{cite}`` 等）里的内容不查。
"""

from __future__ import annotations

import re

_DECIMAL = re.compile(r"(?<![\w.])\d+(?:\.\d+)?\s*[%％]|(?<![\w.])\d+\.\d+(?![\w.]*\.\d)")
_LONG = re.compile(r"(?<![\w.])\d*\.\d+(?:[eE][-+]?\d+)?")
_ROLE = re.compile(r"\{[\w:-]+\}`[^`]*`")
_CODE = re.compile(r"(`+)(.+?)\1")
_MATH = re.compile(r"\$[^$\n]+\$")
_LINK = re.compile(r"\]\([^)]*\)|<https?://[^>]*>|https?://\S+")
_PICTURE = re.compile(r"!\[[^\]]*\]\(|<(?:img|svg|video|iframe)\b")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,}|:{3,})\s*(\S*)")
# 这些指令的内容是正文；其余围栏（代码格、期望、公式、清单……）都不查。
_PROSE = {
    "{note}", "{tip}", "{important}", "{warning}", "{danger}", "{admonition}", "{hint}",
    "{exercise-start}", "{solution-start}", "{exercise}", "{solution}", "{dropdown}", "{erratum}",
    "{seealso}", "{caution}", "{attention}",
}  # fmt: skip


def lint(text: str) -> list[tuple[int, str]]:
    """返回 ``(行号, 说明)`` 的列表。"""
    problems = [
        (number, "图要由代码格画出，才有指纹可核对")
        for number, line in enumerate(text.splitlines(), 1)
        if (fence := _FENCE.match(line)) and fence[2] in ("{figure}", "{image}")
    ]
    for number, line in prose_lines(text):
        if _PICTURE.search(_CODE.sub(" ", line)):
            problems.append((number, "图要由代码格画出，才有指纹可核对"))
        for match in _CODE.finditer(_ROLE.sub(" ", line)):
            problems += [(number, _message(n)) for n in _long_numbers(match[2])]
        bare = _CODE.sub(" ", _ROLE.sub(" ", _LINK.sub(" ", line)))
        for match in _MATH.finditer(bare):
            problems += [(number, _message(n)) for n in _long_numbers(match.group())]
        bare = _MATH.sub(" ", bare)
        problems += [(number, _message(m.group())) for m in _DECIMAL.finditer(bare)]
    return problems


def _message(number: str) -> str:
    return f"正文里手写了数 {number}：算出来的用 {{eval}}，给定的用 {{given}}"


def _long_numbers(text: str) -> list[str]:
    found = []
    for match in _LONG.finditer(text):
        digits = re.sub(r"[eE].*", "", match.group()).replace(".", "").lstrip("0")
        if len(digits) >= 3:
            found.append(match.group())
    return found


def prose_lines(text: str) -> list[tuple[int, str]]:
    """正文的行：不含文首元数据、标题、代码、展示公式、指令选项。"""
    lines, stack, in_math, front = [], [], False, text.startswith("---\n")
    for number, line in enumerate(text.splitlines(), 1):
        if front:
            front = number == 1 or line.strip() != "---"
            continue
        fence = _FENCE.match(line)
        if fence:
            mark, name = fence.groups()
            if stack and not name and mark.startswith(stack[-1][0]):
                stack.pop()
                continue
            if not (stack and not stack[-1][1]):
                stack.append((mark, name in _PROSE))
                # 指令的标题（围栏同一行的其余文字）也是正文。
                if name in _PROSE:
                    lines.append((number, line[fence.end() :]))
            continue
        if stack and not stack[-1][1]:
            continue
        if line.strip().startswith("$$"):
            in_math = not in_math and line.strip().count("$$") % 2 == 1
            continue
        if in_math or line.startswith("#") or re.match(r"\s*:[\w-]+:", line):
            continue
        lines.append((number, line))
    return lines
