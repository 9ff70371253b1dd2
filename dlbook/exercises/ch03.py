"""第 3 章的练习。书中：sec-exercises-3"""

from collections.abc import Callable, Iterator

import numpy as np

from dlbook.backprop import one_hot, softmax
from dlbook.exercises import Case, exercise


@exercise("ex-3-1", title="稳定的 log-softmax")
def _(solution: Callable) -> Iterator[Case]:
    z = np.array([[1.0, 2.0, 3.0], [0.5, 0.5, -1.0]])
    log_prob = np.log(softmax(z)[0])
    yield Case(
        "z = [[1, 2, 3], [0.5, 0.5, -1]]",
        lambda: solution(z.copy()),
        log_prob,
        mistakes={
            "沿第 0 轴（样本）归一了；一行是一个样本，应沿 axis=1": np.log(softmax(z, axis=0)[0]),
            "对所有元素一起归一了；每一行各自的和应为 1": z - np.log(np.exp(z).sum()),
            "忘了取对数": softmax(z)[0],
        },
        hint="log-softmax 等于 z 减去该行的 log Σ exp(z)",
    )
    yield Case(
        "z = [[1000, 1001]]：指数会上溢",
        lambda: solution(np.array([[1000.0, 1001.0]])),
        np.array([[-1.31326169, -0.31326169]]),
        hint="取指数之前，每一行先减去自己的最大值",
    )
    yield Case(
        "z = [[0, 1000]]：概率会下溢成 0",
        lambda: solution(np.array([[0.0, 1000.0]])),
        np.array([[-1000.0, 0.0]]),
        hint="不要先求概率再取对数：概率下溢成 0，对数就是负无穷",
    )
    yield Case(
        "z = [[0, 1], [1000, 1001]]：两行相差悬殊",
        lambda: solution(np.array([[0.0, 1.0], [1000.0, 1001.0]])),
        np.array([[-1.31326169, -0.31326169]] * 2),
        hint="每一行减去的应是自己那一行的最大值，不是整个矩阵的最大值",
    )


@exercise("ex-3-2", title="不会死的 ReLU")
def _(solution: Callable) -> Iterator[Case]:
    dy = np.array([[2.0, -3.0, 5.0], [1.0, 4.0, -1.0]])
    x = np.array([[1.5, -0.5, -2.0], [-1.0, 3.0, 0.2]])
    yield Case(
        "dy = [[2, -3, 5], [1, 4, -1]]，x = [[1.5, -0.5, -2], [-1, 3, 0.2]]，alpha = 0.1",
        lambda: solution(dy.copy(), x, 0.1),
        np.array([[2.0, -0.3, 0.5], [0.1, 4.0, -1.0]]),
        mistakes={
            "这是普通的 ReLU，负的一侧也要放行一部分": np.where(x > 0, dy, 0),
            "忘了乘上游梯度 dy，只给出了局部的导数": np.where(x > 0, 1, 0.1),
            "这是前向的输出，不是梯度": np.where(x > 0, x, 0.1 * x),
            "按 dy 的正负来分了；闸门看的是 x": np.where(dy > 0, dy, 0.1 * dy),
        },
        hint="上游梯度乘以局部的导数：x > 0 处是 1，其余是 alpha",
    )
    yield Case(
        "x = 0 处取 alpha 一侧：dy = [1]，x = [0]，alpha = 0.25",
        lambda: solution(np.array([1.0]), np.array([0.0]), 0.25),
        np.array([0.25]),
        mistakes={"x = 0 归到了正的一侧": np.array([1.0])},
    )
    upstream = dy.copy()
    yield Case(
        "调用之后，传入的 dy 应保持不变",
        lambda: (solution(upstream, x, 0.1), upstream)[1],
        dy,
        hint="不要就地修改 dy：别处可能还要用它",
    )


@exercise("ex-3-3", title="标签平滑")
def _(solution: Callable) -> Iterator[Case]:
    z = np.array([[0.6, -0.5, 0.8], [1.0, 0.0, -1.0]])
    target, epsilon = np.array([0, 2]), 0.1
    prob, hard = softmax(z)[0], one_hot(target, 3)
    smooth = (1 - epsilon) * hard + epsilon / 3
    yield Case(
        "z = [[0.6, -0.5, 0.8], [1, 0, -1]]，target = [0, 2]，epsilon = 0.1",
        lambda: solution(z.copy(), target, epsilon),
        (prob - smooth) / 2,
        mistakes={
            "标签没有平滑": (prob - hard) / 2,
            "忘了对样本取平均": prob - smooth,
            "正负号反了；梯度是预测减标签": (smooth - prob) / 2,
            "平滑后的标签之和不是 1：epsilon 要除以类别数": (prob - (1 - epsilon) * hard - epsilon)
            / 2,
            "平滑后的标签之和不是 1：独热的部分要乘 1 − epsilon": (prob - hard - epsilon / 3) / 2,
        },
        hint="梯度是 (softmax(z) − 平滑后的标签) / m",
    )
    yield Case(
        "epsilon = 0 时就是普通的交叉熵",
        lambda: solution(z.copy(), target, 0.0),
        (prob - hard) / 2,
    )


@exercise("ex-3-4", title="前 k 名准确率")
def _(solution: Callable) -> Iterator[Case]:
    logits = np.array(
        [
            [3.0, 1.0, 2.0, 0.0],
            [0.1, 0.4, 0.3, 0.2],
            [-1.0, -2.0, -3.0, -4.0],
            [5.0, 7.0, 6.0, 8.0],
            [0.0, -0.5, 1.0, 0.5],
        ]
    )
    target = np.array([2, 1, 3, 0, 1])  # 正确类别的名次依次是 2、1、4、4、4
    for k, expected, mistakes in (
        (1, 0.2, {"取成了分数最低的 k 个": 0.6, "多算了一名": 0.4}),
        (2, 0.4, {"只看了第一名": 0.2, "取成了分数最低的 k 个": 0.6}),
        (3, 0.4, {"只看了第一名": 0.2, "多算了一名：k 个类别更高时，名次是 k + 1": 1.0}),
        (4, 1.0, {}),
    ):
        yield Case(
            f"5 个样本，正确类别的名次是 2、1、4、4、4，k = {k}",
            lambda k=k: solution(logits.copy(), target, k),
            expected,
            mistakes=mistakes,
            hint="名次不超过 k 的样本占几分之几？",
        )
