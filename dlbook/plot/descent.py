"""梯度下降法的图：可微与凸、鞍点、下降的轨迹、各种方法的误差。

每个函数收下数据，返回画好的 matplotlib Figure。书中：chap-gradient-descent
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dlbook.plot.diagrams import arrow, box, canvas
from dlbook.plot.levels import level
from dlbook.plot.style import COLORS, INK, MUTED, PAPER

STYLES = ("-", "--", "-.", ":")


def curves(panels: Mapping[str, tuple[Callable, Sequence[float]]]) -> Figure:
    """并列的几条曲线，标题为键；每条是（函数，断点），在相邻断点之间分段画出。

    书中：fig-gd-differentiable
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(6.4, 2.6))
    for ax, (title, (f, breaks)) in zip(axes, panels.items(), strict=True):
        for left, right in pairwise(breaks):
            # 断点处函数可能跳跃：两端各退一点点。
            x = np.linspace(left, right, 121)[1:-1]
            ax.plot(x, f(x), color=COLORS["blue"], lw=2.2)
        ax.set_title(title)
        ax.locator_params(nbins=5)
    return fig


def chords(
    panels: Mapping[str, tuple[Callable, tuple[float, float], float, float]], share: float
) -> Figure:
    """曲线与一条割线；每幅是 (f, 横轴范围, x1, x2)，share 处比较割线与曲线的高度。

    书中：fig-gd-convex
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(6.4, 3.4))
    for ax, (title, (f, xlim, x1, x2)) in zip(axes, panels.items(), strict=True):
        x = np.linspace(*xlim, 200)
        middle = share * x1 + (1 - share) * x2
        on_chord = share * f(x1) + (1 - share) * f(x2)
        ax.plot(x, f(x), color=COLORS["blue"])
        ax.plot([x1, x2], [f(x1), f(x2)], "o--", color=COLORS["red"], ms=6)
        ax.plot([middle] * 2, [f(middle), on_chord], color=MUTED, ls=":")
        ax.plot(middle, on_chord, "s", color=COLORS["red"], ms=6)
        ax.plot(middle, f(middle), "s", color=COLORS["blue"], ms=6)
        ax.set(title=title, xlabel="$x$")
        ax.set_xticks([x1, middle, x2], ["$x_1$", r"$\lambda x_1+(1-\lambda)x_2$", "$x_2$"])
    axes[0].set_ylabel("$f(x)$")
    return fig


def inflection(f: Callable, xlim: tuple[float, float], turning: Mapping[float, str]) -> Figure:
    """曲线，按凸凹分段上色；turning 把横坐标对到要标出的文字。书中：fig-gd-inflection"""
    fig, ax = plt.subplots()
    x = np.linspace(*xlim, 301)
    ax.plot(x, f(x), color=COLORS["blue"], lw=2.2, label="凸（向上弯）")
    concave = x[(x >= 0) & (x <= 1)]
    ax.plot(concave, f(concave), color=COLORS["orange"], lw=4, label="凹（向下弯）")
    for at, text in turning.items():
        ax.plot(at, f(at), "o", color=INK, ms=7, zorder=3)
        ax.annotate(text, (at, f(at)), (0, 12), textcoords="offset points", ha="center")
    ax.set(xlabel="$x$", ylabel="$f(x)$")
    ax.legend(loc="upper center")
    return fig


def surface(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, point: tuple[float, float, float], name: str,
    *, direction: Sequence[float] | None = None, azim: float = -60,
) -> Figure:  # fmt: skip
    """三维曲面与其上的一个点；direction 是底面上的一个方向（如梯度）。书中：fig-gd-saddle"""
    fig = plt.figure(figsize=(6.4, 4.6))
    ax = fig.add_subplot(projection="3d", computed_zorder=False)
    ax.plot_surface(x, y, z, cmap="viridis", alpha=0.75, linewidth=0, rasterized=True)
    ax.plot(*[[value] for value in point], "o", color=COLORS["red"], ms=8, zorder=5)
    # 名字垫上底色，压在曲面上也看得清；又在点的下面，不遮住点。
    under = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 1}
    ax.text(*point, f"   {name}", va="center", bbox=under, zorder=4)
    if direction is not None:
        floor = z.min()
        # 箭头画在底面里：mplot3d 自带的箭头从这个角度看去是一条线。
        tail, along = np.array(point[:2]), np.array(direction)
        tip, across = tail + along, np.array([-along[1], along[0]])
        head = np.array([tip - 0.35 * along + 0.2 * across, tip, tip - 0.35 * along - 0.2 * across])
        for line in (np.array([tail, tip]), head):
            ax.plot(*line.T, floor, color=COLORS["red"], lw=2.2, zorder=5)
        ax.plot([point[0]] * 2, [point[1]] * 2, [floor, point[2]], ":", color=INK, lw=1)
    ax.set(xlabel="$x$", ylabel="$y$", zlabel="$z$")
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.pane.set_visible(False)
        axis.line.set_color(MUTED)
        axis.set_major_locator(plt.MaxNLocator(5))
    # 底面的两条轴不写两端的刻度：它们在角上会撞在一起。
    for values, set_ticks in ((x, ax.set_xticks), (y, ax.set_yticks)):
        ticks = plt.MaxNLocator(4).tick_values(values.min(), values.max())
        set_ticks(ticks[np.abs(ticks) < np.abs(values).max()])
    ax.view_init(elev=28, azim=azim)
    ax.set_box_aspect((1, 1, 0.75), zoom=0.9)
    return fig


def gradient_field(
    f: Callable, points: np.ndarray, gradients: np.ndarray, *, scale: float
) -> Figure:
    """等值线与若干点处的梯度（乘以 scale 画出）：梯度垂直于等值线。书中：fig-gd-field"""
    fig, ax = plt.subplots(figsize=(6.4, 4.6))
    grid = np.meshgrid(np.linspace(-14, 14, 141), np.linspace(-14, 14, 141))
    ax.contour(*grid, f(*grid), 12, colors=MUTED, linewidths=0.8)
    for point, gradient in zip(points, gradients, strict=True):
        style = {"arrowstyle": "-|>", "color": COLORS["red"], "lw": 1.8, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", point + scale * gradient, point, arrowprops=style)
    ax.plot(*points.T, "o", color=COLORS["red"], ms=4)
    ax.set(xlabel="$x$", ylabel="$y$", aspect="equal", xlim=(-14, 14), ylim=(-14, 14))
    ax.grid(False)
    return fig


def flow_chart() -> Figure:
    """梯度下降法的步骤。书中：fig-gd-flow"""
    fig, ax = canvas(6.4, 5.0)
    boxes = {
        4.65: (r"选起点 $p_0$，令 $n=0$", INK),
        3.7: (r"求梯度 $\nabla f(p_n)$", COLORS["green"]),
        1.25: (r"走一步 $p_{n+1}=p_n-\eta\nabla f(p_n)$", COLORS["blue"]),
        0.35: ("停下，交出终点", INK),
    }
    for y, (text, color) in boxes.items():
        x, width = (5.05, 2.3) if y == 0.35 else (2.05, 3.7)
        box(ax, x, y, width, 0.56, text, edge=color)
    corners = np.array([[2.05, 3.17], [4.0, 2.55], [2.05, 1.93], [0.1, 2.55], [2.05, 3.17]])
    ax.plot(*corners.T, color=COLORS["orange"], lw=1.3)
    ax.text(2.05, 2.55, "步子小于 tol，\n或走满 max_iter 步？", ha="center", va="center",
            linespacing=1.4)  # fmt: skip
    for start, stop in ((4.37, 3.98), (3.42, 3.17), (1.93, 1.53)):
        arrow(ax, (2.05, start), (2.05, stop))
    ax.text(2.15, 1.75, "否", va="center", color=MUTED)
    ax.plot([4.0, 5.05], [2.55, 2.55], color=MUTED, lw=1.2)
    arrow(ax, (5.05, 2.55), (5.05, 0.63))
    ax.text(4.4, 2.7, "是", va="center", color=MUTED)
    ax.plot([2.05, 2.05, 0.02, 0.02], [0.97, 0.7, 0.7, 3.7], color=MUTED, lw=1.2)
    arrow(ax, (0.02, 3.7), (0.2, 3.7))
    ax.text(0.35, 0.5, r"$n\leftarrow n+1$", va="center", color=MUTED)
    return fig


def descents(
    f: Callable,
    panels: Mapping[str, Sequence[float]],
    xlim: tuple[float, float],
    *,
    ylim: tuple[float, float] | None = None,
    marks: Mapping[float, str] | None = None,
) -> Figure:
    """函数曲线上的下降轨迹，每幅一次，标题为键；方块是起点，星号是终点。书中：fig-gd-rates"""
    rows = (len(panels) + 1) // 2
    fig, axes = plt.subplots(
        rows, 2, figsize=(6.4, 2.35 * rows + 0.3), sharex=True, sharey=True, squeeze=False
    )
    x = np.linspace(*xlim, 300)
    for ax, (title, steps) in zip(axes.flat, panels.items(), strict=True):
        steps = np.array(steps)
        ax.plot(x, f(x), color=COLORS["blue"], lw=1.4)
        # 步数很多时线画细些，免得糊成一片。
        size, width = (3.5, 0.9) if len(steps) < 40 else (2, 0.25)
        ax.plot(steps, f(steps), "o-", color=COLORS["red"], ms=size, lw=width)
        ax.plot(steps[0], f(steps[0]), "s", color=INK, ms=7)
        ax.plot(steps[-1], f(steps[-1]), "*", color=COLORS["orange"], ms=13, zorder=4)
        for at, name in (marks or {}).items():
            ax.annotate(name, (at, f(at)), (0, -9), textcoords="offset points", ha="center",
                        va="top", color=MUTED, fontsize=9)  # fmt: skip
        ax.set(title=title, xlim=xlim, ylim=ylim)
    for ax in axes[-1]:
        ax.set_xlabel("$x$")
    for ax in axes[:, 0]:
        ax.set_ylabel("$f(x)$")
    return fig


def errors(runs: Mapping[str, Sequence[float]], ylabel: str) -> Figure:
    """误差逐步的变化，纵轴是对数刻度，一种方法一条线。书中：fig-gd-newton"""
    fig, ax = plt.subplots()
    for (label, values), style, mark in zip(runs.items(), STYLES, "os^v", strict=False):
        ax.plot(np.arange(len(values)), values, style, marker=mark, ms=4.5, label=label)
    ax.set(xlabel="步数", ylabel=ylabel, yscale="log")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return fig


def saddle_paths(
    f: Callable,
    paths: Mapping[str, np.ndarray],
    *,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    saddle: tuple[float, float],
    minima: np.ndarray,
) -> Figure:
    """鞍点附近的等值线与几种方法的轨迹；paths 的值形状 (k, 2)。书中：fig-gd-saddle-paths"""
    fig, ax = plt.subplots(figsize=(6.4, 4.6))
    grid = np.meshgrid(np.linspace(*xlim, 161), np.linspace(*ylim, 161))
    height = f(*grid)
    levels = height.min() + np.geomspace(0.01, 1, 14) * np.ptp(height)
    ax.contour(*grid, height, levels, colors=MUTED, linewidths=0.7, linestyles="solid")
    styles = (("o-", "red"), ("s--", "blue"), ("^-.", "purple"))
    for (label, path), (style, color) in zip(paths.items(), styles, strict=False):
        ax.plot(*path.T, style, color=COLORS[color], ms=4, lw=1.4, label=label)
    ax.plot(*saddle, "X", color=INK, ms=10, label="鞍点")
    ax.plot(*minima.T, "*", color=COLORS["green"], ms=14, ls="none", label="最低点")
    ax.set(xlabel="$x$", ylabel="$y$", xlim=xlim, ylim=ylim)
    ax.grid(False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return fig


def positions(runs: Mapping[str, np.ndarray], levels: Mapping[str, float]) -> Figure:
    """一元函数上各种方法的位置随步数的变化；levels 是要标出的水平线。书中：fig-gd-through"""
    fig, ax = plt.subplots()
    for (label, values), style in zip(runs.items(), STYLES, strict=False):
        ax.plot(np.arange(len(values)), values, style, label=label)
    for name, height in levels.items():
        level(ax, name, height)
    ax.set(xlabel="步数", ylabel="$x$")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return fig
