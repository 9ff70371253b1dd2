"""第 4 章的图：卷积的窗口、特征图、感受野、池化、训练曲线、显著图。

每个函数收下数据，返回画好的 matplotlib Figure。书中：chap-cnn
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter

from dlbook.plot.style import COLORS, INK, MUTED, ON_CELL, PAPER, number

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
# 双色图：零为白，正红负蓝。
SIGNED = "RdBu_r"
QUADRANTS = ListedColormap(["#f7d9b5", "#c9dff1", "#c5e6da", "#e3d8ef"])


# 数表：把数写在格子里


def window_product(image: np.ndarray, kernel: np.ndarray, corner: tuple[int, int]) -> Figure:
    """图、核、输出三张数表；corner 处的窗口与对应的输出格涂成橙色。书中：fig-cnn-window"""
    k = len(kernel)
    windows = np.lib.stride_tricks.sliding_window_view(image, (k, k))
    out = np.einsum("ijuv,uv->ij", windows, kernel)
    tables = {"输入": image, "核": kernel, "输出": out}
    fig, axes = _side_by_side(tables, 2.5)
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        _table(ax, table, title)
    _highlight(axes[0], corner, (k, k))
    _highlight(axes[2], corner, (1, 1))
    _between(axes[0], axes[1], "∗")
    _between(axes[1], axes[2], "=")
    return fig


def matrix_product(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> Figure:
    """left · right = out 三张数表。书中：fig-cnn-im2col"""
    tables = {"窗口": left, "核": right, "输出": out}
    fig, axes = _side_by_side(tables, 3.6)
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        _table(ax, table, title, fontsize=10)
    _between(axes[0], axes[1], "·")
    _between(axes[1], axes[2], "=")
    return fig


def number_tables(tables: Mapping[str, np.ndarray], *, blocks: int = 0) -> Figure:
    """并排的数表；blocks 大于 0 时，第一张按 blocks×blocks 的小块涂色，其余一格一色。

    书中：fig-cnn-pooling、fig-cnn-backward
    """
    fig, axes = _side_by_side(tables, 2.4)
    for k, (ax, (title, table)) in enumerate(zip(axes, tables.items(), strict=True)):
        _table(ax, table, title)
        if blocks:
            size = blocks if k == 0 else 1
            block = np.indices(table.shape) // size
            colors = block[0] * (block[1].max() + 1) + block[1]
            ax.imshow(colors % 4, cmap=QUADRANTS, vmin=0, vmax=3)
    return fig


def labelled_matrix(matrix: np.ndarray, rows: Sequence[str]) -> Figure:
    """矩阵画成红蓝格子，行名写在左边。书中：fig-cnn-matrix"""
    fig, ax = plt.subplots(figsize=(6.4, 2.2))
    limit = np.abs(matrix).max()
    ax.imshow(matrix, cmap=SIGNED, vmin=-1.6 * limit, vmax=1.6 * limit)
    for (i, j), value in np.ndenumerate(matrix):
        if value:
            ax.text(j, i, number(value), ha="center", va="center", color=ON_CELL, fontsize=9)
    _grid_lines(ax, matrix.shape)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_xticks(range(matrix.shape[1]))
    ax.set(xlabel="第几个像素", ylabel="输出的位置")
    return fig


def _side_by_side(tables: Mapping[str, np.ndarray], height: float) -> tuple[Figure, np.ndarray]:
    """各张表一个坐标系，宽度与列数成正比。"""
    widths = [table.shape[1] for table in tables.values()]
    return plt.subplots(1, len(tables), figsize=(6.4, height), gridspec_kw={"width_ratios": widths})


def _table(ax: Axes, table: np.ndarray, title: str, fontsize: float = 13) -> None:
    ax.set(xlim=(-0.5, table.shape[1] - 0.5), ylim=(table.shape[0] - 0.5, -0.5), aspect="equal")
    for (i, j), value in np.ndenumerate(table):
        # 底下垫一层浅色，深色模式下也看得清。
        ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="#f2f4f6", lw=0, zorder=0))
        ax.text(j, i, number(value), ha="center", va="center", fontsize=fontsize, color=ON_CELL,
                zorder=3)  # fmt: skip
    _grid_lines(ax, table.shape)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title)


def _grid_lines(ax: Axes, shape: tuple[int, int]) -> None:
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.grid(False)
    ax.hlines(np.arange(shape[0] + 1) - 0.5, -0.5, shape[1] - 0.5, color=MUTED, lw=0.7, zorder=2)
    ax.vlines(np.arange(shape[1] + 1) - 0.5, -0.5, shape[0] - 0.5, color=MUTED, lw=0.7, zorder=2)


def _highlight(ax: Axes, corner: tuple[int, int], size: tuple[int, int]) -> None:
    i, j = corner
    ax.add_patch(
        Rectangle((j - 0.5, i - 0.5), size[1], size[0], facecolor=COLORS["orange"], alpha=0.45,
                  edgecolor=COLORS["orange"], lw=2.5, zorder=1)
    )  # fmt: skip


def _between(left: Axes, right: Axes, symbol: str) -> None:
    """在两个坐标系之间写一个运算符号。"""
    right.annotate(
        symbol, (0, 0.5), xytext=(-11, 0), xycoords="axes fraction", textcoords="offset points",
        ha="center", va="center", fontsize=16,
    )  # fmt: skip


# 图像


def signed_images(images: Mapping[str, np.ndarray]) -> Figure:
    """并排的双色图，共用一个颜色条，零为白。书中：fig-cnn-correlation"""
    limit = max(np.abs(image).max() for image in images.values())
    fig, axes = plt.subplots(1, len(images), figsize=(6.4, 3.0), squeeze=False)
    for ax, (title, image) in zip(axes[0], images.items(), strict=True):
        mappable = ax.imshow(image, cmap=SIGNED, vmin=-limit, vmax=limit)
        ax.set_title(title)
        ax.axis("off")
    fig.colorbar(mappable, ax=axes[0].tolist(), shrink=0.8)
    return fig


def image_row(images: Mapping[str, np.ndarray]) -> Figure:
    """一排灰度图，名字写在上方。书中：fig-cnn-receptive、fig-cnn-augment"""
    fig, axes = plt.subplots(1, len(images), figsize=(6.4, 6.4 / len(images) + 0.3), squeeze=False)
    for ax, (title, image) in zip(axes[0], images.items(), strict=True):
        ax.imshow(image, cmap="gray")
        ax.set_title(title, fontsize=11)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(False)
    return fig


def kernel_responses(
    image: np.ndarray, kernels: Mapping[str, np.ndarray], responses: Mapping[str, np.ndarray]
) -> Figure:
    """最左是原图；其后每列上面是特征图，下面是得到它的核。书中：fig-cnn-kernels"""
    n = len(kernels) + 1
    fig, axes = plt.subplots(
        2, n, figsize=(6.4, 2.1), gridspec_kw={"height_ratios": (1, 0.6)}, squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    axes[0, 0].imshow(image, cmap="gray")
    axes[0, 0].set_title("原图", fontsize=11)
    for (top, bottom), (name, kernel) in zip(axes.T[1:], kernels.items(), strict=True):
        _signed(top, responses[name])
        top.set_title(name, fontsize=11)
        _signed(bottom, kernel)
    return fig


def filters(weights: np.ndarray, *, columns: int = 8) -> Figure:
    """第一层的核 (O, k, k) 排成网格，红正蓝负，共用一把尺。书中：fig-cnn-filters"""
    rows = -(-len(weights) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(6.4, rows * 6.4 / columns), squeeze=False)
    limit = np.abs(weights).max()
    for ax in axes.flat:
        ax.axis("off")
    for ax, weight in zip(axes.flat, weights, strict=False):
        ax.imshow(weight, cmap=SIGNED, vmin=-limit, vmax=limit)
    return fig


def feature_maps(image: np.ndarray, layers: Mapping[str, np.ndarray]) -> Figure:
    """最左是输入；每行是一层的若干张特征图 (C, h, w)，每张按自己的最大值定亮度。

    书中：fig-cnn-feature-maps
    """
    columns = max(len(maps) for maps in layers.values()) + 1
    size = (6.4, 6.4 / columns * len(layers) + 0.3 * len(layers))
    fig, axes = plt.subplots(len(layers), columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    axes[0, 0].imshow(image, cmap="gray")
    for row, (name, maps) in zip(axes, layers.items(), strict=True):
        for ax, feature in zip(row[1:], maps, strict=False):
            ax.imshow(feature / (feature.max() or 1), cmap="gray", vmin=0, vmax=1)
        row[1].set_title(name, loc="left", fontsize=10)
    return fig


def overlays(images: np.ndarray, maps: np.ndarray, titles: Sequence[str]) -> Figure:
    """上排是图，下排是同样大小的双色图（各按自己的最大绝对值定色）。书中：fig-cnn-saliency"""
    n = len(images)
    fig, axes = plt.subplots(2, n, figsize=(6.4, 2 * 6.4 / n + 0.3), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for (top, bottom), image, values, title in zip(axes.T, images, maps, titles, strict=True):
        top.imshow(image, cmap="gray")
        top.set_title(title, loc="left", fontsize=10)
        _signed(bottom, values / np.abs(values).max())
    return fig


def attacks(
    clean: np.ndarray, sign: np.ndarray, attacked: np.ndarray, titles: Sequence[tuple[str, str]]
) -> Figure:
    """三排：原图、扰动的方向（−1、0、1）、加了扰动的图；titles 是每列（上排、下排）的字。

    书中：fig-cnn-adversarial
    """  # fmt: skip
    n = len(clean)
    fig, axes = plt.subplots(3, n, figsize=(6.4, 3 * 6.4 / n + 0.6), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for column, a, b, c, (first, last) in zip(axes.T, clean, sign, attacked, titles, strict=True):
        column[0].imshow(a, cmap="gray", vmin=0, vmax=1)
        column[0].set_title(first, loc="left", fontsize=10)
        _signed(column[1], b)
        column[2].imshow(c, cmap="gray", vmin=0, vmax=1)
        column[2].set_title(last, loc="left", fontsize=10)
    return fig


def _signed(ax: Axes, image: np.ndarray) -> None:
    limit = max(np.abs(image).max(), 1e-12)
    ax.imshow(image, cmap=SIGNED, vmin=-limit, vmax=limit)


# 示意图


def strides(size: int, kernel: int, cases: Sequence[tuple[int, int]]) -> Figure:
    """输入的格子、补的零、各窗口的中心；cases 是（填充, 步幅）。书中：fig-cnn-stride"""
    widths = [size + 2 * padding for padding, _ in cases]
    fig, axes = plt.subplots(
        1, len(cases), figsize=(6.4, 2.9), gridspec_kw={"width_ratios": widths}
    )
    for ax, (padding, stride) in zip(axes, cases, strict=True):
        low, high = -padding, size + padding
        for i in range(low, high):
            for j in range(low, high):
                inside = 0 <= i < size and 0 <= j < size
                ax.add_patch(
                    Rectangle((j, i), 1, 1, facecolor=MUTED if inside else "none",
                              alpha=0.35 if inside else 1, edgecolor=MUTED,
                              ls="-" if inside else ":", lw=0.7)
                )  # fmt: skip
        starts = np.arange(low, high - kernel + 1, stride)
        centers = starts + kernel / 2
        ax.plot(*np.meshgrid(centers, centers), "o", color=COLORS["blue"], ms=5)
        for start, style in zip(starts[:2], ("-", "--"), strict=True):
            ax.add_patch(
                Rectangle((start + 0.06, low + 0.06), kernel - 0.12, kernel - 0.12,
                          facecolor="none", edgecolor=COLORS["orange"], lw=2.2, ls=style)
            )  # fmt: skip
        ax.set(xlim=(low - 0.1, high + 0.1), ylim=(high + 0.1, low - 0.1), aspect="equal")
        ax.set_title(f"填充 {padding}，步幅 {stride}", fontsize=11)
        ax.axis("off")
    return fig


def architecture(stages: Sequence[tuple[str, str]]) -> Figure:
    """网络从上到下的各段：每段（做什么, 输出的形状），方框的宽表示输出的大小。

    书中：fig-cnn-architecture
    """
    fig, ax = plt.subplots(figsize=(6.4, 0.62 * len(stages) + 0.2))
    ax.set(xlim=(0, 6.4), ylim=(0.62 * len(stages) + 0.1, -0.1))
    ax.axis("off")
    for k, (what, shape) in enumerate(stages):
        y = 0.62 * k + 0.25
        ax.add_patch(
            FancyBboxPatch((0.2, y - 0.19), 3.6, 0.38, boxstyle="round,pad=0.03",
                           facecolor=PAPER, edgecolor=COLORS["blue"], lw=1.4)
        )  # fmt: skip
        ax.text(2.0, y, what, ha="center", va="center", fontsize=11)
        ax.text(4.15, y, shape, ha="left", va="center", fontsize=11, color=MUTED)
        if k:
            ax.annotate(
                "", (2.0, y - 0.22), (2.0, y - 0.40),
                arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.2},
            )  # fmt: skip
    return fig


# 曲线


def accuracy_lines(
    x: Sequence[float], lines: Mapping[str, Sequence[float]], *, xlabel: str
) -> Figure:
    """若干条准确率的折线。书中：fig-cnn-mlp-shift、fig-cnn-shift"""
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    for (name, y), style, marker in zip(lines.items(), STYLES, MARKERS, strict=False):
        ax.plot(x, y, ls=style, marker=marker, label=name)
    ax.set(xlabel=xlabel, ylabel="准确率", ylim=(0, 1.03), xticks=x)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if len(lines) > 1:
        ax.legend()
    return fig


def training(loss: np.ndarray, val_error: Sequence[float], *, smooth: int = 50) -> Figure:
    """上：每一步的损失（淡）与滑动平均（浓）；下：每轮之后验证集上的错误率，对数刻度。

    书中：fig-cnn-training
    """
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 5.0))
    steps = np.arange(1, len(loss) + 1)
    average = np.convolve(loss, np.full(smooth, 1 / smooth), mode="valid")
    top.plot(steps, loss, color=COLORS["gray"], lw=0.5, alpha=0.6, rasterized=True)
    top.plot(steps[smooth - 1 :], average, color=COLORS["blue"])
    top.set(xlabel="步数", ylabel="训练损失", yscale="log")
    epochs = np.arange(1, len(val_error) + 1)
    bottom.plot(epochs, val_error, color=COLORS["orange"], marker="o")
    bottom.set(xlabel="轮数", ylabel="验证错误率", yscale="log", xticks=epochs)
    bottom.yaxis.set_major_locator(LogLocator(subs=(1, 1.4, 2, 3, 5, 7)))
    bottom.yaxis.set_minor_locator(NullLocator())
    bottom.yaxis.set_major_formatter(lambda v, _: f"{100 * v:g}%")
    return fig


def two_losses(losses: Mapping[str, Sequence[float]]) -> Figure:
    """几条应当重合的损失曲线：第一条画粗线，其余画点。书中：fig-cnn-two-engines"""
    fig, ax = plt.subplots(figsize=(6.4, 3.2))
    for k, (name, values) in enumerate(losses.items()):
        steps = np.arange(1, len(values) + 1)
        if k == 0:
            ax.plot(steps, values, lw=4, alpha=0.5, label=name)
        else:
            ax.plot(steps, values, ls="none", marker=MARKERS[k], ms=4, label=name)
    ax.set(xlabel="步数", ylabel="训练损失")
    ax.legend()
    return fig


def histograms(groups: Mapping[str, np.ndarray], *, xlabel: str) -> Figure:
    """并排的直方图，共用横轴。书中：fig-cnn-batch-norm"""
    fig, axes = plt.subplots(1, len(groups), figsize=(6.4, 2.6), sharex=True, sharey=True)
    values = np.concatenate([np.ravel(v) for v in groups.values()])
    bins = np.linspace(*np.quantile(values, (0.001, 0.999)), 41)
    for ax, (name, group), color in zip(axes, groups.items(), COLORS.values(), strict=False):
        ax.hist(np.ravel(group), bins, color=color, density=True)
        ax.set_title(name, fontsize=11)
        ax.set_xlabel(xlabel)
    axes[0].set_ylabel("密度")
    return fig


def error_bars(results: Mapping[str, Mapping[str, float]]) -> Figure:
    """成组的柱：每种模型一组，每种数据一根，高度是错误率；results 里是准确率。

    书中：fig-cnn-shuffle
    """
    fig, ax = plt.subplots(figsize=(6.4, 3.0))
    cases = list(next(iter(results.values())))
    width = 0.8 / len(cases)
    for k, case in enumerate(cases):
        left = np.arange(len(results)) - 0.4 + width * (k + 0.5)
        heights = [1 - row[case] for row in results.values()]
        ax.bar(left, heights, width, label=case, hatch=("", "//")[k % 2], edgecolor="white")
    ax.set_xticks(range(len(results)), list(results))
    ax.set_ylabel("验证错误率")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend()
    return fig


def confusion_heat(matrix: np.ndarray) -> Figure:
    """混淆矩阵里的错误：行是标签，列是预测，颜色是张数；对角线记作 0。

    书中：fig-cnn-confusion
    """
    fig, ax = plt.subplots(figsize=(5.2, 4.4))
    errors = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    mappable = ax.imshow(errors, cmap="Oranges", vmin=0)
    fig.colorbar(mappable, label="张数", shrink=0.8)
    ax.set(xlabel="预测", ylabel="标签", xticks=range(10), yticks=range(10))
    ax.grid(False)
    return fig
