"""第 12 章的图：计算图与形状、梯度的流向、代价与内存、热力图、卷积与池化。

每个函数收下数据，返回画好的 matplotlib Figure。书中：chap-backpropagation
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from dlbook.autograd.tensor import Tensor
from dlbook.plot.style import COLORS, INK, MUTED, PAPER, number, on_cell

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
# 双色图：零为白，正负两色。
SIGNED = "RdBu_r"
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 1.14, 0.62, 1.46, 1.05  # 英寸


class Box(NamedTuple):
    """流程图里的一个方框：第几列、第几行（可以是小数）、两行文字。"""

    column: float
    row: float
    title: str
    note: str = ""


def flow(
    boxes: Mapping[str, Box], edges: Sequence[tuple[str, str]], *, backward: bool = False
) -> Figure:
    """计算图：方框按列排开，灰箭头是前向；backward=True 时再画红色虚线的反向箭头。

    edges 的每一项是（起点，终点）；要越过同一行的方框时，箭头从方框顶上绕过去。
    书中：sec-bp-graphs
    """
    columns = [box.column for box in boxes.values()]
    rows = [box.row for box in boxes.values()]
    over = {(start, stop) for start, stop in edges if _blocked(boxes, start, stop)}
    side, bottom = BOX_WIDTH / 2 + 0.1, BOX_HEIGHT / 2 + 0.1
    top = bottom + (0.55 if over else 0.0)
    fig, ax = plt.subplots(
        figsize=(
            COLUMN * (max(columns) - min(columns)) + 2 * side,
            ROW * (max(rows) - min(rows)) + top + bottom,
        )
    )
    places = {name: np.array([box.column * COLUMN, -box.row * ROW]) for name, box in boxes.items()}
    for start, stop in edges:
        _edge(ax, places[start], places[stop], (start, stop) in over, backward)
    for name, box in boxes.items():
        x, y = places[name]
        leaf = not any(stop == name for _, stop in edges)
        ax.add_patch(
            FancyBboxPatch(
                (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2), BOX_WIDTH, BOX_HEIGHT,
                boxstyle="round,pad=0,rounding_size=0.08", facecolor=PAPER,
                edgecolor=COLORS["green"] if leaf else COLORS["blue"], linewidth=1.4,
            )
        )  # fmt: skip
        lines = [text for text in (box.title, box.note) if text]
        for k, text in enumerate(lines):
            y_text = y + 0.25 * ((len(lines) - 1) / 2 - k)
            color = INK if k == 0 else MUTED
            ax.text(x, y_text, text, ha="center", va="center", color=color, fontsize=11)
    ax.set(
        xlim=(min(columns) * COLUMN - side, max(columns) * COLUMN + side),
        ylim=(-max(rows) * ROW - bottom, -min(rows) * ROW + top),
        aspect="equal",
    )
    ax.axis("off")
    return fig


def _blocked(boxes: Mapping[str, Box], start: str, stop: str) -> bool:
    """从 start 直着画到 stop，会不会穿过同一行的别的方框。"""
    a, b = boxes[start], boxes[stop]
    return a.row == b.row and any(
        box.row == a.row and a.column < box.column < b.column for box in boxes.values()
    )


def _edge(ax: Axes, start: np.ndarray, stop: np.ndarray, over: bool, backward: bool) -> None:
    """一条前向箭头；需要时在它旁边画一条反向的。over 表示从方框顶上绕过去。"""
    shift = np.array([0.0, 0.09])
    if over:
        roof = np.array([0.0, BOX_HEIGHT / 2])
        a, b = start + roof, stop + roof
    elif start[0] == stop[0]:  # 同一列：上下相连
        half = np.array([0.0, np.sign(stop[1] - start[1]) * BOX_HEIGHT / 2])
        a, b, shift = start + half, stop - half, np.array([0.1, 0.0])
    else:
        half = np.array([BOX_WIDTH / 2, 0.0])
        a, b = start + half, stop - half
    offset = shift if backward else 0 * shift
    style = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0}
    style["connectionstyle"] = f"arc3,rad={-0.2 if over else 0.0}"
    ax.annotate("", b + offset, a + offset, arrowprops=style | {"color": MUTED})
    if backward:
        style["connectionstyle"] = f"arc3,rad={0.2 if over else 0.0}"
        dashed = {"color": COLORS["red"], "linestyle": (0, (3, 2))}
        ax.annotate("", a - offset, b - offset, arrowprops=style | dashed)


def matrices(lines: Sequence[Sequence[str | tuple[str, tuple[int, int]]]]) -> Figure:
    """用矩形画矩阵乘法：每行是一串矩阵与运算符，矩阵写作（名字，形状），矩形按形状成比例。

    书中：sec-bp-vjp、sec-bp-batch
    """
    unit, gap, symbol = 0.3, 0.22, 0.3
    line_heights = [max(t[1][0] for t in line if isinstance(t, tuple)) * unit for line in lines]
    widths = [
        sum(t[1][1] * unit if isinstance(t, tuple) else symbol * max(1, 0.4 * len(t)) for t in line)
        + gap * len(line)
        for line in lines
    ]
    height = sum(line_heights) + 0.75 * len(lines)
    fig, ax = plt.subplots(figsize=(max(widths) + 0.4, height + 0.1))
    # 同名的矩阵（不论转置与否）同色。
    names = dict.fromkeys(t[0].strip("ᵀ") for line in lines for t in line if isinstance(t, tuple))
    colors = dict(zip(names, [*COLORS.values()] * 2, strict=False))
    y = height
    for line, line_height in zip(lines, line_heights, strict=True):
        middle, x = y - 0.3 - line_height / 2, 0.1
        for term in line:
            if isinstance(term, str):
                width = symbol * max(1, 0.4 * len(term))
                ax.text(x + width / 2, middle, term, ha="center", va="center", fontsize=12)
            else:
                name, (rows, columns) = term
                width = columns * unit
                ax.add_patch(
                    Rectangle(
                        (x, middle - rows * unit / 2), width, rows * unit,
                        facecolor=colors[name.strip("ᵀ")], alpha=0.22, edgecolor=INK, lw=1,
                    )
                )  # fmt: skip
                ax.text(x + width / 2, middle, name, ha="center", va="center", fontsize=11)
                below = middle - rows * unit / 2 - 0.06
                text = f"{rows}×{columns}"
                ax.text(x + width / 2, below, text, ha="center", va="top", fontsize=9, color=MUTED)
            x += width + gap
        y -= line_height + 0.75
    ax.set(xlim=(0, max(widths) + 0.2), ylim=(0, height + 0.05), aspect="equal")
    ax.axis("off")
    return fig


def curves(
    x: np.ndarray,
    series: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    log: str = "",
    mark: tuple[float, str] | None = None,
    points: bool = False,
) -> Figure:
    """若干条曲线，线型各不相同；log 取 ""、"x"、"y"、"xy"；mark 是一条竖线的位置与文字。

    书中：fig-bp-cost、fig-bp-checkpoint、fig-bp-gelu、fig-bp-residual-norms
    """
    fig, ax = plt.subplots(figsize=(6.0, 3.4))
    for k, (label, y) in enumerate(series.items()):
        marker = MARKERS[k % 4] if points else None
        ax.plot(x, y, STYLES[k % 4], label=label, marker=marker, markersize=4)
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    if mark:
        ax.axvline(mark[0], color=MUTED, ls=":", lw=1.2)
        ax.annotate(
            mark[1], (mark[0], 0.94), xycoords=("data", "axes fraction"), xytext=(5, 0),
            textcoords="offset points", color=MUTED, fontsize=10, va="top",
        )  # fmt: skip
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(series) > 1:
        ax.legend()
    return fig


def heatmaps(panels: Mapping[str, np.ndarray], *, digits: int = 2, columns: int = 4) -> Figure:
    """若干个小矩阵并排画成热力图，格子里写数；红正蓝负，各图用同一色标。

    书中：fig-bp-softmax-jacobian、fig-bp-attn-grads
    """
    limit = max(np.abs(panel[np.isfinite(panel)]).max() for panel in panels.values())
    rows = -(-len(panels) // columns)
    columns = min(columns, len(panels))
    fig, axes = plt.subplots(
        rows, columns, figsize=(max(2.0 * columns, 3.0), 2.15 * rows), squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, panel) in zip(axes.flat, panels.items(), strict=False):
        ax.axis("on")
        image = ax.imshow(panel, cmap=SIGNED, vmin=-limit, vmax=limit)
        for (i, j), value in np.ndenumerate(panel):
            finite = np.isfinite(value)  # 无穷大的格子不上色，露出页面的底色
            text = number(value, f".{digits}f") if finite else "−∞"
            color = on_cell(image.to_rgba(value)) if finite else INK
            ax.text(j, i, text, ha="center", va="center", fontsize=9, color=color)
        ax.set_title(title, fontsize=11)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(False)
    return fig


def bars(groups: Mapping[str, np.ndarray], *, xlabel: str, ylabel: str) -> Figure:
    """并排的柱：每组一种颜色与纹理，横轴是元素的编号（从 1 起）。书中：fig-bp-ln-bars"""
    fig, ax = plt.subplots(figsize=(6.2, 3.2))
    count = len(next(iter(groups.values())))
    width = 0.8 / len(groups)
    for k, (label, values) in enumerate(groups.items()):
        left = np.arange(1, count + 1) - 0.4 + width * (k + 0.5)
        hatch = ("", "//", "..", "xx")[k % 4]
        ax.bar(left, values, width, label=label, hatch=hatch, edgecolor="white", linewidth=0.5)
    ax.axhline(0, color=INK, lw=1)
    ax.set(xticks=np.arange(1, count + 1), xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return fig


def relu_gate(x: np.ndarray, dy: np.ndarray) -> Figure:
    """ReLU 与它的导数，并标出各个输入在哪一侧、梯度放不放行。x、dy 形状 (n,)。

    书中：fig-bp-relu
    """
    grid = np.linspace(min(x.min(), -3) - 0.5, max(x.max(), 3) + 0.5, 200)
    fig, ax = plt.subplots(figsize=(6.0, 3.4))
    ax.plot(grid, np.maximum(grid, 0), label="ReLU(x)")
    ax.plot(grid, (grid > 0).astype(float), "--", label="导数")
    for value, g in zip(x, dy, strict=True):
        passes = value > 0
        color = COLORS["green"] if passes else COLORS["red"]
        ax.plot(value, max(value, 0), "o" if passes else "X", color=color, markersize=9)
        text = f"上游 {number(g)} → {number(g if passes else 0)}"
        ax.annotate(
            text, (value, max(value, 0)), xytext=(-6, 10), textcoords="offset points",
            ha="right" if passes else "center", fontsize=10, color=color,
        )  # fmt: skip
    ax.set(xlabel="x", ylabel="值")
    ax.legend(loc="upper left")
    return fig


def windows(image: np.ndarray, kernel: tuple[int, int], corner: tuple[int, int]) -> Figure:
    """卷积：左边是输入 (H, W)，框出左上角在 corner 的窗口；右边是输出的网格，标出对应的格子。

    书中：fig-bp-conv
    """
    height, width = image.shape
    out = (height - kernel[0] + 1, width - kernel[1] + 1)
    fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.7), width_ratios=(width, out[1]))
    for ax, shape, title in ((axes[0], image.shape, "输入 x"), (axes[1], out, "输出 y")):
        ax.set(xlim=(0, shape[1]), ylim=(shape[0], 0), aspect="equal", title=title)
        ax.set_xticks(np.arange(shape[1] + 1), [""] * (shape[1] + 1))
        ax.set_yticks(np.arange(shape[0] + 1), [""] * (shape[0] + 1))
        ax.tick_params(length=0)
    for (i, j), value in np.ndenumerate(image):
        axes[0].text(j + 0.5, i + 0.5, number(value), ha="center", va="center")
    for i, j in np.ndindex(out):
        axes[1].text(j + 0.5, i + 0.5, f"$y_{{{i}{j}}}$", ha="center", va="center")
    style = {"facecolor": COLORS["orange"], "alpha": 0.3, "edgecolor": COLORS["red"], "lw": 2}
    axes[0].add_patch(Rectangle(corner[::-1], kernel[1], kernel[0], **style))
    axes[1].add_patch(Rectangle(corner[::-1], 1, 1, **style))
    return fig


def executed_graph(root: Tensor) -> Figure:
    """画出真的执行过的计算图：从 ``root.grad_fn`` 走遍全图；叶子写形状，中间节点写运算名。

    须在 ``root.backward()`` 之前画，反向之后图就拆掉了。书中：fig-bp-executed
    """
    order = _inputs_first(root.grad_fn)
    column: dict[object, int] = {}
    for node in order:
        column[node] = 1 + max((column[p] for p in _inputs(node)), default=-1)
    for node in order:  # 叶子挪到用到它的节点的左邻一列
        if isinstance(node, Tensor):
            users = (user for user in order if any(p is node for p in _inputs(user)))
            column[node] = min(column[user] for user in users) - 1
    members: dict[int, list[object]] = {}
    for node in order:  # 同一列里，运算在上，叶子在下
        members.setdefault(column[node], []).append(node)
    boxes, names = {}, {}
    for which, nodes in members.items():
        for row, node in enumerate(sorted(nodes, key=lambda n: isinstance(n, Tensor))):
            names[node] = f"{which}-{row}"
            if isinstance(node, Tensor):
                boxes[names[node]] = Box(which, row, "叶子", "×".join(map(str, node.shape)))
            else:
                boxes[names[node]] = Box(which, row, node.name)
    edges = [(names[p], names[node]) for node in order for p in _inputs(node)]
    return flow(boxes, edges)


def _inputs_first(root: object) -> list:
    """root 依赖的全部节点与叶子，输入排在用到它的节点之前。图画得下，就不怕递归太深。"""
    order: list = []

    def visit(node: object) -> None:
        if not any(node is seen for seen in order):
            for parent in _inputs(node):
                visit(parent)
            order.append(node)

    visit(root)
    return order


def _inputs(node: object) -> list:
    """节点的输入（去掉重复的与不求导的）；叶子没有输入。"""
    return (
        []
        if isinstance(node, Tensor)
        else [*dict.fromkeys(p for p in node.parents if p is not None)]
    )
