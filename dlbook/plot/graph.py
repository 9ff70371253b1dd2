"""把 :class:`dlbook.autograd.scalar.Value` 的计算图画出来：每个节点的运算、值与梯度。

书中：sec-topological-order
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from dlbook.autograd.scalar import Value, topological_order
from dlbook.plot.style import COLORS, INK, MUTED, PAPER, number

BOX_WIDTH, COLUMN, ROW = 1.04, 1.3, 1.2  # 方框宽、列距、行距，以英寸计
OVERHEAD = -0.22  # 从方框顶上绕过去的箭头的弯曲程度


def computation_graph(
    root: Value,
    names: Mapping[Value, str] | None = None,
    *,
    grad: bool = True,
    digits: int = 4,
) -> Figure:
    """root 的计算图：叶子在左，root 在右，箭头从输入指向结果。

    每个方框写节点的名字与运算、值，以及梯度（grad=True 时）；names 给节点起名，可以用 mathtext。
    一个节点的列数等于从叶子走到它的最长路，所以箭头总是向右。

    书中：sec-topological-order
    """
    names = names or {}
    order = topological_order(root)
    position = layout(order)
    columns = 1 + max(column for column, _ in position.values())
    height = max(abs(row) for _, row in position.values())
    box_height = 0.86 if grad else 0.62
    arrows = [
        arrow
        for node in order
        for parent in dict.fromkeys(node.parents)  # 去掉重复的输入
        for arrow in _arrows(position, node, parent, box_height)
    ]
    headroom = 0.5 if any(bend == OVERHEAD for *_, bend in arrows) else 0.1
    fig, ax = plt.subplots(
        figsize=(
            COLUMN * (columns - 1) + BOX_WIDTH + 0.1,
            ROW * 2 * height + box_height + headroom + 0.1,
        )
    )
    for start, stop, bend in arrows:
        style = {"arrowstyle": "-|>", "color": MUTED, "shrinkA": 0, "shrinkB": 0}
        style["connectionstyle"] = f"arc3,rad={bend}"
        ax.annotate("", stop, start, arrowprops=style)
    for node in order:
        x, y = position[node][0] * COLUMN, -position[node][1] * ROW
        ax.add_patch(
            FancyBboxPatch(
                (x - BOX_WIDTH / 2, y - box_height / 2), BOX_WIDTH, box_height,
                boxstyle="round,pad=0,rounding_size=0.08", facecolor=PAPER,
                edgecolor=COLORS["blue"] if node.parents else COLORS["green"], linewidth=1.4,
            )
        )  # fmt: skip
        title = "   ".join(part for part in (names.get(node, ""), node.op) if part)
        lines = [(title or "常数", INK), (f"值 {number(node.data, f'.{digits}g')}", INK)]
        if grad:
            lines.append((f"梯度 {number(node.grad, f'.{digits}g')}", COLORS["red"]))
        for k, (text, color) in enumerate(lines):
            line_y = y + 0.25 * ((len(lines) - 1) / 2 - k)
            ax.text(x, line_y, text, ha="center", va="center", color=color, fontsize=10.5)
    ax.set(
        xlim=(-BOX_WIDTH / 2 - 0.05, (columns - 1) * COLUMN + BOX_WIDTH / 2 + 0.05),
        ylim=(-height * ROW - box_height / 2 - 0.1, height * ROW + box_height / 2 + headroom),
        aspect="equal",
    )
    ax.axis("off")
    return fig


def _arrows(position: Mapping, node: Value, parent: Value, box_height: float) -> list[tuple]:
    """从 parent 到 node 的箭头：起点、终点、弯曲程度。"""
    (column, row), (target, target_row) = position[parent], position[node]
    start = column * COLUMN + BOX_WIDTH / 2, -row * ROW
    stop = target * COLUMN - BOX_WIDTH / 2, -target_row * ROW
    # 同一个输入用了两次（a + a），画两条岔开的箭头。
    if node.parents.count(parent) > 1:
        return [(start, stop, 0.25), (start, stop, -0.25)]
    # 要越过同一行的方框时，从方框顶上绕过去。
    if row == target_row and any(
        column < between < target and row == other for between, other in position.values()
    ):
        top = -row * ROW + box_height / 2
        return [((column * COLUMN, top), (target * COLUMN, top), OVERHEAD)]
    return [(start, stop, 0.0)]


def layout(order: list[Value]) -> dict[Value, tuple[int, float]]:
    """每个节点的 (列, 行)：列是从叶子出发的最长路，行使同列的节点以 0 为中心均匀排开。"""
    column: dict[Value, int] = {}
    for node in order:
        column[node] = 1 + max((column[parent] for parent in node.parents), default=-1)
    # 叶子挪到第一个用到它的节点的左邻一列，免得箭头横穿全图。
    for node in order:
        if not node.parents:
            users = [column[user] for user in order if node in user.parents]
            column[node] = min(users, default=1) - 1
    members: dict[int, list[Value]] = {}
    for node in order:
        members.setdefault(column[node], []).append(node)
    return {
        node: (which, row - (len(nodes) - 1) / 2)
        for which, nodes in members.items()
        for row, node in enumerate(nodes)
    }
