"""第 9 章的练习。书中：sec-exercises-9"""

from collections.abc import Callable, Iterator

import numpy as np

from dlbook.exercises import Case, exercise


@exercise("ex-9-1", title="数值雅可比矩阵")
def _(solution: Callable) -> Iterator[Case]:
    yield Case(
        "f(x) = x³（逐元素），h = 0.1：中心差分的误差是 h²",
        lambda: solution(lambda v: v**3, np.array([1.0, 2.0]), 0.1),
        np.diag([3.01, 12.01]),
        rtol=1e-9,
        atol=1e-12,
        mistakes={
            "差商的分母应是 2h": np.diag([6.02, 24.02]),
            "用了前向差分，误差大得多": np.diag([3.31, 12.61]),
        },
        hint="用中心差分，并且用上给定的 h",
    )

    def polar(v: np.ndarray) -> np.ndarray:
        return np.array([v[0] * np.cos(v[1]), v[0] * np.sin(v[1]), v[0] ** 2])

    x = np.array([1.5, 0.4])
    c, s = np.cos(0.4), np.sin(0.4)
    J = np.array([[c, -1.5 * s], [s, 1.5 * c], [3.0, 0.0]])
    yield Case(
        "f(x) = (x₁cos x₂, x₁sin x₂, x₁²)，x = [1.5, 0.4]，h = 1e-5",
        lambda: solution(polar, x.copy(), 1e-5),
        J,
        rtol=1e-6,
        atol=1e-8,
        mistakes={
            "转置了；输出管行，输入管列": J.T,
            "差商的分母应是 2h": 2 * J,
        },
        hint="第 j 列是 (f(x + h·eⱼ) − f(x − h·eⱼ)) / 2h",
    )

    def untouched() -> bool:
        point = x.copy()
        solution(polar, point, 1e-5)
        return bool((point == x).all())

    yield Case("调用之后，x 应当原封不动", untouched, True, hint="不要就地修改 x")


@exercise("ex-9-2", title="二次型的梯度")
def _(solution: Callable) -> Iterator[Case]:
    A, x = np.array([[1.0, 2.0], [-3.0, 4.0]]), np.array([1.0, -2.0])
    yield Case(
        "A = [[1, 2], [−3, 4]]，x = [1, −2]",
        lambda: solution(A.copy(), x.copy()),
        (A + A.T) @ x,
        mistakes={
            "只在 A 对称时才是 2Ax": 2 * A @ x,
            "漏了一处 x：这是 Ax": A @ x,
            "漏了一处 x：这是 Aᵀx": A.T @ x,
            "A 与 Aᵀ 相减了": (A - A.T) @ x,
        },
        hint="x 出现了两次，两处的贡献相加",
    )
    B = np.random.default_rng(0).normal(size=(5, 5))
    yield Case(
        "随机的 5×5 矩阵",
        lambda: solution(B.copy(), np.arange(5.0)),
        (B + B.T) @ np.arange(5.0),
        hint="(A + Aᵀ) x",
    )


@exercise("ex-9-3", title="很多条证据")
def _(solution: Callable) -> Iterator[Case]:
    prior = np.array([0.2, 0.5, 0.3])
    evidence = np.array([[0.9, 0.1, 0.5], [0.4, 0.3, 0.2]])
    score = prior * evidence.prod(axis=0)
    yield Case(
        "先验 [0.2, 0.5, 0.3]，两条证据",
        lambda: solution(np.log(prior), np.log(evidence)),
        score / score.sum(),
        mistakes={
            "没有用上先验": evidence.prod(axis=0) / evidence.prod(axis=0).sum(),
            "没有归一化": score,
            "返回了对数": np.log(score / score.sum()),
            "只用了第一条证据": prior * evidence[0] / (prior @ evidence[0]),
            "证据取了平均而不是相加": (w := prior * np.sqrt(evidence.prod(axis=0))) / w.sum(),
        },
        hint="对数先验加上各条证据的对数之和，再做 softmax",
    )
    many = np.tile(np.log([[0.6, 0.5]]), (5000, 1))
    yield Case(
        "5000 条证据：概率之积早已下溢",
        lambda: solution(np.log([0.5, 0.5]), many),
        np.array([1.0, 0.0]),
        atol=1e-12,
        hint="取指数之前先减去最大值",
    )


@exercise("ex-9-4", title="自己写抽样")
def _(solution: Callable) -> Iterator[Case]:
    p, u = np.array([0.5, 0.25, 0.25]), np.array([0.0, 0.3, 0.5, 0.74, 0.75, 0.99])
    yield Case(
        "p = [0.5, 0.25, 0.25]，u = [0, 0.3, 0.5, 0.74, 0.75, 0.99]",
        lambda: np.asarray(solution(p.copy(), u.copy())),
        np.array([0, 0, 1, 1, 2, 2]),
        mistakes={
            "边界归到了左边一段；应当左闭右开": np.array([0, 0, 0, 1, 1, 2]),
            "总是选了概率最大的": np.zeros(6, int),
            "下标从 1 数起了": np.array([1, 1, 2, 2, 3, 3]),
        },
        hint="u 落在哪一段累积概率里",
    )
    zero = np.array([0.0, 0.5, 0.0, 0.5, 0.0])
    yield Case(
        "p = [0, 0.5, 0, 0.5, 0]，u = [0, 0.5, 0.999]",
        lambda: np.asarray(solution(zero.copy(), np.array([0.0, 0.5, 0.999]))),
        np.array([1, 3, 3]),
        hint="概率为 0 的那一段没有长度，不能被选中",
    )
    short = np.full(10, 0.1 - 1e-12)
    yield Case(
        "十个概率之和略小于 1，u = [1 − 1e−16]",
        lambda: np.asarray(solution(short.copy(), np.array([np.nextafter(1.0, 0.0)]))),
        np.array([9]),
        hint="超出最后一段时，取最后一个概率不为 0 的",
    )
