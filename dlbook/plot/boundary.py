"""二维输入的二分类器：数据与决策边界。

书中：sec-moons
"""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dlbook.plot.style import COLORS, INK


def two_classes(
    x: np.ndarray, label: np.ndarray, score: Callable[[float, float], float] | None = None
) -> Figure:
    """两类点，第 0 类画圆、第 1 类画三角；给出 score 时，再画它等于 0 的决策边界。

    x 形状 (n, 2)，label 形状 (n,)，取 0 或 1；score(x1, x2) 大于 0 判为第 1 类。书中：sec-moons
    """
    fig, ax = plt.subplots(figsize=(6.4, 4.4))
    colors = (COLORS["blue"], COLORS["orange"])
    if score is not None:
        (left, bottom), (right, top) = x.min(axis=0) - 0.4, x.max(axis=0) + 0.4
        across, up = np.linspace(left, right, 60), np.linspace(bottom, top, 45)
        height = np.array([[score(x1, x2) for x1 in across] for x2 in up])
        ax.contourf(across, up, height, [-np.inf, 0, np.inf], colors=colors, alpha=0.18)
        ax.contour(across, up, height, [0], colors=INK, linewidths=1.5)
    for k, mark in enumerate("o^"):
        ax.plot(*x[label == k].T, mark, color=colors[k], ms=6, label=f"第 {k} 类")
    ax.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return fig
