"""第 11 章练习的检查。书中：sec-exercises-11"""

from collections.abc import Callable, Iterator

import numpy as np

from dlbook.exercises import Case, exercise


@exercise("ex-11-1", title="回溯线搜索")
def _(solution: Callable) -> Iterator[Case]:
    yield Case(
        "f(x) = x²，x = 3，g = 6",
        lambda: solution(lambda x: x**2, 3.0, 6.0),
        0.5,
        mistakes={
            "只要求下降，没有要求降得够多：η = 1 恰好跳到对面同样的高度": 1.0,
            "减半过了头：系数应是 1/2，够了就停": 0.25,
            "漏了 1/2：对凸函数永远达不到，只好减半到舍入为止": 0.5**28,
        },
        hint="η = 1 跳到 −3，高度没变，不够；η = 1/2 正好落在最低点",
    )
    yield Case(
        "f(x) = x⁴，x = 1，g = 4",
        lambda: solution(lambda x: x**4, 1.0, 4.0),
        0.0625,
        mistakes={
            "‖g‖² 没有平方，用了 ‖g‖": 0.25,
            "系数应是 1/2，要求得太多": 0.03125,
        },
        hint="(1 − 4η)⁴ ≤ 1 − 8η 第一次成立时停下",
    )
    yield Case(
        "f(x) = x²/2，x = 2，g = 2",
        lambda: solution(lambda x: 0.5 * x**2, 2.0, 2.0),
        1.0,
        mistakes={"没有先试 η = 1": 0.5},
        hint="一步到底的 η = 1 正好满足条件（等号也算满足）",
    )
    hill = np.array([10.0, 1.0])
    point = np.array([1.0, -2.0])
    yield Case(
        "f(x, y) = 5x² + y²/2，在 (1, −2)",
        lambda: solution(lambda p: float(0.5 * np.sum(hill * p * p)), point, hill * point),
        0.0625,
        mistakes={"‖g‖² 没有平方，用了 ‖g‖": 0.125},
        hint="多元时 ‖g‖² 是各分量的平方和",
    )
    visited: set[float] = set()

    def count() -> int:
        def f(x: float) -> float:
            visited.add(x)
            return x**2

        solution(f, 3.0, 6.0)
        return len(visited)

    yield Case(
        "f(x) = x²，x = 3 时求过几个不同的点",
        count,
        3,
        hint="应当只看 x 本身、η = 1 与 η = 1/2 三处",
    )


@exercise("ex-11-2", title="给驻点分类")
def _(solution: Callable) -> Iterator[Case]:
    cases = [
        ("diag(2, 1)", np.diag([2.0, 1.0]), "极小", {}),
        ("diag(−1, −3)", np.diag([-1.0, -3.0]), "极大", {}),
        ("diag(1, −1)", np.diag([1.0, -1.0]), "鞍点", {}),
        (
            "[[1, 2], [2, 1]]",
            np.array([[1.0, 2.0], [2.0, 1.0]]),
            "鞍点",
            {"只看了对角元；要看特征值": "极小"},
        ),
        (
            "[[0, 1], [1, 0]]",
            np.array([[0.0, 1.0], [1.0, 0.0]]),
            "鞍点",
            {"对角元为零不等于特征值为零": "不能判定"},
        ),
        (
            "diag(−1, −2, 3, 4)",
            np.diag([-1.0, -2, 3, 4]),
            "鞍点",
            {"行列式为正不等于特征值全正": "极小"},
        ),
        ("diag(1, 0)", np.diag([1.0, 0.0]), "不能判定", {"有零特征值时，二阶说了不算": "极小"}),
        (
            "diag(1, −1, 0)",
            np.diag([1.0, -1.0, 0.0]),
            "鞍点",
            {"已经一正一负，有没有零都是鞍点": "不能判定"},
        ),
        (
            "diag(1e-12, 2e-12)（都很小，但不悬殊）",
            np.diag([1e-12, 2e-12]),
            "极小",
            {"“小”是相对于最大的特征值说的": "不能判定"},
        ),
        (
            "diag(1e8, 1e-6)（舍入当作零）",
            np.diag([1e8, 1e-6]),
            "不能判定",
            {"比最大的特征值小十个数量级以上的，当作零": "极小"},
        ),
    ]
    for given, H, expected, mistakes in cases:
        yield Case(
            f"H = {given}",
            lambda H=H: solution(H.copy()),
            expected,
            mistakes=mistakes,
            hint="先求特征值，再数正、负、零各几个",
        )


@exercise("ex-11-3", title="更老实的停止准则")
def _(solution: Callable) -> Iterator[Case]:
    def slope(x: np.ndarray) -> np.ndarray:
        return 2 * x - 4

    # 学习率 0.1 时距离每步乘 0.8：|g| = 14·0.8^k，第 33 步首次小于 0.01。
    end = 9.0
    for _ in range(33):
        end = end - 0.1 * slope(end)
    yield Case(
        "f′(x) = 2x − 4，起点 9，学习率 0.1，tol = 0.01",
        lambda: solution(9.0, slope, 0.1, 100, 0.01),
        (end, True),
        mistakes={"比的是步长，不是梯度": (2 + 7 * 0.8**23, True)},
        rtol=1e-9,
        hint="返回 (x, converged)；梯度第一次小于 tol 就停",
    )
    yield Case(
        "同上，学习率 0.0001、只走 10 步：没有到",
        lambda: solution(9.0, slope, 1e-4, 10, 0.01)[1],
        False,
        mistakes={"学习率小不等于到了：应比梯度，不比步长": True},
    )
    yield Case(
        "同上，学习率 0.1，恰好走满 33 步：梯度已经够小",
        lambda: solution(9.0, slope, 0.1, 33, 0.01)[1],
        True,
        mistakes={"走满之后还要再看一次梯度": False},
    )
    yield Case(
        "起点就在最低点，max_iter = 0",
        lambda: solution(2.0, slope, 0.1, 0, 0.01),
        (2.0, True),
        mistakes={"走满之后还要再看一次梯度": (2.0, False)},
        hint="一步不走也要看看梯度",
    )
    yield Case(
        "二元：f′ = (x, 2y)，起点 (3, 4)，学习率 1/2，tol = 1e-6",
        lambda: solution(np.array([3.0, 4.0]), lambda p: p * [1, 2], 0.5, 100, 1e-6)[1],
        True,
        hint="多元时比的是梯度的长度，用 np.linalg.norm",
    )
