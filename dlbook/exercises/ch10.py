"""第 10 章练习的检查。书中：sec-exercises-10"""

from collections.abc import Callable, Iterator

import numpy as np

from dlbook.exercises import Case, exercise
from dlbook.models.least_squares import powers, solve_qr, with_ones


def _data(n: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return with_ones(random.normal(size=(n, 3))), random.normal(size=n)


@exercise("ex-10-1", title="不罚截距的岭回归")
def _(solution: Callable) -> Iterator[Case]:
    X, t = _data()
    yield Case(
        "12 个样本、3 个特征，λ = 0",
        lambda: solution(X.copy(), t.copy(), 0.0),
        solve_qr(X, t),
        hint="λ = 0 就是普通的最小二乘",
    )
    # 截距不受罚，等价于先把各列与 t 都减去平均值，再做普通的岭回归。
    center = X[:, 1:] - X[:, 1:].mean(axis=0)
    slopes = solve_qr(center, t - t.mean(), 0.7)
    expected = np.array([t.mean() - X[:, 1:].mean(axis=0) @ slopes, *slopes])
    everything = solve_qr(X, t, 0.7)
    first = np.linalg.solve(X.T @ X + np.diag([0.7, 0, 0, 0]), X.T @ t)
    half = np.linalg.solve(X.T @ X + np.diag([0, *[1.4] * 3]), X.T @ t)
    per_sample = np.linalg.solve(X.T @ X + np.diag([0, *[0.7 * len(t)] * 3]), X.T @ t)
    yield Case(
        "同上，λ = 0.7",
        lambda: solution(X.copy(), t.copy(), 0.7),
        expected,
        mistakes={
            "连截距也一起罚了": everything,
            "罚反了：只罚了截距": first,
            "λ 大了一倍：误差没有乘 1/2，惩罚也不用除": half,
            "惩罚不必乘样本数": per_sample,
            "没有用到 λ": solve_qr(X, t),
        },
    )
    yield Case(
        "目标都加 100，λ = 0.7：系数应变化 (100, 0, 0, 0)",
        lambda: np.asarray(solution(X, t + 100, 0.7)) - np.asarray(solution(X, t, 0.7)),
        np.array([100.0, 0.0, 0.0, 0.0]),
        atol=1e-8,
        hint="截距不受罚，就能自由地上下移动",
    )


@exercise("ex-10-2", title="共轭梯度法")
def _(solution: Callable) -> Iterator[Case]:
    X, y = _data()
    step = X.T @ y
    length = (step @ step) / np.sum((X @ step) ** 2)
    yield Case(
        "走 0 步",
        lambda: solution(X, y, 0),
        np.zeros(4),
        hint="起点是零向量，一步也没有走",
    )
    yield Case(
        "走 1 步",
        lambda: solution(X, y, 1),
        length * step,
        mistakes={
            "第一步的方向反了": -length * step,
            "α 的分母应是 pᵀq，q 里有两次 X": (step @ step) / (step @ step) * step,
        },
        hint="第一步沿负梯度走，步长 α = rᵀr / pᵀq",
    )
    yield Case(
        "走 4 步（4 个参数）",
        lambda: solution(X, y, 4),
        solve_qr(X, y),
        rtol=1e-8,
        hint="4 个参数至多 4 步到达精确解；若没有，多半是 β 用了新旧颠倒的 r，或 p 忘了加 β p",
    )

    def extra_steps() -> np.ndarray:
        with np.errstate(all="raise"):
            return solution(np.eye(3), np.array([1.0, 2.0, 3.0]), 10)

    yield Case(
        "X 是单位矩阵，走 10 步（第一步就已经精确）",
        extra_steps,
        np.array([1.0, 2.0, 3.0]),
        hint="残差成了 0 还接着走，就会 0 除以 0",
    )


@exercise("ex-10-3", title="留一法的捷径")
def _(solution: Callable) -> Iterator[Case]:
    def refit(X: np.ndarray, t: np.ndarray) -> float:
        rest = [np.arange(len(t)) != n for n in range(len(t))]
        left = [X[n] @ solve_qr(X[keep], t[keep]) - t[n] for n, keep in enumerate(rest)]
        return float(np.sqrt(np.mean(np.square(left))))

    for label, (X, t) in {
        "12 个样本、3 个特征": _data(),
        "10 个点的三次多项式": (powers(np.linspace(0, 1, 10), 3), _data(10, 1)[1]),
    }.items():
        Q, _ = np.linalg.qr(X)
        residual = t - Q @ (Q.T @ t)
        leverage = np.sum(Q**2, axis=1)
        yield Case(
            label,
            lambda X=X, t=t: solution(X.copy(), t.copy()),
            refit(X, t),
            mistakes={
                "这是训练误差，忘了除以 1 − H": float(np.sqrt(np.mean(residual**2))),
                "应除以 1 − H，不是乘": float(np.sqrt(np.mean((residual * (1 - leverage)) ** 2))),
                "除以了 H 而不是 1 − H": float(np.sqrt(np.mean((residual / leverage) ** 2))),
                "忘了开方": refit(X, t) ** 2,
                "平均的是绝对值，不是平方": float(np.mean(abs(residual / (1 - leverage)))),
            },
            hint="逐个样本：残差除以 1 − H 的对角元，再取均方根",
        )
