"""第 6 章的练习。书中：sec-exercises-6"""

from collections.abc import Callable, Iterator

import numpy as np

from dlbook.exercises import Case, exercise


def _adam(
    gradients: np.ndarray, lr: float, beta1: float, beta2: float, eps: float, *,
    correct: bool = True, inside: bool = False, start: int = 1,
) -> np.ndarray:  # fmt: skip
    """照公式走；correct、inside、start 用来造出常见的错法。"""
    x = m = s = np.zeros(gradients.shape[1])
    path = []
    for t, g in enumerate(gradients, start=start):
        m, s = beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g * g
        m_hat, s_hat = (m / (1 - beta1**t), s / (1 - beta2**t)) if correct else (m, s)
        x = x - lr * m_hat / (np.sqrt(s_hat + eps) if inside else np.sqrt(s_hat) + eps)
        path.append(x)
    return np.array(path)


@exercise("ex-6-1", title="亲手写 Adam")
def _(solution: Callable) -> Iterator[Case]:
    gradients = np.array([[1.0, -0.1], [0.5, -0.1], [-2.0, 0.3], [0.0, 0.3]])
    options = (0.1, 0.9, 0.99, 1e-3)
    right = _adam(gradients, *options)
    yield Case(
        "四步的梯度，lr = 0.1，β₁ = 0.9，β₂ = 0.99，ε = 1e-3",
        lambda: np.asarray(solution(gradients.copy(), *options)),
        right,
        mistakes={
            "没有做偏差修正": _adam(gradients, *options, correct=False),
            "ε 加到了根号里面；应在开方之后再加": _adam(gradients, *options, inside=True),
            "步数 t 应从 1 数起": _adam(gradients, *options, start=2),
            "方向反了；位置要减去更新量": -right,
            "返回的是每一步的改变，不是位置": np.diff(right, axis=0, prepend=0.0),
        },
        hint="照公式逐行写：m、s、修正、更新",
    )
    rng = np.random.default_rng(0)
    many = rng.normal(size=(50, 3))
    yield Case(
        "五十步随机的梯度",
        lambda: np.asarray(solution(many.copy(), 0.01, 0.9, 0.999, 1e-8)),
        _adam(many, 0.01, 0.9, 0.999, 1e-8),
        hint="偏差修正不要写回 m、s 本身，否则下一步就错了",
    )


@exercise("ex-6-2", title="梯度裁剪")
def _(solution: Callable) -> Iterator[Case]:
    gradients = [np.array([2.0, 2.0, 1.0]), np.array([[4.0], [0.0]])]

    def answer(limit: float) -> tuple:
        clipped, norm = solution([g.copy() for g in gradients], limit)
        return [np.asarray(g) for g in clipped], float(norm)

    yield Case(
        "[[2, 2, 1], [[4], [0]]]，limit = 1",
        lambda: answer(1.0),
        ([gradients[0] / 5, gradients[1] / 5], 5.0),
        mistakes={
            "各裁各的，整体的方向变了": ([gradients[0] / 3, gradients[1] / 4], 5.0),
            "返回的长度应是裁剪之前的": ([gradients[0] / 5, gradients[1] / 5], 1.0),
            "按元素截断了；应当整体缩小": ([np.ones(3), np.array([[1.0], [0.0]])], 5.0),
            "忘了开平方": ([gradients[0] / 25, gradients[1] / 25], 25.0),
        },
        hint="长度 √(2² + 2² + 1² + 4²) = 5，全部乘以 1/5",
    )
    yield Case(
        "同样的梯度，limit = 10：没有超过，原样返回",
        lambda: answer(10.0),
        (gradients, 5.0),
        mistakes={"不超过时也放大了": ([2 * g for g in gradients], 5.0)},
        hint="只在超过时才缩小",
    )

    def untouched() -> bool:
        own = [g.copy() for g in gradients]
        solution(own, 1.0)
        return all((a == b).all() for a, b in zip(own, gradients, strict=True))

    yield Case("裁剪之后，传入的数组应原封不动", untouched, True, hint="不要就地修改")


@exercise("ex-6-3", title="该初始化成多大")
def _(solution: Callable) -> Iterator[Case]:
    yield Case(
        "n = 256，alpha = 0：就是 He",
        lambda: solution(256, 0.0),
        np.sqrt(2 / 256),
        mistakes={
            "返回了方差；要的是标准差": 2 / 256,
            "分子少了 2": np.sqrt(1 / 256),
        },
        hint="alpha = 0 时是 ReLU",
    )
    yield Case(
        "n = 100，alpha = 0.5",
        lambda: solution(100, 0.5),
        np.sqrt(2 / (1.25 * 100)),
        mistakes={
            "alpha 应当平方": np.sqrt(2 / (1.5 * 100)),
            "没有用上 alpha": np.sqrt(2 / 100),
        },
        hint="E[a²] = ½(1 + α²) Var(z′)",
    )
    yield Case("n = 64，alpha = 1：就是线性层", lambda: solution(64, 1.0), 1 / 8,
               hint="alpha = 1 时激活函数什么也不做")  # fmt: skip
