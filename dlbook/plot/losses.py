"""第 5 章的图：似然、噪声的形状、损失的梯度、校准。"""

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dlbook.plot.style import COLORS, INK, MUTED

STYLES = ("-", "--", "-.", ":")


def likelihoods(p: np.ndarray, curves: Mapping[str, np.ndarray], best: float) -> Figure:
    """几条似然曲线，各除以自己的最大值；竖线标出最大值所在的 best。书中：fig-loss-likelihood"""
    fig, ax = plt.subplots(figsize=(6.0, 3.2))
    for style, (label, values) in zip(STYLES, curves.items(), strict=False):
        ax.plot(p, values / values.max(), style, label=label)
    ax.axvline(best, color=MUTED, lw=1, ls=":")
    ax.set(xlabel="正面的概率 $p$", ylabel="似然（最大值取作 1）")
    ax.legend(loc="upper left")
    return fig


def bells(
    x: np.ndarray, y: np.ndarray, line: Callable[[float], float], sigma: float, at: list[float]
) -> Figure:
    """散点、直线，以及 at 各处竖着画的高斯密度。书中：fig-loss-bells"""
    fig, ax = plt.subplots(figsize=(6.4, 3.8))
    ax.plot(x, y, "o", ms=3, color=COLORS["gray"], alpha=0.7, label="数据")
    ends = np.array([0.0, 1.0])
    ax.plot(ends, line(ends), color=COLORS["blue"], label="模型的均值 $f(x)$")
    offset = np.linspace(-3.2, 3.2, 81) * sigma
    shape = np.exp(-0.5 * (offset / sigma) ** 2)
    for n, position in enumerate(at):
        center = line(position)
        label = "此处 $y$ 的分布" if n == 0 else None
        ax.plot(position + 0.11 * shape, center + offset, color=COLORS["orange"], label=label)
        ax.plot([position] * 2, center + offset[[0, -1]], color=MUTED, lw=0.8)
    ax.set(xlabel="$x$", ylabel="$y$")
    ax.legend(loc="upper left")
    return fig


def minima(c: np.ndarray, curves: Mapping[str, np.ndarray], samples: np.ndarray) -> Figure:
    """上：样本的直方图；下：各种损失随预测值 c 的变化，圆点标出最低处。书中：fig-loss-minima"""
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.0, 4.6), sharex=True, height_ratios=[1, 1.4])
    top.hist(samples, np.linspace(c[0], c[-1], 41), color=COLORS["gray"], density=True)
    top.set_ylabel("密度")
    for style, (label, values) in zip(STYLES, curves.items(), strict=False):
        (drawn,) = bottom.plot(c, values, style, label=label)
        low = values.argmin()
        bottom.plot(c[low], values[low], "o", color=drawn.get_color())
        for ax in (top, bottom):
            ax.axvline(c[low], color=drawn.get_color(), ls=style, lw=1, alpha=0.6)
    bottom.set(xlabel="一律预测 $c$", ylabel="平均损失")
    bottom.legend()
    return fig


def fits(
    x: np.ndarray, y: np.ndarray, bad: np.ndarray, lines: Mapping[str, tuple[float, float]]
) -> Figure:
    """散点（bad 处画叉）与几条拟合的直线。书中：fig-loss-outliers"""
    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    ax.plot(x[~bad], y[~bad], "o", ms=3, color=COLORS["gray"], label="正常的点")
    ax.plot(x[bad], y[bad], "x", ms=6, color=COLORS["red"], label="记错的点")
    ends = np.array([0.0, 1.0])
    for style, (label, (w, b)) in zip(STYLES, lines.items(), strict=False):
        ax.plot(ends, w * ends + b, style, label=label, lw=2.2)
    ax.set(xlabel="$x$", ylabel="$y$")
    ax.legend(fontsize=9, loc="lower left")
    return fig


def band(
    x: np.ndarray, y: np.ndarray, grid: np.ndarray, mean: np.ndarray, sigma: np.ndarray
) -> Figure:
    """散点、预测的均值，以及上下各两个标准差的带。书中：fig-loss-hetero"""
    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    ax.plot(x, y, "o", ms=2, color=COLORS["gray"], alpha=0.6, rasterized=True)
    ax.plot(grid, mean, color=COLORS["blue"], label=r"预测的均值 $\mu(x)$")
    ax.fill_between(
        grid, mean - 2 * sigma, mean + 2 * sigma, color=COLORS["orange"], alpha=0.25,
        label=r"$\mu(x)\pm 2\sigma(x)$",
    )  # fmt: skip
    ax.set(xlabel="$x$", ylabel="$y$")
    ax.legend()
    return fig


def one_bump(
    x: np.ndarray, truth: np.ndarray, fitted: Mapping[str, np.ndarray], width: float = 6.2
) -> Figure:
    """双峰的真实密度（填色）与几个单峰的近似。书中：fig-loss-two-kl"""
    fig, ax = plt.subplots(figsize=(width, 3.2))
    ax.fill_between(x, truth, color=COLORS["gray"], alpha=0.35, label="真实的分布 $p$")
    for style, (label, density) in zip(STYLES, fitted.items(), strict=False):
        ax.plot(x, density, style, label=label)
    ax.set(xlabel="$y$", ylabel="密度")
    ax.legend(fontsize=9)
    return fig


def reliability(groups: Mapping[str, object]) -> Figure:
    """校准图：每组的准确率对平均把握，点越大样本越多；虚线是完全校准。

    groups 的值是 dlbook.models.calibration.Reliability。书中：fig-loss-reliability
    """
    fig, axes = plt.subplots(1, len(groups), figsize=(6.4, 3.4), sharex=True, sharey=True)
    for ax, (title, group) in zip(np.atleast_1d(axes), groups.items(), strict=True):
        full = group.count > 0
        ax.plot([0, 1], [0, 1], color=MUTED, ls="--", lw=1)
        ax.plot(group.confidence[full], group.accuracy[full], color=COLORS["blue"], lw=1)
        size = 12 + 180 * group.count[full] / group.count.sum()
        ax.scatter(
            group.confidence[full], group.accuracy[full], size, color=COLORS["blue"],
            edgecolors=INK, linewidths=0.5, clip_on=False,
        )  # fmt: skip
        ax.set(title=title, xlabel="平均把握", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.set(xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    np.atleast_1d(axes)[0].set_ylabel("准确率")
    return fig
