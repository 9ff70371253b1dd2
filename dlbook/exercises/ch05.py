"""第 5 章的练习。书中：sec-exercises-5"""

from collections.abc import Callable, Iterator

import numpy as np

from dlbook.exercises import Case, exercise


@exercise("ex-5-1", title="泊松损失")
def _(solution: Callable) -> Iterator[Case]:
    z, y = np.array([0.0, 1.0, -0.5, 2.0]), np.array([1.0, 0.0, 2.0, 7.0])
    rate = np.exp(z)
    loss, grad = np.mean(rate - y * z), (rate - y) / 4
    yield Case(
        "z = [0, 1, −0.5, 2]，y = [1, 0, 2, 7]",
        lambda: tuple(np.asarray(part) for part in solution(z.copy(), y.copy())),
        (np.asarray(loss), grad),
        mistakes={
            "梯度忘了除以样本数；损失是平均": (np.asarray(loss), rate - y),
            "损失没有取平均": (np.asarray(4 * loss), grad),
            "梯度的符号反了": (np.asarray(loss), -grad),
            "把 z 当成了 λ；题目里 λ = exp(z)": (np.asarray(np.mean(z - y * z)), (1 - y) / 4),
        },
        hint="损失是 exp(z) − y·z 的平均，梯度是 (exp(z) − y)/m",
    )
    z2 = np.array([[0.3, -1.2], [0.0, 0.7]])
    y2 = np.array([[0.0, 3.0], [1.0, 2.0]])
    yield Case(
        "z、y 是 2×2 的数组",
        lambda: solution(z2.copy(), y2.copy())[1],
        (np.exp(z2) - y2) / 4,
        mistakes={"除以了行数；平均是对所有元素的": (np.exp(z2) - y2) / 2},
        hint="梯度的形状与 z 相同，除以元素的总个数",
    )


def _ece(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    group = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        (group == g).mean() * abs(correct[group == g].mean() - confidence[group == g].mean())
        for g in np.unique(group)
    ]
    return float(np.sum(gaps))


@exercise("ex-5-2", title="期望校准误差")
def _(solution: Callable) -> Iterator[Case]:
    confidence = np.array([0.95, 0.92, 0.55, 0.58, 0.52, 0.15])
    correct = np.array([True, False, True, True, False, False])
    yield Case(
        "confidence = [0.95, 0.92, 0.55, 0.58, 0.52, 0.15]，correct = [T, F, T, T, F, F]，10 组",
        lambda: solution(confidence.copy(), correct.copy(), 10),
        _ece(confidence, correct, 10),
        mistakes={
            "各组没有按人数加权": np.mean([0.435, abs(0.55 - 2 / 3), 0.15]),
            "没有分组，或各组的差没有取绝对值，正负抵消了": abs(confidence.mean() - correct.mean()),
        },
        hint="每组 |准确率 − 平均把握|，乘以这一组占总数的比例，再相加",
    )
    yield Case(
        "confidence 全是 1，一半答对，5 组",
        lambda: solution(np.ones(4), np.array([True, True, False, False]), 5),
        0.5,
        hint="把握恰为 1 的归入最后一组；空组不计",
    )
    rng = np.random.default_rng(0)
    many, hit = rng.uniform(0, 1, 500), rng.uniform(0, 1, 500) < 0.6
    yield Case(
        "500 个随机的预测，15 组",
        lambda: solution(many.copy(), hit.copy(), 15),
        _ece(many, hit, 15),
        hint="组号是把握乘以组数再取整数部分",
    )


@exercise("ex-5-3", title="分位数损失")
def _(solution: Callable) -> Iterator[Case]:
    y = np.array([1.0, 2.0, 4.0])
    prediction = np.array([2.0, 2.0, 1.0])
    yield Case(
        "prediction = [2, 2, 1]，y = [1, 2, 4]，tau = 0.9",
        lambda: solution(prediction.copy(), y.copy(), 0.9),
        (0.1 * 1 + 0 + 0.9 * 3) / 3,
        mistakes={
            "高估与低估的权重弄反了；偏低应当罚 tau": (0.9 * 1 + 0.1 * 3) / 3,
            "没有取平均": 0.1 + 2.7,
            "高估一侧的罚分成了负的": (-0.1 * 1 + 0.9 * 3) / 3,
        },
        hint="记 e = y − prediction，罚分是 tau·e 与 (tau − 1)·e 中较大的",
    )
    yield Case(
        "tau = 0.5：应是平均绝对误差的一半",
        lambda: solution(prediction.copy(), y.copy(), 0.5),
        0.5 * np.abs(prediction - y).mean(),
        hint="tau = 0.5 时两侧的罚分相同",
    )


@exercise("ex-5-4", title="两个高斯之间的 KL 散度")
def _(solution: Callable) -> Iterator[Case]:
    def kl(m1: float, s1: float, m2: float, s2: float) -> float:
        return np.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5

    yield Case("两个相同的分布", lambda: solution(0.3, 1.7, 0.3, 1.7), 0.0, atol=1e-12,
               hint="相同的分布之间是 0")  # fmt: skip
    yield Case(
        "N(1, 2²) 到 N(0, 1)",
        lambda: solution(1.0, 2.0, 0.0, 1.0),
        kl(1, 2, 0, 1),
        mistakes={
            "两个分布的次序反了": kl(0, 1, 1, 2),
            "把标准差当成了方差": kl(1, np.sqrt(2), 0, 1),
            "漏了 −1/2": kl(1, 2, 0, 1) + 0.5,
            "对数项的分子分母反了": kl(1, 2, 0, 1) - 2 * np.log(0.5),
        },
        hint="log(σ₂/σ₁) + (σ₁² + (μ₁ − μ₂)²)/(2σ₂²) − 1/2",
    )
    yield Case("N(−0.5, 0.4²) 到 N(2, 3²)", lambda: solution(-0.5, 0.4, 2.0, 3.0),
               kl(-0.5, 0.4, 2, 3), hint="再对照一遍公式")  # fmt: skip
