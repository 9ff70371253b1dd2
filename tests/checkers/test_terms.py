"""术语的检查会不会失败：在一本小书里逐一埋下错误。"""

import pytest
from bookcheck.terms import check_terms

FIRST = """(chap-a)=
# 甲
提要里先说学习率，不算。

(sec-rate)=
## 节
**学习率（learning rate）** 是步长。**值（value）** 是数。
"""
SECOND = """(chap-b)=
# 乙

(sec-loss)=
## 节
学习率已经讲过；**交叉熵（cross-entropy, CE）** 是损失，
**二元交叉熵（binary cross-entropy）** 也是。

```python
print("学习速率")
```
"""
GLOSSARY = """
| 中文 | English | 一句话解释 | 首见 |
|---|---|---|---|
| 二元交叉熵 | binary cross-entropy | 两类的损失 | {ref}`sec-loss` |
| 交叉熵 | cross-entropy, CE | 损失 | {ref}`sec-loss` |
| 学习率 | learning rate | 步长 | {ref}`sec-rate` |
| 值 | value | 数 | {ref}`sec-rate` |

| 不用 | 用 |
|---|---|
| 学习速率 | 学习率 |
"""


def problems(first=FIRST, second=SECOND, glossary=GLOSSARY):
    return check_terms({"a": first, "b": second}, glossary)


def test_a_consistent_book_has_no_problem():
    assert problems() == []


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"second": SECOND + "**步长率（learning rate）**"}, "learning rate 有两种译法"),
        ({"second": SECOND + "**学习率（step size）**"}, "既是 learning rate 与 step size"),
        ({"second": SECOND + "学习速率太大就发散。"}, "不用“学习速率”，用“学习率”"),
        ({"first": FIRST + "第 2 章讲交叉熵。"}, "第一次用“交叉熵”没有注出英文"),
        ({"first": FIRST.replace("**学习率（learning rate）**", "学习率")}, "没有讲解"),
        ({"second": SECOND + "**动量（momentum）**"}, "术语表里没有“动量”"),
        ({"glossary": GLOSSARY.replace("{ref}`sec-loss`", "{ref}`sec-rate`")}, "首见 sec-loss"),
        ({"glossary": GLOSSARY.replace("| value |", "| values |")}, "应是 value"),
        ({"glossary": GLOSSARY.replace("| 值 |", "| ReLU |")}, "没有讲解“ReLU”"),
        ({"glossary": GLOSSARY.replace("| 值 |", "| 交叉熵 |")}, "重复的中文"),
    ],
)
def test_a_planted_fault_is_found(parts, message):
    found = problems(**parts)
    assert any(message in problem for problem in found), found


def test_glossing_the_early_use_is_enough():
    early = FIRST + "第 2 章讲交叉熵（cross-entropy）与二元交叉熵（binary cross-entropy）。"
    assert problems(first=early) == []
