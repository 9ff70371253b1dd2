"""导数与数值微分的图：割线、差分、误差与代价。

每个函数收下数据，返回画好的 matplotlib Figure。书中：sec-how-to-differentiate
"""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dlbook.plot.style import COLORS, INK, MUTED, number

STYLES = ("-", "--", "-.", ":")


def secant(f: Callable, x: float, h: float) -> Figure:
    """曲线与过横坐标 x、x + h 两点的割线。书中：eq-derivative"""
    fig, ax = plt.subplots()
    t = np.linspace(x - 1.5 * h, x + 2 * h, 200)
    ends = t[[0, -1]]
    slope = (f(x + h) - f(x)) / h
    ax.plot(t, f(t), color=COLORS["blue"], label="$y=f(x)$")
    ax.plot(ends, f(x) + slope * (ends - x), "--", color=COLORS["red"], label="割线")
    ax.plot([x, x + h], [f(x), f(x + h)], "o", color=INK, ms=6)
    ax.plot([x, x + h, x + h], [f(x), f(x), f(x + h)], ":", color=MUTED, lw=1.2)
    ax.text(x + h / 2, f(x), "$h$", ha="center", va="top", color=INK)
    ax.text(x + 1.05 * h, (f(x) + f(x + h)) / 2, "$f(x+h)-f(x)$", va="center", color=INK)
    ax.set_xticks([x, x + h], ["$x$", "$x+h$"])
    ax.set_yticks([f(x), f(x + h)], ["$f(x)$", "$f(x+h)$"])
    ax.legend(loc="upper left")
    return fig


def differences(f: Callable, slope: float, x: float, h: float) -> Figure:
    """曲线在 x 处的切线（斜率 slope）、前向差分与中心差分的割线。书中：sec-numerical-diff"""
    fig, ax = plt.subplots(figsize=(6.4, 4.4))
    t = np.linspace(x - 1.5 * h, x + 1.5 * h, 200)
    ends = t[[0, -1]]
    forward = (f(x + h) - f(x)) / h
    central = (f(x + h) - f(x - h)) / (2 * h)
    ax.plot(t, f(t), color=COLORS["blue"], label="$y=f(x)$")
    ax.plot(ends, f(x) + slope * (ends - x), color=COLORS["green"], lw=1.4,
            label=f"切线，斜率 {number(slope, '.2f')}")  # fmt: skip
    ax.plot(ends, f(x) + forward * (ends - x), ":", color=COLORS["orange"],
            label=f"前向差分，斜率 {number(forward, '.2f')}")  # fmt: skip
    ax.plot(ends, f(x - h) + central * (ends - x + h), "--", color=COLORS["red"],
            label=f"中心差分，斜率 {number(central, '.2f')}")  # fmt: skip
    marks = np.array([x - h, x, x + h])
    ax.plot(marks, f(marks), "o", color=INK, ms=6)
    ax.set_xticks(marks, ["$x-h$", "$x$", "$x+h$"])
    ax.set_yticks([])
    ax.legend(loc="upper left")
    return fig


def error_against_step(
    h: np.ndarray,
    errors: Mapping[str, np.ndarray],
    guides: Mapping[str, np.ndarray],
    best: Mapping[str, float],
) -> Figure:
    """数值微分的误差随 h 的变化（双对数）。

    errors 是实测，guides 是预言的趋势线，best 是预言的最佳 h（竖线），后两者的键与 errors 对应。
    书中：sec-best-step
    """
    fig, ax = plt.subplots(figsize=(6.4, 4.6))
    colors = (COLORS["orange"], COLORS["blue"])
    for (label, error), color, mark in zip(errors.items(), colors, "os", strict=True):
        ax.plot(h, error, mark, color=color, ms=4, label=f"{label}：实测")
        ax.plot(h, guides[label], "-" if mark == "o" else "--", color=color, lw=1.2,
                label=f"{label}：估计")  # fmt: skip
        ax.axvline(best[label], color=color, ls=":", lw=1.2)
    ax.set(xlabel="$h$", ylabel="误差的绝对值", xscale="log", yscale="log")
    ax.set_ylim(1e-12, 1e1)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)  # 放在图外，竖线不会穿过字
    return fig


def cost(parameters: Sequence[int], passes: Mapping[str, Sequence[float]]) -> Figure:
    """求一次完整的梯度要做多少遍前向计算，随参数个数的变化（双对数）。书中：sec-cost"""
    fig, ax = plt.subplots()
    for (label, values), style, mark in zip(passes.items(), STYLES, "os^v", strict=False):
        ax.plot(parameters, values, style, marker=mark, ms=4.5, label=label)
    ax.set(xlabel="参数个数", ylabel="相当于几遍前向计算", xscale="log", yscale="log")
    ax.legend()
    return fig
