"""第 1 章的练习。书中：sec-exercises-1"""

from collections.abc import Callable, Iterator

import numpy as np

from dlbook.exercises import Case, exercise


@exercise("ex-1-1", title="把文字变成数")
def _(solution: Callable) -> Iterator[Case]:
    yield Case(
        "text = “白日”，vocab = “山日白”",
        lambda: list(solution("白日", "山日白")),
        [2, 1],
        mistakes={"编号从 1 数起了；位置由 0 数起": [3, 2]},
        hint="每个字换成它在 vocab 里的位置",
    )
    yield Case(
        "text = “白云山”，vocab = “山日白”：“云”不在词表里",
        lambda: list(solution("白云山", "山日白")),
        [2, 3, 0],
        mistakes={
            "不认识的字被丢掉了；应换成 len(vocab)": [2, 0],
            "不认识的字换成了 −1；应换成 len(vocab)": [2, -1, 0],
            "不认识的字换成了 0，与第一个字分不开": [2, 0, 0],
        },
        hint="不在 vocab 里的字换成 len(vocab)",
    )
    yield Case("text 是空的", lambda: list(solution("", "山日白")), [], hint="空的文字得空列表")


@exercise("ex-1-2", title="折扣回报")
def _(solution: Callable) -> Iterator[Case]:
    yield Case(
        "rewards = [0, 0, 1]，discount = 0.5",
        lambda: np.asarray(solution([0.0, 0.0, 1.0], 0.5), float),
        np.array([0.25, 0.5, 1.0]),
        mistakes={
            "把过去的奖励算进来了；只算之后的": np.array([0.0, 0.0, 1.0]),
            "没有打折扣": np.array([1.0, 1.0, 1.0]),
            "次序反了；第一项是第一步的": np.array([1.0, 0.5, 0.25]),
            "连这一步的奖励也打了折扣": np.array([0.125, 0.25, 0.5]),
        },
        hint="最后一步的收获是 1，往前每一步乘一次 discount",
    )
    yield Case(
        "rewards = [1, −2, 3, 0.5]，discount = 0.9",
        lambda: np.asarray(solution([1.0, -2.0, 3.0, 0.5], 0.9), float),
        np.array([1 + 0.9 * (-2 + 0.9 * (3 + 0.9 * 0.5)), -2 + 0.9 * (3 + 0.9 * 0.5), 3.45, 0.5]),
        hint="G_t = r_t + γ·G_{t+1}，从最后一步往前算",
    )


@exercise("ex-1-3", title="ε-贪心")
def _(solution: Callable) -> Iterator[Case]:
    values = np.array([0.1, 0.7, 0.2, 0.0])
    yield Case(
        "values = [0.1, 0.7, 0.2, 0]，epsilon = 0.2",
        lambda: np.asarray(solution(values.copy(), 0.2), float),
        np.array([0.05, 0.85, 0.05, 0.05]),
        mistakes={
            "估值最高的也会被随便选到，应再加上 ε / n": np.array([0.05, 0.8, 0.05, 0.05]),
            "随便选时漏了估值最高的；它也在 n 个之中": np.array([0.2, 2.4, 0.2, 0.2]) / 3,
            "ε 与 1 − ε 弄反了": np.array([0.2, 0.4, 0.2, 0.2]),
        },
        hint="每个动作先分到 ε / n，估值最高的再加 1 − ε",
    )
    yield Case("epsilon = 0：不探索", lambda: np.asarray(solution(values.copy(), 0.0), float),
               np.array([0.0, 1, 0, 0]), hint="ε = 0 时总选估值最高的")  # fmt: skip
    yield Case("epsilon = 1：完全随机", lambda: np.asarray(solution(values.copy(), 1.0), float),
               np.full(4, 0.25), hint="ε = 1 时各个动作一样可能")  # fmt: skip
