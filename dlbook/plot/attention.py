"""第 8 章第 3 至 5 节的图：注意力的权重、位置编码、残差流。

每个函数收下数据，返回画好的 matplotlib Figure。

书中：sec-lm-position、sec-lm-attention、sec-lm-model
"""

import itertools
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.ticker import NullLocator

from dlbook.plot.diagrams import canvas
from dlbook.plot.levels import level
from dlbook.plot.style import COLORS, INK, MUTED, PAPER, number, on_cell

WEIGHTS = LinearSegmentedColormap.from_list("weights", ["#f7fafd", "#9cc4e4", "#1f5f99"])
SIGNED = "RdBu_r"


# 权重：行是“谁在看”，列是“看谁”


def maps(
    panels: Mapping[str, np.ndarray],
    tokens: Sequence[str] | Sequence[Sequence[str]],
    *,
    digits: int | None = 2,
    columns: int = 3,
) -> Figure:
    """若干张注意力图：颜色深浅是权重 (T, T)，行是看的字，列是被看的字。

    tokens 是一串字；各图的字不同时，给与图一样多的几串。digits=None 时格子里不写数。
    书中：fig-lm-permutation、fig-lm-weights、fig-lm-heads
    """
    count = len(panels)
    columns = min(columns, count)
    rows = -(-count // columns)
    labels = [tokens] * count if isinstance(tokens[0], str) and len(tokens[0]) == 1 else tokens
    # 不写数的格子够放一个 9 磅的字就行：图越宽，在手机上缩得越小。
    size = (0.2 if digits is None else 0.46) * len(labels[0]) + 0.5
    fig, axes = plt.subplots(
        rows, columns, figsize=(size * columns, (size + 0.25) * rows), squeeze=False
    )
    for ax in axes.flat[count:]:
        ax.axis("off")
    for ax, (title, weights), words in zip(axes.flat, panels.items(), labels, strict=False):
        image = ax.imshow(weights, cmap=WEIGHTS, vmin=0, vmax=1)
        _words(ax, words, 11 if digits is not None else 9)
        ax.set_title(title, fontsize=11)
        if digits is not None:
            for (i, j), weight in np.ndenumerate(weights):
                color = on_cell(image.to_rgba(weight))
                text = number(weight, f".{digits}f") if weight else "0"
                ax.text(j, i, text, ha="center", va="center", fontsize=9, color=color)
    return fig


def _words(ax: Axes, words: Sequence[str], fontsize: float) -> None:
    """两条轴都标上字；列标在上边。"""
    ax.set_xticks(range(len(words)), words, fontsize=fontsize)
    ax.set_yticks(range(len(words)), words, fontsize=fontsize)
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    ax.grid(False)


# 位置


def clocks(positions: Sequence[int], rates: Sequence[float]) -> Figure:
    """一行是一个位置，一列是一根指针：第 i 根每走一个位置转 rates[i] 弧度。书中：fig-lm-clocks"""
    fig, axes = plt.subplots(
        len(positions), len(rates), figsize=(1.05 * len(rates) + 0.6, 1.0 * len(positions) + 0.3)
    )
    ring = np.linspace(0, 2 * np.pi, 100)
    for row, (axis_row, where) in enumerate(zip(axes, positions, strict=True)):
        for column, (ax, rate) in enumerate(zip(axis_row, rates, strict=True)):
            ax.plot(np.cos(ring), np.sin(ring), color=MUTED, lw=1)
            angle = rate * where
            ax.plot([0, np.cos(angle)], [0, np.sin(angle)], color=COLORS["blue"], lw=2.4)
            ax.set(aspect="equal", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
            ax.set_xticks([])
            ax.set_yticks([])
            ax.grid(False)
            ax.spines[:].set_visible(False)
            if row == 0:
                ax.set_title(f"ω = {rate:.3g}", fontsize=10)
            if column == 0:
                ax.set_ylabel(f"t = {where}", fontsize=10)
    return fig


def table(values: np.ndarray, *, xlabel: str, ylabel: str) -> Figure:
    """一张大表画成红蓝图，右边是色标。书中：fig-lm-sinusoid"""
    fig, ax = plt.subplots(figsize=(6.2, 3.6))
    image = ax.imshow(values, cmap=SIGNED, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(False)
    fig.colorbar(image, ax=ax, shrink=0.9)
    return fig


def turns(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], scores: Mapping[str, float]
) -> Figure:
    """每格画一对平面向量（查询、键）与它们的点积。书中：fig-lm-rotation"""
    rows = -(-len(pairs) // 2)  # 一行两格：四格排成一行，在手机上字就太小了
    fig, axes = plt.subplots(rows, 2, figsize=(5.2, 2.7 * rows), squeeze=False)
    ring = np.linspace(0, 2 * np.pi, 100)
    for ax, (title, vectors) in zip(axes.flat, pairs.items(), strict=True):
        ax.plot(np.cos(ring), np.sin(ring), color=MUTED, lw=0.8, ls=":")
        for vector, name, color in zip(vectors, "qk", ("blue", "orange"), strict=True):
            style = {"arrowstyle": "-|>", "lw": 2, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", vector, (0, 0), arrowprops=style | {"color": COLORS[color]})
            x, y = 1.22 * vector / np.linalg.norm(vector)
            ax.text(x, y, name, color=COLORS[color], ha="center", va="center", fontsize=12)
        ax.set(aspect="equal", xlim=(-1.45, 1.45), ylim=(-1.45, 1.45))
        ax.set_title(title, fontsize=11)
        ax.text(0, -1.4, f"点积 {number(scores[title], '.3f')}", ha="center", color=MUTED)
        ax.axis("off")
    return fig


def by_length(accuracy: Mapping[str, Mapping[int, float]]) -> Figure:
    """每种位置编码一组柱：在各种句长上的准确率；没有的（用不了）画叉。书中：fig-lm-lengths"""
    fig, ax = plt.subplots(figsize=(6.2, 3.2))
    lengths = list(next(iter(accuracy.values())))
    width = 0.8 / len(lengths)
    for k, length in enumerate(lengths):
        left = np.arange(len(accuracy)) - 0.4 + width * (k + 0.5)
        values = [row[length] for row in accuracy.values()]
        ax.bar(
            left, np.nan_to_num(values), width, label=f"长 {length}", hatch=("", "//", "..")[k],
            edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        for x, value in zip(left, values, strict=True):
            if np.isnan(value):
                ax.text(x, 0.01, "×", ha="center", va="bottom", color=COLORS["red"], fontsize=13)
    ax.set_xticks(range(len(accuracy)), list(accuracy))
    ax.set(ylabel="准确率", ylim=(0, 1.05))
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    ax.grid(axis="x", visible=False)
    return fig


# 模型


def block() -> Figure:
    """一个块：残差流从左往右直通，两个支路各读一次、各加一次。书中：fig-lm-block"""
    fig, ax = canvas(6.6, 2.7)
    style = {"arrowstyle": "-|>", "lw": 4, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (6.45, 0.5), (0.15, 0.5), arrowprops=style | {"color": COLORS["blue"]})
    ax.text(0.2, 0.2, "残差流", color=COLORS["blue"], va="center")
    branches = {0.75: ("归一化", "注意力"), 3.75: ("归一化", "前馈网络")}
    for left, names in branches.items():
        right = left + 2.0
        path = [(left, 0.55), (left, 1.75)]
        ax.plot(*zip(*path, strict=True), color=MUTED, lw=1.4)
        _arrow(ax, (left, 1.75), (left + 0.18, 1.75))
        _box(ax, left + 0.6, 1.75, 0.84, names[0])
        _arrow(ax, (left + 1.02, 1.75), (left + 1.16, 1.75))
        _box(ax, left + 1.6, 1.75, 0.86, names[1], COLORS["orange"])
        ax.plot([left + 2.03, right + 0.2], [1.75, 1.75], color=MUTED, lw=1.4)
        _arrow(ax, (right + 0.2, 1.75), (right + 0.2, 0.66))
        circle = Circle((right + 0.2, 0.5), 0.15, facecolor=PAPER, edgecolor=INK, lw=1.3, zorder=3)
        ax.add_patch(circle)
        ax.text(right + 0.2, 0.49, "+", ha="center", va="center", fontsize=14, zorder=4)
        ax.text(left - 0.08, 1.15, "读", ha="right", va="center", color=MUTED)
        ax.text(right + 0.28, 1.15, "写", ha="left", va="center", color=MUTED)
    ax.text(1.85, 2.3, "位置之间", ha="center", color=MUTED, fontsize=10)
    ax.text(4.85, 2.3, "位置之内", ha="center", color=MUTED, fontsize=10)
    return fig


def roadmap(stops: Sequence[tuple[str, str]]) -> Figure:
    """路线图：一行三站，蛇形排列；每站写（题目，一句话）。书中：fig-lm-roadmap"""
    columns, step_x, step_y = 3, 2.2, 1.1
    rows = -(-len(stops) // columns)
    fig, ax = canvas(columns * step_x, rows * step_y)
    centers = []
    for i in range(len(stops)):
        row, column = divmod(i, columns)
        column = column if row % 2 == 0 else columns - 1 - column
        centers.append((step_x * (column + 0.5), step_y * (rows - row - 0.5)))
    for (x0, y0), (x1, y1) in itertools.pairwise(centers):
        if y0 == y1:
            half = 0.9 * np.sign(x1 - x0)
            _arrow(ax, (x0 + half, y0), (x1 - half, y1))
        else:
            _arrow(ax, (x0, y0 - 0.37), (x1, y1 + 0.37))
    for i, ((x, y), (title, note)) in enumerate(zip(centers, stops, strict=True), 1):
        _box(ax, x, y, 1.8, "", COLORS["blue"], height=0.74)
        ax.text(x, y + 0.15, f"{i}  {title}", ha="center", va="center", fontsize=12)
        ax.text(x, y - 0.17, note, ha="center", va="center", fontsize=9, color=MUTED)
    return fig


def shares(models: Mapping[str, Mapping[str, float]], *, xlabel: str) -> Figure:
    """每个模型一条横柱，分成几段，各段是它所占的份额。书中：fig-lm-parameter-shares"""
    fig, ax = plt.subplots(figsize=(6.2, 0.62 * len(models) + 1.1))
    names = list(models)
    left = np.zeros(len(models))
    for k, part in enumerate(next(iter(models.values()))):
        values = np.array([row[part] / sum(row.values()) for row in models.values()])
        ax.barh(
            names, values, left=left, height=0.62, label=part, hatch=("", "//", "..", "xx")[k],
            edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        left += values
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel=xlabel)
    ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=10)
    ax.grid(axis="y", visible=False)
    return fig


def _box(
    ax: Axes, x: float, y: float, width: float, text: str, edge: str = INK, *, height: float = 0.5
) -> None:
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height,
            boxstyle="round,pad=0,rounding_size=0.08", facecolor=PAPER, edgecolor=edge, lw=1.4,
        )
    )  # fmt: skip
    ax.text(x, y, text, ha="center", va="center", fontsize=11)


def _arrow(ax: Axes, start: tuple[float, float], stop: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": MUTED, "shrinkA": 0, "shrinkB": 0, "lw": 1.4}
    ax.annotate("", stop, start, arrowprops=style)


# 曲线


def levels(fig: Figure, values: Mapping[str, float]) -> Figure:
    """在一张下降的曲线图上添几条标了名字的水平线。书中：fig-lm-position-loss、fig-lm-leak"""
    ax = fig.axes[0]
    for name, value in values.items():
        # 曲线降不到下限以下，下限的名字写在线的下方才压不着曲线。
        level(ax, name, value, below=len(values) > 1 and value == min(values.values()))
    # 横线穿过整幅图，图例挪到图的上方。
    ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    return fig


def ticks(
    fig: Figure, x: Sequence[float], y: Sequence[float] = (), *, percent: bool = False
) -> Figure:
    """把对数轴的刻度换成给定的几个数，照原样写；percent 为真时纵轴写成百分数。

    书中：fig-lm-scale、fig-lm-sensitivity、fig-lm-residual-scale
    """
    ax = fig.axes[0]
    ax.set_xticks(x, [number(value) for value in x])
    ax.xaxis.set_minor_locator(NullLocator())
    if len(y):
        ax.set_yticks(y, [f"{value:.0%}" if percent else number(value) for value in y])
        ax.yaxis.set_minor_locator(NullLocator())
    return fig


def panels(x: np.ndarray, groups: Mapping[str, Mapping[str, np.ndarray]], *, xlabel: str) -> Figure:
    """并排的几幅曲线图，共用横轴的含义；groups 是“纵轴的名字 → （线的名字 → 数）”。

    书中：fig-lm-prenorm
    """
    fig, axes = plt.subplots(1, len(groups), figsize=(3.2 * len(groups), 3.0))
    for ax, (ylabel, series) in zip(axes, groups.items(), strict=True):
        for (label, y), line, marker in zip(series.items(), ("-", "--"), "os", strict=False):
            ax.plot(x, y, line, marker=marker, markersize=3.5, label=label)
        ax.set(xlabel=xlabel, title=ylabel)
        ax.set_ylim(bottom=0)
        ax.legend(fontsize=9)
    return fig
