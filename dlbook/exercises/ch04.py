"""第 4 章的练习。书中：sec-exercises-4"""

from collections.abc import Callable, Iterator

import numpy as np

from dlbook.exercises import Case, exercise


@exercise("ex-4-1", title="空洞卷积的感受野")
def _(solution: Callable) -> Iterator[Case]:
    yield Case(
        "layers = [(5, 1, 1)]：一层普通的 5×5",
        lambda: solution([(5, 1, 1)]),
        5,
        mistakes={"少算了窗口的第一格：一层 5×5 的感受野是 5": 4},
        hint="从 1 开始，每层加上窗口首尾的距离",
    )
    yield Case(
        "layers = [(3, 1, 4)]：一层空洞为 4 的 3×3",
        lambda: solution([(3, 1, 4)]),
        9,
        mistakes={
            "没有用上空洞": 3,
            "空洞乘的是核的大小；应乘首尾相隔的 k − 1": 12,
        },
        hint="空洞为 d 的核，首尾相隔 d(k − 1) 格",
    )
    yield Case(
        "layers = [(5, 2, 1), (3, 1, 1), (2, 2, 1), (3, 1, 1), (2, 2, 1)]：本章的网络",
        lambda: solution([(5, 2, 1), (3, 1, 1), (2, 2, 1), (3, 1, 1), (2, 2, 1)]),
        23,
        mistakes={
            "步幅没有用上：前面各层的步幅要连乘": 11,
            "这一层自己的步幅也乘进去了；它只影响后面的层": 33,
        },
        hint="第 l 层的窗口每挪一格，在原图上挪前面各层步幅之积",
    )
    yield Case(
        "layers = [(3, 2, 1), (3, 1, 3), (3, 2, 2)]：步幅与空洞都有",
        lambda: solution([(3, 2, 1), (3, 1, 3), (3, 2, 2)]),
        23,
        mistakes={"空洞不改变步幅之积": 39},
        hint="空洞只影响本层窗口的宽，不影响后面各层",
    )


@exercise("ex-4-2", title="平均池化的反向")
def _(solution: Callable) -> Iterator[Case]:
    dy = np.array([[[[4.0, 8.0], [12.0, 16.0]]]])
    spread = np.array([[1.0, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])[None, None]
    yield Case(
        "dy = [[4, 8], [12, 16]]，k = 2",
        lambda: solution(dy.copy(), 2),
        spread,
        mistakes={
            "忘了除以 k²": 4 * spread,
            "只除以了 k；窗口里有 k² 格": 2 * spread,
            "平铺了整张图（np.tile）；应放大每一格（np.repeat）": np.tile(dy / 4, (1, 1, 2, 2)),
        },
        hint="每一格梯度平分给窗口里的 k² 格",
    )
    rng = np.random.default_rng(0)
    dy = rng.normal(size=(2, 3, 2, 4))
    yield Case(
        "dy 的形状是 (2, 3, 2, 4)，k = 3",
        lambda: solution(dy.copy(), 3),
        np.kron(dy, np.ones((1, 1, 3, 3))) / 9,
        hint="输出的形状应是 (2, 3, 6, 12)；长和宽可以不相等",
    )
    upstream = dy.copy()
    yield Case(
        "调用之后，传入的 dy 应保持不变",
        lambda: (solution(upstream, 3), upstream)[1],
        dy,
        hint="不要就地修改 dy：别处可能还要用它",
    )


@exercise("ex-4-3", title="逐通道卷积")
def _(solution: Callable) -> Iterator[Case]:
    x = np.arange(18.0).reshape(1, 2, 3, 3)
    weight = np.array([[[1.0, 0.0], [0.0, -1.0]], [[1.0, 2.0], [3.0, 4.0]]])
    right = _depthwise(x, weight)
    yield Case(
        "x 是 0 到 17，形状 (1, 2, 3, 3)；weight = [[[1, 0], [0, −1]], [[1, 2], [3, 4]]]",
        lambda: solution(x, weight),
        right,
        mistakes={
            "各通道加在一起了；逐通道卷积不混合通道": np.repeat(
                right.sum(axis=1, keepdims=True), 2, axis=1
            ),
            "核转了半圈；深度学习里的卷积不翻转": _depthwise(x, weight[:, ::-1, ::-1]),
            "所有通道都用了第一个核": _depthwise(x, weight[[0, 0]]),
            "核的行列弄反了": _depthwise(x, weight.transpose(0, 2, 1)),
        },
        hint="第 c 个输出通道只看第 c 个输入通道与第 c 个核",
    )
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 3, 5, 7)), rng.normal(size=(3, 3, 3))
    yield Case(
        "x 的形状是 (2, 3, 5, 7)，weight 的形状是 (3, 3, 3)",
        lambda: solution(x, weight),
        _depthwise(x, weight),
        mistakes={"核转了半圈": _depthwise(x, weight[:, ::-1, ::-1])},
        rtol=1e-6,
        hint="输出的形状应是 (2, 3, 3, 5)",
    )
    kept = x.copy()
    yield Case(
        "调用之后，传入的 x 应保持不变",
        lambda: (solution(kept, weight), kept)[1],
        x,
        hint="不要就地修改 x",
    )


def _depthwise(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    k = weight.shape[1:]
    windows = np.lib.stride_tricks.sliding_window_view(x, k, axis=(2, 3))
    return np.einsum("ncijuv,cuv->ncij", windows, weight)
