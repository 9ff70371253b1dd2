"""第 7 章的图：PyTorch 的组成、张量与步幅、自动求导记下的图、数据的流水线、多进程训练。

示意图由 matplotlib 画出；:func:`autograd_graph` 画的是 PyTorch 真的记下的那张图。
书中：chap-pytorch
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from dlbook.plot.diagrams import arrow, box, canvas
from dlbook.plot.style import COLORS, INK, MUTED, PAPER, number

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
GRADIENT = COLORS["red"]
LEAF, MIDDLE = COLORS["green"], COLORS["blue"]

# 全章的示意


def components() -> Figure:
    """PyTorch 的三大组件：上一层用下一层。书中：fig-pt-components"""
    fig, ax = canvas(6.4, 3.5)
    rows = [
        ("深度学习库", "层与模型、损失函数、优化器、数据读取", "orange"),
        ("自动微分引擎 autograd", "记下计算图，沿图求梯度", "blue"),
        ("张量库", "多维数组的运算，CPU 与 GPU 通用", "green"),
    ]
    for (title, note, color), y in zip(rows, (2.85, 1.75, 0.65), strict=True):
        box(ax, 3.2, y, 5.6, 0.9, "", edge=COLORS[color])
        ax.text(3.2, y + 0.17, title, ha="center", va="center", fontsize=13)
        ax.text(3.2, y - 0.2, note, ha="center", va="center", fontsize=11, color=MUTED)
    for y in (1.1, 2.2):
        arrow(ax, (3.2, y), (3.2, y + 0.2))
    return fig


def nested_fields() -> Figure:
    """人工智能 ⊃ 机器学习 ⊃ 深度学习。书中：fig-pt-fields"""
    fig, ax = canvas(6.4, 3.9)
    layers = [
        (6.2, 3.7, 0.1, "人工智能", "做通常需要人的智能才能做的事", "gray"),
        (5.4, 2.6, 0.25, "机器学习", "规律由数据得出，不由人写死", "blue"),
        (4.6, 1.5, 0.4, "深度学习", "用多层神经网络，连特征也从数据里学", "orange"),
    ]
    for width, height, low, title, note, color in layers:
        box(ax, 3.2, low + height / 2, width, height, "", edge=COLORS[color])
        top = low + height - 0.27
        ax.text(3.2, top, title, ha="center", va="center", fontsize=13)
        ax.text(3.2, top - 0.36, note, ha="center", va="center", fontsize=11, color=MUTED)
    ax.text(3.2, 0.75, "本书的神经网络都在这里", ha="center", va="center", fontsize=11)
    return fig


def supervised() -> Figure:
    """监督学习的流程：训练、评估、推理。书中：fig-pt-supervised"""
    fig, ax = canvas(6.4, 4.6)
    ax.text(0.1, 4.4, "训练", fontsize=12, color=MUTED, va="center")
    box(ax, 1.1, 3.75, 1.8, 0.75, "训练样本\n与标签", edge=LEAF)
    box(ax, 3.4, 3.75, 1.5, 0.75, "学习算法")
    box(ax, 5.5, 3.75, 1.5, 0.75, "训练好的\n模型", edge=MIDDLE)
    ax.text(0.1, 2.95, "评估", fontsize=12, color=MUTED, va="center")
    box(ax, 1.1, 2.3, 1.8, 0.75, "没见过的样本\n与标签", edge=LEAF)
    box(ax, 3.4, 2.3, 1.5, 0.75, "预测与标签\n比一比")
    box(ax, 5.5, 2.3, 1.5, 0.75, "达标吗？", edge=COLORS["orange"])
    ax.text(0.1, 1.45, "推理", fontsize=12, color=MUTED, va="center")
    box(ax, 1.1, 0.65, 1.8, 0.75, "新样本\n（没有标签）", edge=LEAF)
    box(ax, 3.4, 0.65, 1.5, 0.75, "训练好的\n模型", edge=MIDDLE)
    box(ax, 5.5, 0.65, 1.5, 0.75, "预测的标签", edge=COLORS["orange"])
    for y in (3.75, 2.3, 0.65):
        arrow(ax, (2.02, y), (2.63, y))
        arrow(ax, (4.17, y), (4.73, y))
    arrow(ax, (5.5, 3.36), (3.9, 2.7))
    arrow(ax, (5.5, 1.91), (3.9, 1.05))
    ax.text(5.0, 1.38, "达标才部署", fontsize=11, color=MUTED, va="center")
    return fig


# 张量


def tensor_ranks() -> Figure:
    """阶为 0、1、2、3 的张量。书中：fig-pt-ranks"""
    fig, ax = canvas(6.4, 2.5)
    cell = 0.36
    names = ["标量", "向量", "矩阵", "3D 张量"]
    shapes = ["()", "(3,)", "(2, 3)", "(2, 2, 3)"]
    lefts = [0.45, 1.35, 3.0, 4.75]
    for order, (name, shape, left) in enumerate(zip(names, shapes, lefts, strict=True)):
        rows, columns = (1, 1) if order == 0 else (1, 3) if order == 1 else (2, 3)
        layers = (1, 0) if order == 3 else (0,)
        for layer in layers:  # 后面的一层先画
            shift = 0.16 * layer
            for i in range(rows):
                for j in range(columns):
                    corner = left + j * cell + shift, 1.45 - i * cell + shift
                    style = {"facecolor": PAPER, "edgecolor": MIDDLE, "lw": 1.3}
                    ax.add_patch(Rectangle(corner, cell, cell, **style))
        center = left + columns * cell / 2
        ax.text(center, 0.72, name, ha="center", va="center", fontsize=12)
        ax.text(center, 0.42, f"阶 {order}", ha="center", va="center", fontsize=11)
        ax.text(center, 0.14, shape, ha="center", va="center", fontsize=10, color=MUTED)
    return fig


def strides(tensors: Mapping[str, torch.Tensor]) -> Figure:
    """几个二维张量怎样看同一块内存：每格写元素的值，折线按内存里的次序走过各格。

    书中：fig-pt-strides
    """
    widths = [tensor.shape[1] for tensor in tensors.values()]
    fig, axes = plt.subplots(
        1, len(tensors), figsize=(6.4, 3.0), squeeze=False, width_ratios=widths
    )
    for ax, (name, tensor) in zip(axes[0], tensors.items(), strict=True):
        rows, columns = tensor.shape
        start = tensor.storage_offset()
        places = {}
        for i, j in np.ndindex(rows, columns):
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor="none", edgecolor=MUTED, lw=1))
            place = (j + 0.5, i + 0.5)
            # 数写在格子中央的小圆里，折线从圆连到圆，不从数上穿过。
            disc = {"boxstyle": "circle", "facecolor": PAPER, "edgecolor": COLORS["orange"]}
            ax.text(*place, number(tensor[i, j].item()), ha="center", va="center", bbox=disc)
            places[start + i * tensor.stride(0) + j * tensor.stride(1)] = place
        path = np.array([places[k] for k in sorted(places)])
        ax.plot(*path.T, color=COLORS["orange"], lw=1.4)
        ax.set_title(f"{name}\n步幅 {tuple(tensor.stride())}", fontsize=10.5, linespacing=1.4)
        ax.set(xlim=(-0.1, columns + 0.1), ylim=(3.1, -0.1), aspect="equal")
        ax.axis("off")
    return fig


# 自动求导记下的图


def autograd_graph(
    root: torch.Tensor,
    names: Mapping[str, torch.Tensor],
    *,
    gradients: bool = False,
    local: Mapping[str, str] | None = None,
) -> Figure:
    """画出 PyTorch 记下的图：从 ``root.grad_fn`` 出发，沿 ``next_functions`` 走遍全图。

    names 把要标名字的张量列出来（名字可用 mathtext），它们的值写在方框里；
    gradients=True 时再写 ``.grad``，并画红色的反向箭头；local 把“上一个运算>这个运算”
    对到写在箭头旁的局部导数。运算自上而下排成一列，叶子在它左边；一个运算只能有一个非叶子的输入。
    反向之后节点还在，只是存下的中间值释放了，所以反向前后都能画。

    书中：fig-pt-graph、fig-pt-backward
    """
    chain, leaves = _walk(root.grad_fn)
    row = {id(node): k * 1.4 for k, node in enumerate(reversed(chain))}
    place: dict[int, tuple[float, float]] = {}
    bottom = max(row.values())
    for user, members in leaves.items():
        for k, leaf in enumerate(members):
            offset = 0.92 * (k - (len(members) - 1) / 2)
            place[id(leaf)] = (0.85, bottom - row[user] - offset)
    for node in chain:
        place[id(node)] = (4.05, bottom - row[id(node)])
    top = max(y for _, y in place.values()) + 0.55
    low = min(y for _, y in place.values()) - 0.55
    fig, ax = plt.subplots(figsize=(5.6, top - low))
    ax.set(xlim=(0, 5.6), ylim=(low, top), aspect="equal")
    ax.axis("off")
    labels = _labels(names)
    for user, members in leaves.items():
        for leaf in members:
            (x, y), (ux, uy) = (
                place[id(leaf)],
                next(place[id(node)] for node in chain if id(node) == user),
            )
            _both(ax, (x + 0.8, y), (ux - 1.35, uy + 0.35 * np.sign(y - uy)), gradients)
            name, lines = _note(leaf.variable, labels.get(id(leaf.variable), "叶子"), gradients)
            _node(ax, x, y, 1.6, name, lines, LEAF)
            _edge_text(ax, local, name, chain, user, ((x + ux) / 2 - 0.2, (y + uy) / 2 + 0.28))
    for later, node in enumerate(chain):
        x, y = place[id(node)]
        tensor = next((t for t in names.values() if t.grad_fn is node), None)
        name = type(node).__name__
        lines: list[tuple[str, str]] = []
        if tensor is not None:
            label, lines = _note(tensor, labels[id(tensor)], gradients)
            lines = [(f"{label} = {lines[0][0]}", lines[0][1]), *lines[1:]]
        _node(ax, x, y, 2.7, name, lines, MIDDLE)
        if later:
            above, below = place[id(chain[later])], place[id(chain[later - 1])]
            _both(ax, (above[0], above[1] - 0.4), (below[0], below[1] + 0.4), gradients)
            key = f"{type(node).__name__}>{type(chain[later - 1]).__name__}"
            if local and key in local:
                middle = (above[1] + below[1]) / 2
                ax.text(4.3, middle, local[key], color=GRADIENT, va="center", fontsize=11)
    return fig


def _walk(root: object) -> tuple[list, dict[int, list]]:
    """(从终点往回的一串运算, 每个运算的叶子)；运算超过一串就抛出 ValueError。"""
    chain, leaves = [], {}
    node = root
    while node is not None:
        chain.append(node)
        inputs = [function for function, _ in node.next_functions if function is not None]
        members = [function for function in inputs if hasattr(function, "variable")]
        middle = [function for function in inputs if not hasattr(function, "variable")]
        if len(middle) > 1:
            raise ValueError(f"{type(node).__name__} 有 {len(middle)} 个非叶子的输入，这里只画一串")
        leaves[id(node)] = members
        node = middle[0] if middle else None
    return chain, leaves


def _labels(names: Mapping[str, torch.Tensor]) -> dict[int, str]:
    return {id(tensor): name for name, tensor in names.items()}


def _note(tensor: torch.Tensor, name: str, gradients: bool) -> tuple[str, list]:
    """名字，以及方框里的几行字：值、梯度。"""
    lines = [(_number(tensor), INK)]
    if gradients and tensor.grad is not None:
        lines.append((f"梯度 {_number(tensor.grad)}", GRADIENT))
    return name, lines


def _number(tensor: torch.Tensor) -> str:
    return number(tensor.item(), ".4f")


def _node(
    ax: Axes, x: float, y: float, width: float, name: str, lines: Sequence, edge: str
) -> None:
    """一个方框：名字一行，其余各行。"""
    box(ax, x, y, width, 0.78, "", edge=edge)
    texts = [(name, INK), *lines]
    for k, (text, color) in enumerate(texts):
        height = y + 0.24 * ((len(texts) - 1) / 2 - k)
        ax.text(x, height, text, ha="center", va="center", fontsize=10.5, color=color)


def _both(ax: Axes, start: tuple, stop: tuple, gradients: bool) -> None:
    """前向箭头；gradients=True 时旁边再画一条红色虚线的反向箭头。"""
    start, stop = np.array(start), np.array(stop)
    direction = (stop - start) / np.hypot(*(stop - start))
    side = 0.07 * np.array([-direction[1], direction[0]]) * gradients
    arrow(ax, tuple(start + side), tuple(stop + side))
    if gradients:
        arrow(ax, tuple(stop - side), tuple(start - side), color=GRADIENT, ls="--")


def _edge_text(
    ax: Axes, local: Mapping[str, str] | None, name: str, chain: list, user: int, at: tuple
) -> None:
    operation = next(type(node).__name__ for node in chain if id(node) == user)
    if local and (text := local.get(f"{name}>{operation}")):
        ax.text(*at, text, color=GRADIENT, ha="center", va="center", fontsize=11)


# 网络与数据的流水线


def perceptron(sizes: Sequence[tuple[str, int, str]]) -> Figure:
    """多层感知机：每层（名字, 画几个单元, 写在下面的大小），相邻两层全连接。

    书中：fig-pt-mlp
    """
    fig, ax = canvas(6.4, 3.6)
    columns = np.linspace(0.7, 5.7, len(sizes))
    rows = [2.05 + 0.48 * (np.arange(n) - (n - 1) / 2) for _, n, _ in sizes]
    for left, right, low, high in zip(columns, columns[1:], rows, rows[1:], strict=False):
        for y in low:
            ax.plot(
                np.tile([left, right], (len(high), 1)).T, [np.full(len(high), y), high],
                color=MIDDLE, lw=0.6, alpha=0.6,
            )  # fmt: skip
    for x, y, (name, _, size) in zip(columns, rows, sizes, strict=True):
        for height in y:
            ax.add_patch(Circle((x, height), 0.16, facecolor=PAPER, edgecolor=INK, lw=1.1))
        ax.text(x, 0.4, name, ha="center", va="center", fontsize=11)
        ax.text(x, 0.13, size, ha="center", va="center", fontsize=10, color=MUTED)
    return fig


def loaders() -> Figure:
    """数据集、数据加载器、训练循环的分工。书中：fig-pt-loaders"""
    fig, ax = canvas(6.4, 4.5)
    box(ax, 3.2, 4.1, 3.4, 0.62, "原始的数据：文件、数组、数据库", edge=LEAF)
    box(ax, 3.2, 3.1, 3.4, 0.62, "Dataset：怎样取第 i 个样本")
    for x, name in ((1.6, "训练集"), (4.8, "测试集")):
        arrow(ax, (3.2, 2.77), (x, 2.43))
        box(ax, x, 2.1, 2.5, 0.62, f"{name}（Dataset 的实例）")
        arrow(ax, (x, 1.77), (x, 1.43))
        order = "打乱，组成批" if name == "训练集" else "不打乱，组成批"
        box(ax, x, 1.1, 2.5, 0.62, f"DataLoader：{order}", edge=MIDDLE)
    arrow(ax, (3.2, 3.77), (3.2, 3.43))
    arrow(ax, (1.6, 0.77), (1.6, 0.45))
    arrow(ax, (4.8, 0.77), (4.8, 0.45))
    ax.text(1.6, 0.25, "训练循环", ha="center", va="center", fontsize=12)
    ax.text(4.8, 0.25, "评估", ha="center", va="center", fontsize=12)
    return fig


# 测得的曲线


class Curve(NamedTuple):
    """一条曲线：横坐标与纵坐标。"""

    x: Sequence[float]
    y: Sequence[float]


def log_lines(
    curves: Mapping[str, Curve], *, xlabel: str, ylabel: str, xlim: tuple, ylim: tuple
) -> Figure:
    """双对数坐标里的几条曲线；范围固定，免得随每次的测量变动。

    书中：fig-pt-crossover
    """
    fig, ax = plt.subplots(figsize=(6.4, 3.8))
    for (name, curve), style, marker in zip(curves.items(), STYLES, MARKERS, strict=False):
        ax.loglog(curve.x, curve.y, ls=style, marker=marker, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=xlim, ylim=ylim)
    ax.set_xticks(curve.x, [f"{x:g}" for x in curve.x])
    ax.minorticks_off()
    ax.legend()
    return fig


def bars(
    groups: Mapping[str, Mapping[str, float]],
    *,
    ylabel: str,
    ylim: tuple,
    reference: float | None = None,
) -> Figure:
    """成组的柱：groups 是 组名 → {柱名: 值}，各组的柱名相同；reference 处画一条水平虚线。

    书中：fig-pt-workers、fig-pt-scaling
    """
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    members = list(next(iter(groups.values())))
    width = 0.8 / len(members)
    for k, (member, color, hatch) in enumerate(
        zip(members, ("blue", "orange", "green", "gray"), ("", "//", "..", "xx"), strict=False)
    ):
        x = np.arange(len(groups)) + (k - (len(members) - 1) / 2) * width
        heights = [group[member] for group in groups.values()]
        ax.bar(x, heights, 0.9 * width, color=COLORS[color], hatch=hatch, edgecolor=PAPER,
               label=member)  # fmt: skip
    if reference is not None:
        ax.axhline(reference, color=MUTED, ls="--", lw=1.2)
    ax.set_xticks(range(len(groups)), groups)
    ax.set(ylabel=ylabel, ylim=ylim)
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.17), ncols=len(members))
    return fig


# 多进程训练


def ddp_distribute() -> Figure:
    """DDP 把模型的副本与不同的小批量分给两个进程。书中：fig-pt-ddp-distribute"""
    fig, ax = canvas(6.4, 4.7)
    box(ax, 3.2, 4.35, 3.1, 0.5, "数据集（每轮打乱一次）", edge=LEAF)
    box(ax, 3.2, 3.5, 3.1, 0.5, "DistributedSampler：按编号分发")
    arrow(ax, (3.2, 4.08), (3.2, 3.78))
    for x, rank, order in ((1.6, 0, "0, 2, 4, …"), (4.8, 1, "1, 3, 5, …")):
        arrow(ax, (3.2, 3.23), (x, 2.92))
        ax.add_patch(
            Rectangle((x - 1.5, 0.1), 3.0, 2.8, facecolor="none", edgecolor=MUTED, lw=1, ls="--")
        )
        ax.text(x, 2.68, f"进程 {rank}（GPU {rank}）", ha="center", va="center", fontsize=12)
        box(ax, x, 2.15, 2.5, 0.55, f"次序里的第 {order} 个", edge=LEAF)
        box(ax, x, 1.3, 2.5, 0.55, "模型的副本（初值相同）", edge=MIDDLE)
        arrow(ax, (x, 1.86), (x, 1.6))
        arrow(ax, (x, 1.01), (x, 0.75))
        box(ax, x, 0.46, 2.5, 0.5, "自己的损失")
    return fig


def ddp_sync() -> Figure:
    """各进程的梯度取平均，再各自更新，参数保持相同。书中：fig-pt-ddp-sync"""
    fig, ax = canvas(6.4, 4.9)
    for x, rank in ((1.3, 0), (5.1, 1)):
        ax.text(x, 4.7, f"进程 {rank}", ha="center", va="center", fontsize=12)
        box(ax, x, 4.2, 2.2, 0.55, rf"前向：损失 $\mathcal{{L}}_{rank}$")
        arrow(ax, (x, 3.91), (x, 3.6))
        box(ax, x, 3.3, 2.2, 0.55, rf"反向：梯度 $\mathbf{{g}}_{rank}$", edge=GRADIENT)
        arrow(ax, (x, 3.01), (3.2 + 0.75 * np.sign(x - 3.2), 2.6), color=GRADIENT)
        arrow(ax, (3.2 + 0.75 * np.sign(x - 3.2), 1.88), (x, 1.5), color=GRADIENT)
        box(ax, x, 1.2, 2.2, 0.55, "优化器更新一步")
        arrow(ax, (x, 0.91), (x, 0.62))
        ax.text(x, 0.42, "参数仍然相同", ha="center", va="center", fontsize=12)
    box(ax, 3.2, 2.24, 3.4, 0.68, "", edge=GRADIENT)
    mean = r"$\bar{\mathbf{g}}=(\mathbf{g}_0+\mathbf{g}_1)/2$"
    ax.text(3.2, 2.24, f"all-reduce：{mean}", ha="center", va="center", fontsize=12)
    return fig


def ring(parts: int) -> Figure:
    """环形 all-reduce：每个进程把一份传给右邻。书中：fig-pt-ring"""
    fig, ax = canvas(4.4, 3.7)
    angle = np.pi / 2 - 2 * np.pi * np.arange(parts) / parts
    x, y = 2.2 + 1.3 * np.cos(angle), 1.85 + 1.3 * np.sin(angle)
    for k in range(parts):
        a = np.array([x[k], y[k]])
        b = np.array([x[(k + 1) % parts], y[(k + 1) % parts]])
        unit = (b - a) / np.hypot(*(b - a))
        arrow(ax, tuple(a + 0.5 * unit), tuple(b - 0.5 * unit), color=GRADIENT)
        box(ax, x[k], y[k], 0.85, 0.5, f"进程 {k}", edge=MIDDLE)
        middle = (a + b) / 2 + 0.32 * np.array(
            [np.cos(angle[k] - np.pi / parts), np.sin(angle[k] - np.pi / parts)]
        )
        ax.text(*middle, f"第 {k} 份", ha="center", va="center", fontsize=10, color=MUTED)
    return fig
