"""第 9 章的图：梯度、雅可比矩阵、二阶导数的形状；抽样、大数定律、中心极限定理。"""

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dlbook.plot.style import COLORS, INK, MUTED, PAPER

STYLES = ("-", "--", "-.", ":")


def gradient_field(
    f: Callable, gradient: Callable, limit: float, points: list[tuple[float, float]]
) -> Figure:
    """等高线，以及各点处的梯度（箭头）。书中：fig-math-gradient"""
    fig, ax = plt.subplots(figsize=(5.2, 4.4))
    axis = np.linspace(-limit, limit, 81)
    x, y = np.meshgrid(axis, axis)
    lines = ax.contour(x, y, f(x, y), 10, colors=MUTED, linewidths=0.9)
    ax.clabel(lines, fontsize=8)
    for px, py in points:
        gx, gy = gradient(px, py)
        scale = 0.16
        ax.annotate(
            "", (px + scale * gx, py + scale * gy), (px, py),
            arrowprops={"arrowstyle": "-|>", "color": COLORS["red"], "lw": 1.8, "shrinkA": 0},
        )  # fmt: skip
        ax.plot(px, py, "o", color=COLORS["red"], ms=4)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    ax.grid(False)
    return fig


def local_map(f: Callable, jacobian: np.ndarray, at: np.ndarray, size: float) -> Figure:
    """左：at 处的小方格；右：方格被 f 映成的曲边形，虚线是雅可比矩阵给出的平行四边形。

    f 把 (2, …) 映到 (2, …)。书中：fig-math-jacobian
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.1))
    t = np.linspace(0, 1, 21)
    zero, one = np.zeros_like(t), np.ones_like(t)
    edge = np.concatenate([[t, zero], [one, t], [t[::-1], one], [zero, t[::-1]]], axis=1)
    square = at[:, None] + size * edge
    left.fill(*square, color=COLORS["blue"], alpha=0.3)
    left.plot(*at, "o", color=INK, ms=4)
    left.set(title="输入", xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    right.fill(*f(square), color=COLORS["blue"], alpha=0.3, label="$f$ 的像")
    linear = f(at)[:, None] + jacobian @ (size * edge)
    right.plot(*linear, "--", color=COLORS["orange"], label="雅可比矩阵的近似")
    right.plot(*f(at), "o", color=INK, ms=4)
    right.set(title="输出", xlabel="$y_1$", ylabel="$y_2$", aspect="equal")
    fig.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def curvatures(cases: Mapping[str, np.ndarray]) -> Figure:
    """二次型 ½ xᵀHx 的等高线，一种 H 一幅；实线为正，虚线为负。书中：fig-math-hessian"""
    fig, axes = plt.subplots(1, len(cases), figsize=(6.4, 2.5))
    axis = np.linspace(-1, 1, 61)
    x = np.stack(np.meshgrid(axis, axis))
    for ax, (title, hessian) in zip(axes, cases.items(), strict=True):
        height = 0.5 * np.einsum("ihw,ij,jhw->hw", x, hessian, x)
        levels = np.linspace(-1.4, 1.4, 15)
        ax.contour(
            *x, height, levels, colors=COLORS["blue"], linewidths=1, negative_linestyles="--"
        )
        ax.plot(0, 0, "o", color=COLORS["red"], ms=4)
        ax.set(title=title, aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        ax.grid(False)
    return fig


def screening(counts: Mapping[str, int]) -> Figure:
    """检查呈阳性的人里，真病与虚惊各多少：两条横的柱，长度是人数。书中：fig-math-bayes"""
    fig, ax = plt.subplots(figsize=(6.2, 1.9))
    left = 0
    for (label, count), color, hatch in zip(
        counts.items(), (COLORS["red"], COLORS["gray"]), ("", "//"), strict=True
    ):
        ax.barh(0, count, left=left, color=color, hatch=hatch, edgecolor=PAPER, label=label)
        ax.text(left + count / 2, 0.55, f"{count}", ha="center", va="bottom", color=INK)
        left += count
    ax.set(xlabel="每一万人里检查呈阳性的人数", yticks=[], ylim=(-0.5, 1.0))
    ax.grid(False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.25), ncols=2, fontsize=9)
    return fig


def running_means(means: np.ndarray, expected: float) -> Figure:
    """几次实验里，前 n 个样本的平均；横轴取对数，横线是期望。means (次, n)。书中：fig-math-lln"""
    fig, ax = plt.subplots(figsize=(6.2, 3.2))
    n = np.arange(1, means.shape[1] + 1)
    shown = np.unique(np.geomspace(1, len(n), 200).astype(int)) - 1
    for k, row in enumerate(means):
        ax.plot(n[shown], row[shown], STYLES[k % 4], lw=1.2)
    ax.axhline(expected, color=INK, lw=1, ls=":")
    band = 2 * np.sqrt(35 / 12 / n[shown])
    ax.fill_between(n[shown], expected - band, expected + band, color=COLORS["gray"], alpha=0.2)
    ax.set(xscale="log", xlabel="掷的次数 $n$", ylabel="平均点数", ylim=(1, 6))
    return fig


def sums(samples: Mapping[str, np.ndarray]) -> Figure:
    """标准化之后的和的直方图，与标准正态的密度对照。书中：fig-math-clt"""
    fig, axes = plt.subplots(1, len(samples), figsize=(6.4, 2.5), sharex=True, sharey=True)
    grid = np.linspace(-4, 4, 161)
    normal = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    for ax, (title, values) in zip(axes, samples.items(), strict=True):
        ax.hist(values, np.linspace(-4, 4, 33), density=True, color=COLORS["blue"], alpha=0.6)
        ax.plot(grid, normal, "--", color=COLORS["orange"])
        ax.set(title=title, xlabel="标准化的和")
    axes[0].set_ylabel("密度")
    return fig


def distributions(names: list[str], rows: Mapping[str, np.ndarray]) -> Figure:
    """同一组选项上的几个分布，并排的柱状图。书中：fig-math-sampling"""
    fig, axes = plt.subplots(1, len(rows), figsize=(6.4, 2.5), sharey=True)
    for ax, (title, p) in zip(axes, rows.items(), strict=True):
        ax.bar(names, p, color=COLORS["blue"])
        ax.set_title(title, fontsize=10)
        ax.tick_params(axis="x", labelsize=9)
    axes[0].set_ylabel("概率")
    return fig
