"""第 12 章练习的检查。书中：sec-exercises-12"""

from collections.abc import Callable, Iterator

import numpy as np

from dlbook.autograd.gradcheck import numerical_gradient
from dlbook.exercises import Case, exercise


def _softmax(o: np.ndarray) -> np.ndarray:
    e = np.exp(o - o.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@exercise("ex-12-1", title="log-softmax 的反向")
def _(solution: Callable) -> Iterator[Case]:
    s = np.array([[1 / 6, 1 / 3, 1 / 2]])
    g = np.array([[1.0, 0.0, -1.0]])
    yield Case(
        "s = (1/6, 1/3, 1/2)，上游梯度 (1, 0, −1)",
        lambda: solution(g, s),
        g.copy(),
        mistakes={
            "这是 softmax 的反向，log 的那一步没有算进去": np.array([[2 / 9, 1 / 9, -1 / 3]]),
            "减去的应是 s 乘以上游梯度之和，不是逐元素的 s ⊙ g": np.array([[5 / 6, 0, -1 / 2]]),
        },
        hint="上游梯度之和是 0 时，梯度恰好等于上游梯度",
    )
    g2 = np.array([[0.0, 0.0, 1.0]])
    yield Case(
        "s 同上，上游梯度 (0, 0, 1)",
        lambda: solution(g2, s),
        np.array([[-1 / 6, -1 / 3, 1 / 2]]),
        mistakes={
            "漏了减去的一项": g2,
            "符号反了": np.array([[1 / 6, 1 / 3, -1 / 2]]),
            "减去的是上游梯度之和，忘了乘 s": np.array([[-1.0, -1.0, 0.0]]),
        },
    )
    random = np.random.default_rng(0)
    o, g3 = random.normal(size=(3, 4)), random.normal(size=(3, 4))

    def loss(o: np.ndarray) -> float:
        return float(np.sum(g3 * np.log(_softmax(o))))

    yield Case(
        "3 行随机的数，与数值微分比较",
        lambda: solution(g3, _softmax(o)),
        numerical_gradient(loss, o),
        rtol=1e-6,
        atol=1e-8,
        hint="每一行各算各的：求和要沿最后一轴，并留下长度 1 的轴（keepdims=True）",
    )


@exercise("ex-12-2", title="单位化的反向")
def _(solution: Callable) -> Iterator[Case]:
    x, g = np.array([[3.0, 4.0]]), np.array([[1.0, 0.0]])
    yield Case(
        "x = (3, 4)，上游梯度 (1, 0)",
        lambda: solution(g, x),
        np.array([[0.128, -0.096]]),
        mistakes={
            "把长度当成了常数，漏了经由长度的那条路": np.array([[0.2, 0.0]]),
            "最后忘了除以长度": np.array([[0.64, -0.48]]),
            "两条路应当一加一减，符号反了": np.array([[0.272, 0.096]]),
            "y 与 g 的点积应求和成一个数": np.array([[0.128, 0.0]]),
        },
        hint="长度是 5，y = (3/5, 4/5)",
    )
    yield Case(
        "x = (3, 4)，上游梯度与 x 同方向：(6, 8)",
        lambda: solution(np.array([[6.0, 8.0]]), x),
        np.zeros((1, 2)),
        atol=1e-12,
        hint="沿 x 的方向伸缩不改变 y，所以这个方向上的梯度应当是 0",
    )
    random = np.random.default_rng(1)
    x3, g3 = random.normal(size=(3, 4)), random.normal(size=(3, 4))

    def loss(x: np.ndarray) -> float:
        return float(np.sum(g3 * x / np.linalg.norm(x, axis=1, keepdims=True)))

    yield Case(
        "3 行随机的数，与数值微分比较",
        lambda: solution(g3, x3),
        numerical_gradient(loss, x3),
        rtol=1e-6,
        atol=1e-8,
        hint="每一行各算各的：长度与点积都沿最后一轴",
    )


@exercise("ex-12-3", title="广播的反向")
def _(solution: Callable) -> Iterator[Case]:
    g = np.arange(6.0).reshape(2, 3)
    yield Case(
        "g 形状 (2, 3)，原形状 (3,)",
        lambda: solution(g, (3,)),
        np.array([3.0, 5.0, 7.0]),
        mistakes={
            "应求和，不是求平均": np.array([1.5, 2.5, 3.5]),
            "广播出来的轴要求和，不是只取第一份": np.array([0.0, 1.0, 2.0]),
            "求和之后留下了长度 1 的轴，形状多了一维": np.array([[3.0, 5.0, 7.0]]),
        },
    )
    yield Case(
        "g 形状 (2, 3)，原形状 (2, 1)",
        lambda: solution(g, (2, 1)),
        np.array([[3.0], [12.0]]),
        mistakes={"求和之后要留下长度 1 的轴": np.array([3.0, 12.0])},
        hint="长度 1 被拉长的轴也要求和，并留下长度 1",
    )
    yield Case(
        "g 形状 (2, 3)，原形状 (2, 3)",
        lambda: solution(g, (2, 3)),
        g.copy(),
        hint="没有广播过，原样返回",
    )
    yield Case(
        "g 形状 (2, 3)，原形状 ()",
        lambda: solution(g, ()),
        np.array(15.0),
        hint="一个数广播给所有元素，梯度是全部之和",
    )
    g4 = np.random.default_rng(2).normal(size=(4, 2, 3))
    yield Case(
        "g 形状 (4, 2, 3)，原形状 (1, 3)",
        lambda: solution(g4, (1, 3)),
        g4.sum(axis=(0, 1))[None],
        hint="前面多出来的轴与长度 1 的轴可以同时出现",
    )
