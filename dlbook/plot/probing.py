"""第 8 章后半的图：两个引擎、从分布里挑选、KV 缓存、模型内部、规模。

每个函数收下数据，返回画好的 matplotlib Figure。书中：sec-lm-engines、sec-lm-generation、
sec-lm-inside、sec-lm-growing
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dlbook.plot.style import COLORS, INK, MUTED, ON_CELL

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
# 双色图：零为白，正红负蓝。
SIGNED = "RdBu_r"


# 两个引擎


def two_engines(ours: np.ndarray, theirs: np.ndarray, *, limit: float) -> Figure:
    """上：两条损失曲线；下：差的绝对值，对数刻度，虚线是允许的上限。书中：fig-engines-losses"""
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 4.8), sharex=True)
    steps = np.arange(1, len(ours) + 1)
    top.plot(steps, ours, color=COLORS["blue"], label="dlbook")
    top.plot(steps, theirs, "o", color=COLORS["orange"], ms=3.5, label="PyTorch")
    top.set(ylabel="损失")
    top.legend()
    # 恰好相等的步没有对数，画在底线上。
    floor = limit / 1e4
    gap = np.maximum(np.abs(ours - theirs), floor)
    bottom.semilogy(steps, gap, "s", color=COLORS["purple"], ms=3.5)
    bottom.axhline(limit, color=MUTED, ls="--", lw=1.2)
    bottom.set(xlabel="步数", ylabel="差的绝对值", ylim=(floor / 2, limit * 3))
    return fig


# 从分布里挑选


def choices(
    labels: Sequence[str],
    before: np.ndarray,
    panels: Mapping[str, np.ndarray],
    *,
    columns: int = 2,
    ylabel: str = "概率",
) -> Figure:
    """每格一种做法：灰框是原来的 ylabel，蓝柱是处理之后的。书中：fig-generation-temperature 等"""
    rows = -(-len(panels) // columns)
    fig, axes = plt.subplots(
        rows, columns, figsize=(6.4, 2.3 * rows + 0.1), sharex=True, sharey=True, squeeze=False
    )
    places = np.arange(len(labels))
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (title, after) in zip(axes.flat, panels.items(), strict=False):
        ax.bar(places, after, color=COLORS["blue"], width=0.7)
        ax.bar(places, before, facecolor="none", edgecolor=MUTED, lw=1, ls="--", width=0.7)
        ax.set_title(title, fontsize=11)
        ax.set_xticks(places, labels)
        ax.grid(axis="x", visible=False)
        ax.set_ylim(0, 1)
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
    return fig


def curves(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    log: str = "",
    mark: tuple[float, str] | None = None,
) -> Figure:
    """若干条折线；log 含 "x"、"y" 时那一轴取对数；mark 是一条竖直的虚线与它的说明。

    书中：fig-generation-entropy、fig-generation-cost、fig-generation-quality
    """
    fig, ax = plt.subplots(figsize=(6.4, 3.5))
    for (name, y), style, marker in zip(lines.items(), STYLES, MARKERS, strict=False):
        few = len(x) <= 12
        ax.plot(x, y, ls=style, marker=marker if few else "", ms=5, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    if mark is not None:
        ax.axvline(mark[0], color=MUTED, ls="--", lw=1.2)
        ax.annotate(
            mark[1], (mark[0], 0.03), xycoords=("data", "axes fraction"), xytext=(4, 0),
            textcoords="offset points", color=MUTED, fontsize=10,
        )  # fmt: skip
    if len(lines) > 3:  # 多了就放到图的上方，免得压住曲线
        ax.legend(ncols=len(lines), loc="lower center", bbox_to_anchor=(0.5, 1))
    elif len(lines) > 1:
        ax.legend()
    return fig


# KV 缓存


def recomputed(characters: Sequence[str]) -> Figure:
    """写最后一个字时各格注意力要不要算：左不用缓存，右用缓存。橙色要算，灰色是取用以前的。

    书中：fig-generation-triangle
    """
    fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.3), sharey=True)
    n = len(characters)
    for ax, title, cached in zip(axes, ("每次从头算", "用 KV 缓存"), (False, True), strict=True):
        for i in range(n):
            for j in range(i + 1):
                old = cached and i < n - 1
                ax.add_patch(
                    plt.Rectangle(
                        (j, i), 1, 1, lw=0.8, edgecolor=MUTED, alpha=0.3 if old else 0.85,
                        facecolor=COLORS["gray"] if old else COLORS["orange"],
                    )
                )  # fmt: skip
        ax.set(xlim=(0, n), ylim=(n, 0), aspect="equal", title=title)
        ax.set_xticks(np.arange(n) + 0.5, characters)
        ax.set_yticks(np.arange(n) + 0.5, characters)
        ax.tick_params(length=0)
        ax.grid(False)
        ax.set_xlabel("被看的位置（键、值）")
    axes[0].set_ylabel("看的位置（查询）")
    return fig


# 一批诗的好坏


def likelihoods(groups: Mapping[str, np.ndarray], *, xlabel: str) -> Figure:
    """几组数各画一条折线直方图，纵轴是所占的比例。书中：fig-generation-likelihood"""
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    edges = np.linspace(0, 8, 25)
    middle = (edges[1:] + edges[:-1]) / 2
    for (name, values), style, marker in zip(groups.items(), STYLES, MARKERS, strict=False):
        share = np.histogram(values, edges)[0] / len(values)
        ax.plot(middle, share, ls=style, marker=marker, ms=3.5, label=name)
    ax.set(xlabel=xlabel, ylabel="所占的比例")
    ax.legend()
    return fig


# 模型内部


def poem_attention(
    weights: np.ndarray, characters: Sequence[str], next_ones: Sequence[str]
) -> Figure:
    """一个头的注意力 (T, T)：行是正要写的字，列是看着的字，越深越集中。书中：fig-inside-head"""
    fig, ax = plt.subplots(figsize=(6.4, 6.2))
    image = ax.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(characters)), characters, fontsize=9)
    ax.set_yticks(range(len(next_ones)), next_ones, fontsize=9)
    ax.tick_params(length=0)
    ax.grid(False)
    ax.set(xlabel="看着哪个字", ylabel="正要写哪个字")
    fig.colorbar(image, shrink=0.7, label="注意力")
    return fig


def head_scores(scores: np.ndarray, patterns: Sequence[str], heads: Sequence[str]) -> Figure:
    """每个头 (列) 落在每种位置 (行) 上的注意力，都在 0 与 1 之间。书中：fig-inside-scores"""
    fig, ax = plt.subplots(figsize=(6.4, 0.42 * len(patterns) + 1.3))
    image = ax.imshow(scores, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(heads)), heads, fontsize=9)
    ax.set_yticks(range(len(patterns)), patterns)
    ax.tick_params(length=0)
    ax.grid(False)
    ax.set_xlabel("层.头")
    fig.colorbar(image, label="注意力")
    return fig


def rhyme_rows(rows: np.ndarray, rhymes: Sequence[int], titles: Sequence[str]) -> Figure:
    """每行一格：注意力 (行, T) 落在各位置上多少；虚线是此前的韵脚。书中：fig-inside-rhyme"""
    fig, axes = plt.subplots(len(rows), 1, figsize=(6.4, 1.5 * len(rows)), sharex=True, sharey=True)
    for k, (ax, row, title) in enumerate(zip(axes, rows, titles, strict=True)):
        ax.bar(np.arange(len(row)), row, color=COLORS["blue"], width=0.8)
        for place in rhymes[: k + 1]:
            ax.axvline(place, color=COLORS["orange"], ls="--", lw=1, zorder=0)
        ax.set_title(title, loc="left", fontsize=11)
        ax.set(ylim=(0, 1), ylabel="注意力")
    axes[-1].set_xlabel("诗里的第几个字符")
    return fig


def similarity(cosine: np.ndarray, characters: Sequence[str], groups: Sequence[int]) -> Figure:
    """嵌入两两的余弦，红正蓝负；groups 是依次各组的字数，其间画线。书中：fig-inside-similarity"""
    fig, ax = plt.subplots(figsize=(6.4, 5.6))
    shown = cosine - np.eye(len(cosine)) * np.diag(cosine)  # 自己与自己总是 1，不画
    image = ax.imshow(shown, cmap=SIGNED, vmin=-1, vmax=1)
    for edge in np.cumsum(groups)[:-1] - 0.5:
        ax.axhline(edge, color=ON_CELL, lw=0.8)
        ax.axvline(edge, color=ON_CELL, lw=0.8)
    ax.set_xticks(range(len(characters)), characters, fontsize=9)
    ax.set_yticks(range(len(characters)), characters, fontsize=9)
    ax.tick_params(length=0)
    ax.grid(False)
    fig.colorbar(image, shrink=0.8, label="余弦")
    return fig


def lens(probability: np.ndarray, layers: Sequence[str], characters: Sequence[str]) -> Figure:
    """提前读出：第 l 层之后 (行) 就读，真正的下一个字 (列) 得到的概率。书中：fig-inside-lens"""
    fig, axes = plt.subplots(2, 1, figsize=(6.4, 4.2))
    half = -(-len(characters) // 2)
    for ax, start in zip(axes, (0, half), strict=True):
        part = probability[:, start : start + half]
        image = ax.imshow(part, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        ax.set_xticks(range(part.shape[1]), characters[start : start + half], fontsize=10)
        ax.set_yticks(range(len(layers)), layers, fontsize=10)
        ax.tick_params(length=0)
        ax.grid(False)
    fig.colorbar(image, ax=axes.tolist(), label="概率")
    return fig


def loss_by_position(
    losses: Mapping[str, np.ndarray], labels: Mapping[str, Sequence[str]]
) -> Figure:
    """每种体裁一格：各个位置的平均损失，横轴写位置的名字。书中：fig-inside-position"""
    fig, axes = plt.subplots(
        len(losses), 1, figsize=(6.4, 2.3 * len(losses)), sharey=True, squeeze=False
    )
    for ax, (name, values) in zip(axes[:, 0], losses.items(), strict=True):
        kind = [mark in "，。" for mark in labels[name]]
        colors = [COLORS["gray"] if k else COLORS["blue"] for k in kind]
        ax.bar(np.arange(len(values)), values, color=colors, width=0.75)
        ax.set_xticks(range(len(values)), labels[name], fontsize=9)
        ax.tick_params(axis="x", length=0)
        ax.grid(axis="x", visible=False)
        ax.set_title(name, loc="left", fontsize=11)
        ax.set_ylabel("损失")
    axes[-1, 0].set_xlabel("句中第几个字")
    fig.get_layout_engine().set(hspace=0.08)  # 题目离上一格的横轴远些，离自己的近些
    return fig


# 规模


def scaling(runs: Mapping[str, tuple[np.ndarray, np.ndarray]], fit: tuple[float, float]) -> Figure:
    """损失随计算量（双对数）：每种大小一条线；虚线是前沿的拟合 loss = a · C^−b，fit = (a, b)。

    书中：fig-growing-scaling
    """
    fig, ax = plt.subplots(figsize=(6.4, 4.0))
    for (name, (flops, loss)), style, marker in zip(runs.items(), STYLES, MARKERS, strict=False):
        ax.plot(flops, loss, ls=style, marker=marker, ms=4.5, label=name)
    low = min(flops[0] for flops, _ in runs.values())
    high = max(flops[-1] for flops, _ in runs.values())
    x = np.geomspace(low, high, 30)
    ax.plot(x, fit[0] * x ** -fit[1], color=INK, ls=(0, (1, 1.5)), lw=1.4, label="前沿的拟合")
    ax.set(xscale="log", yscale="log", xlabel="训练的计算量（FLOP）", ylabel="损失")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_minor_formatter(lambda value, _: f"{value:g}")
    ax.legend()
    return fig


def orders_of_magnitude(values: Mapping[str, float], *, xlabel: str) -> Figure:
    """对数刻度的横条，相差多少个数量级一眼可见。书中：fig-growing-compute"""
    fig, ax = plt.subplots(figsize=(6.4, 0.5 * len(values) + 0.9))
    names = list(values)[::-1]
    ax.barh(names, [values[name] for name in names], color=COLORS["blue"], height=0.55)
    ax.set(xscale="log", xlabel=xlabel)
    ax.grid(axis="y", visible=False)
    return fig


def stacked(parts: Mapping[str, float], *, xlabel: str) -> Figure:
    """一根横条从左到右分成几段，图例写各段的名字。书中：fig-growing-memory"""
    fig, ax = plt.subplots(figsize=(6.4, 2.1))
    start = 0.0
    hatches = ("", "//", "..", "xx", "\\\\", "++")
    for (name, size), color, hatch in zip(parts.items(), COLORS.values(), hatches, strict=False):
        ax.barh([""], [size], left=start, color=color, hatch=hatch, edgecolor="#ffffff", label=name)
        start += size
    ax.set(xlabel=xlabel)
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=10)
    return fig
