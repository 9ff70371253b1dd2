"""第 2 章练习的检查。书中：sec-exercises-2"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from dlbook.autograd.scalar import Value
from dlbook.exercises import Case, exercise


@exercise("ex-2-1", title="更准的差分")
def _(solution: Callable) -> Iterator[Case]:
    yield Case(
        "f(x) = x，x = 2，h = 0.5",
        lambda: solution(lambda x: x, 2.0, 0.5),
        1.0,
        mistakes={
            "分母忘了乘 h": 0.5,
            "分母忘了乘 12": 12.0,
            "正负号整个反了": -1.0,
            "外侧两点（x ± 2h）的符号反了": 5 / 3,
            "漏了系数 8": -1 / 6,
        },
        hint="先核对分母 12h，再核对四个系数的符号",
    )
    # 四次多项式的五阶导数为零，公式对它应当没有截断误差。
    yield Case(
        "f(x) = x⁴ − x³，x = 1，h = 0.5",
        lambda: solution(lambda x: x**4 - x**3, 1.0, 0.5),
        1.0,
        rtol=1e-9,
        mistakes={"这是步长为 h 的中心差分，误差只有 O(h²)": 1.75},
        hint="对四次多项式，这个公式没有截断误差",
    )
    yield Case(
        "f(x) = eˣ，x = 0，h = 0.1",
        lambda: solution(math.exp, 0.0, 0.1),
        1.0,
        rtol=5e-6,
        hint="误差应约为 h⁴/30，即 3e-6",
    )

    def distinct_points() -> set[float]:
        visited = set()

        def f(x: float) -> float:
            visited.add(round(x, 9))
            return x**2

        solution(f, 1.0, 0.25)
        return visited

    yield Case(
        "x = 1，h = 0.25 时用到了哪些点",
        distinct_points,
        {0.5, 0.75, 1.25, 1.5},
        hint="应当只用 x ± h 与 x ± 2h 四个点",
    )


@exercise("ex-2-2", title="带权的均方误差")
def _(solution: Callable) -> Iterator[Case]:
    x, y = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 4.0])
    yield Case(
        "三点例子，权全为 1，W = 1，b = 1",
        lambda: _pair(solution(x, y, np.ones(3), 1.0, 1.0)),
        np.array([-2.0, -4 / 3]),
        mistakes={
            "忘了平方求导带来的 2": np.array([-1.0, -2 / 3]),
            "符号反了：残差应是预测减真实": np.array([2.0, 4 / 3]),
            "对 W 的偏导数忘了乘 x": np.array([-4 / 3, -4 / 3]),
            "忘了除以权之和": np.array([-6.0, -4.0]),
            "返回的次序反了，应是 (dW, db)": np.array([-4 / 3, -2.0]),
        },
        hint="权全为 1 时应当与普通的均方误差相同",
    )
    r = np.array([1.0, 2.0, 5.0])
    yield Case(
        "三点例子，权为 1、2、5，W = 1，b = 1",
        lambda: _pair(solution(x, y, r, 1.0, 1.0)),
        np.array([-3.0, -1.75]),
        mistakes={
            "分母应是权之和，而不是样本个数": np.array([-8.0, -14 / 3]),
            "没有用到权": np.array([-2.0, -4 / 3]),
            "权乘了两遍": np.array([-13.5, -7.25]),
        },
    )
    yield Case(
        "同上，权都乘以 10（结果应当不变）",
        lambda: _pair(solution(x, y, 10 * r, 1.0, 1.0)),
        np.array([-3.0, -1.75]),
        hint="只有权的相对大小要紧",
    )
    # 随机数据：与损失的数值微分比较。
    random = np.random.default_rng(0)
    x, y, r = random.normal(size=20), random.normal(size=20), random.uniform(0.1, 2, 20)

    def loss(W: float, b: float) -> float:
        return float(np.average((W * x + b - y) ** 2, weights=r))

    h = 1e-5
    yield Case(
        "20 个随机样本，W = 0.3，b = -0.7，与数值微分比较",
        lambda: _pair(solution(x, y, r, 0.3, -0.7)),
        np.array([
            (loss(0.3 + h, -0.7) - loss(0.3 - h, -0.7)) / (2 * h),
            (loss(0.3, -0.7 + h) - loss(0.3, -0.7 - h)) / (2 * h),
        ]),
        rtol=1e-6,
    )  # fmt: skip


def _pair(result: object) -> np.ndarray:
    """把 (dW, db) 变成形状 (2,) 的数组；不是两个数就报错。"""
    array = np.array(result, dtype=float)
    if array.shape != (2,):
        raise TypeError(f"应返回两个数 (dW, db)，收到形状 {array.shape}")
    return array


@exercise("ex-2-3", title="给引擎添一个运算")
def _(solution: Callable) -> Iterator[Case]:
    yield Case(
        "sigmoid(Value(0.5)) 的类型",
        lambda: type(solution(Value(0.5))).__name__,
        "Value",
        hint="返回普通的数，计算图就断了，梯度传不回去",
    )
    for a in (0.5, -2.0):
        s = 1 / (1 + math.exp(-a))
        yield Case(
            f"sigmoid(Value({a})) 的值",
            lambda a=a: solution(Value(a)).data,
            s,
            mistakes={"这是 σ(−a)，符号反了": 1 - s, "这是 tanh(a)": math.tanh(a)},
        )

        def gradient(a: float = a) -> float:
            v = Value(a)
            solution(v).backward()
            return v.grad

        yield Case(
            f"a = {a} 处的梯度",
            gradient,
            s * (1 - s),
            mistakes={
                "导数应是 σ(1 − σ)，不是 σ(1 + σ)": s * (1 + s),
                "用了 tanh 的导数 1 − y²": 1 - s**2,
                "局部导数里的 σ 应取输出，不是输入": a * (1 - a),
                "梯度没有传到输入": 0.0,
            },
        )
    s = 1 / (1 + math.exp(-0.5))

    def chained() -> float:
        v = Value(0.5)
        (solution(v) ** 2 * 3 + v).backward()
        return v.grad

    yield Case(
        "y = 3 σ(a)² + a，a = 0.5 处的梯度",
        chained,
        6 * s * s * (1 - s) + 1,
        mistakes={
            "规则里要乘上游传来的梯度 g": s * (1 - s) + 1,
            "梯度要累加，不能覆盖": 6 * s * s * (1 - s),
        },
    )

    def extremes() -> np.ndarray:
        return np.array([solution(Value(a)).data for a in (-1000.0, 1000.0)])

    yield Case(
        "a = −1000 与 a = 1000 的值",
        extremes,
        np.array([0.0, 1.0]),
        atol=1e-12,
        hint="math.exp(1000) 会溢出；tanh 不会",
    )
