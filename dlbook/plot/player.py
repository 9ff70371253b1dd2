"""步进演示：把一张真正执行过的计算图逐步放出来——先前向算值，再反向传梯度，一次一个节点。

网页上有“上一步、下一步、播放”三个按钮与一根滑杆，也可以用左右方向键；没有脚本时（打印、笔记本里）
显示走完之后的图和全部步骤的文字。颜色用网页的 CSS 变量，深色模式下自动反白。

书中：sec-topological-order
"""

from collections.abc import Mapping
from html import escape

from dlbook.autograd.scalar import Value, topological_order
from dlbook.plot.graph import layout

_BOX_WIDTH, _BOX_HEIGHT, _COLUMN, _ROW, _MARGIN = 104, 66, 140, 88, 14


class Player:
    """一张计算图的步进演示；在代码格末尾写出它就会显示。

    root 是终点（还没有反向传播过也可以），names 给节点起名。显示时的文字版就是全部步骤，
    所以书里的 ``{expect}`` 逐步核对每个值与每个梯度。

    书中：sec-topological-order
    """

    def __init__(
        self, root: Value, names: Mapping[Value, str] | None = None, *, digits: int = 4
    ) -> None:
        self._order = topological_order(root)
        self._digits = digits
        self._names = dict(names or {})
        for number, node in enumerate(n for n in self._order if n not in self._names):
            self._names[node] = f"n{number}"
        self._record()

    def _record(self) -> None:
        """逐步记下：每一步的说明、刚动过的节点、以及它之后各节点梯度的值。"""
        self._steps: list[str] = []
        self._active: list[Value] = []
        self._grads: dict[Value, list[tuple[int, float]]] = {n: [] for n in self._order}
        for node in self._order:
            inputs = "，".join(self._names[p] for p in node.parents)
            how = f"由 {inputs} 经“{node.op}”算出" if node.parents else "给定"
            self._add(node, f"前向：{self._names[node]} = {self._show(node.data)}（{how}）")
        total = dict.fromkeys(self._order, 0.0)
        root = self._order[-1]
        total[root] = 1.0
        self._grads[root].append((len(self._steps), 1.0))
        self._add(root, f"反向：终点 {self._names[root]} 的梯度是 1")
        for node in reversed(self._order):
            if not node.parents:
                continue
            sent = []
            for parent, share in zip(node.parents, node.pull(total[node]), strict=True):
                total[parent] += share
                sent.append(f"{self._names[parent]} 得 {self._show(share)}")
                self._grads[parent].append((len(self._steps), total[parent]))
            sums = "，".join(
                f"{self._names[p]} 共 {self._show(total[p])}" for p in dict.fromkeys(node.parents)
            )
            self._add(node, f"反向：{self._names[node]} 往回传，{'，'.join(sent)}；累计 {sums}")

    def _add(self, node: Value, text: str) -> None:
        self._steps.append(text)
        self._active.append(node)

    def _show(self, number: float) -> str:
        return f"{number:.{self._digits}g}".replace("-", "−")

    def __repr__(self) -> str:
        return "\n".join(f"{n}. {text}" for n, text in enumerate(self._steps, 1))

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{escape(text)}</li>" for text in self._steps)
        return (
            f'<div class="player" data-steps="{len(self._steps)}">'
            f'<div class="player-scroll">{self._svg()}</div><ol>{items}</ol></div>'
        )

    def _svg(self) -> str:
        places = layout(self._order)
        columns = 1 + max(column for column, _ in places.values())
        extent = max(abs(row) for _, row in places.values())
        width = _COLUMN * (columns - 1) + _BOX_WIDTH + 2 * _MARGIN
        height = _ROW * 2 * extent + _BOX_HEIGHT + 2 * _MARGIN
        centre = {
            node: (_MARGIN + _BOX_WIDTH / 2 + column * _COLUMN, height / 2 + row * _ROW)
            for node, (column, row) in places.items()
        }
        first = {node: step for step, node in reversed(list(enumerate(self._active)))}
        edges = "".join(
            self._edge(centre[parent], centre[node], first[node])
            for node in self._order
            for parent in dict.fromkeys(node.parents)
        )
        boxes = "".join(self._box(node, *centre[node], first[node]) for node in self._order)
        return (
            f'<svg viewBox="0 0 {width:g} {height:g}" role="img" '
            f'style="max-width:{width:g}px;min-width:{0.75 * width:g}px">'
            f"<title>计算图的步进演示，文字版在图后</title>{edges}{boxes}</svg>"
        )

    def _edge(self, start: tuple[float, float], stop: tuple[float, float], step: int) -> str:
        x1, x2 = start[0] + _BOX_WIDTH / 2, stop[0] - _BOX_WIDTH / 2
        bend = (x2 - x1) / 2
        path = (
            f"M{x1:g} {start[1]:g}C{x1 + bend:g} {start[1]:g} "
            f"{x2 - bend:g} {stop[1]:g} {x2:g} {stop[1]:g}"
        )
        return f'<path class="player-edge" data-from="{step}" d="{path}"/>'

    def _box(self, node: Value, x: float, y: float, step: int) -> str:
        own = " ".join(str(n) for n, active in enumerate(self._active) if active is node)
        title = " ".join(part for part in (self._names[node], node.op) if part)
        grads = ""
        for k, (start, value) in enumerate(self._grads[node]):
            later = self._grads[node][k + 1 :]
            until = f' data-to="{later[0][0]}"' if later else ""
            grads += _text(x, y + 22, f"梯度 {self._show(value)}", "grad", start, until)
        return (
            f'<g class="player-node{"" if node.parents else " player-leaf"}" data-active="{own}">'
            f'<rect x="{x - _BOX_WIDTH / 2:g}" y="{y - _BOX_HEIGHT / 2:g}" '
            f'width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="8"/>'
            f"{_text(x, y - 14, title, 'name', 0)}"
            f"{_text(x, y + 4, f'值 {self._show(node.data)}', 'value', step)}{grads}</g>"
        )


def _text(x: float, y: float, text: str, kind: str, step: int, until: str = "") -> str:
    return (
        f'<text class="player-{kind}" data-from="{step}"{until} x="{x:g}" y="{y:g}">'
        f"{escape(text)}</text>"
    )
