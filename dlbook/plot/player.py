"""步进演示：把一张真正执行过的计算图逐步放出来——先前向算值，再反向传梯度，一次一个节点。

网页上有“上一步、下一步、播放”三个按钮与一根滑杆，也可以用左右方向键；没有脚本时（打印、笔记本里）
显示走完之后的图和全部步骤的文字。颜色用网页的 CSS 变量，深色模式下自动反白。

:class:`PathPlayer` 用同样的按钮与滑杆放出几种优化方法在等高线上走过的路。

书中：sec-topological-order、sec-learn-race
"""

from collections.abc import Callable, Mapping
from html import escape

import numpy as np
from contourpy import contour_generator

from dlbook.autograd.scalar import Value, topological_order
from dlbook.plot.graph import layout
from dlbook.plot.style import COLORS, number

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
        for k, node in enumerate(n for n in self._order if n not in self._names):
            self._names[node] = f"n{k}"
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

    def _show(self, value: float) -> str:
        return number(value, f".{self._digits}g")

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


class PathPlayer:
    """几条下降的轨迹在等高线上同时前进；在代码格末尾写出它就会显示。

    f 把形状 (…) 的 x、y 变成同形的高度；paths 把名字对到 (步数 + 1, 2) 的轨迹，各条一样长；
    limits 是 (左, 右, 下, 上)。各条的颜色与标记都不同，灰度打印也分得开。
    文字版是每一步各条轨迹的高度，所以 ``{expect}`` 逐步核对。
    轨迹的形状不对、长短不一、多于四条时抛出 ValueError。

    书中：sec-learn-race
    """

    _WIDTH, _HEIGHT = 560, 300
    _COLORS = ("blue", "orange", "green", "red")
    # 圆、方、三角、菱形：以原点为中心的轮廓。
    _MARKERS = (
        "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0 -5 0Z",
        "M-4.5 -4.5H4.5V4.5H-4.5Z",
        "M0 -6L5.5 4H-5.5Z",
        "M0 -6L6 0L0 6L-6 0Z",
    )

    def __init__(
        self,
        f: Callable[[np.ndarray, np.ndarray], np.ndarray],
        paths: Mapping[str, np.ndarray],
        limits: tuple[float, float, float, float],
    ) -> None:
        paths = {name: np.asarray(path, float) for name, path in paths.items()}
        for name, path in paths.items():
            if path.ndim != 2 or path.shape[1] != 2:
                raise ValueError(f"轨迹“{name}”的形状应是 (步数 + 1, 2)，收到 {path.shape}")
        lengths = {len(path) for path in paths.values()}
        if len(lengths) != 1 or len(paths) > len(self._COLORS):
            raise ValueError(f"轨迹应一样长、不超过四条，收到 {len(paths)} 条，长度 {lengths}")
        self._f, self._paths, self._limits = f, paths, limits
        heights = {name: f(*path.T) for name, path in paths.items()}
        self._steps = [
            "，".join(f"{name} {values[k]:.3g}" for name, values in heights.items())
            for k in range(lengths.pop())
        ]

    def __repr__(self) -> str:
        return "\n".join(f"第 {k} 步的高度：{text}" for k, text in enumerate(self._steps))

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li>第 {k} 步的高度：{escape(text)}</li>" for k, text in enumerate(self._steps)
        )
        legend = "".join(
            f'<svg viewBox="-7 -7 14 14" style="width:14px;display:inline" aria-hidden="true">'
            f'<path d="{marker}" fill="{COLORS[color]}"/></svg> <span>{escape(name)}　</span>'
            for name, color, marker in zip(self._paths, self._COLORS, self._MARKERS, strict=False)
        )
        return (
            f'<div class="player" data-steps="{len(self._steps)}"><div>{legend}</div>'
            f'<div class="player-scroll">{self._svg()}</div><ol>{items}</ol></div>'
        )

    def _place(self, points: np.ndarray) -> np.ndarray:
        """数据坐标 → 图上的坐标，纵轴朝下。"""
        left, right, low, high = self._limits
        x = (points[:, 0] - left) / (right - left) * self._WIDTH
        y = (high - points[:, 1]) / (high - low) * self._HEIGHT
        return np.stack([x, y], axis=1).clip(-1e4, 1e4)

    def _line(self, points: np.ndarray) -> str:
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in self._place(points))

    def _svg(self) -> str:
        left, right, low, high = self._limits
        x, y = np.meshgrid(np.linspace(left, right, 81), np.linspace(low, high, 61))
        height = self._f(x, y)
        contours = contour_generator(x, y, height)
        levels = np.linspace(0, 1, 12)[1:] ** 2 * (height.max() - height.min()) + height.min()
        parts = [
            f'<path class="player-contour" d="{self._line(line)}"/>'
            for level in levels
            for line in contours.lines(level)
        ]
        for path, name, marker in zip(
            self._paths.values(), self._COLORS, self._MARKERS, strict=False
        ):
            color = COLORS[name]
            for k in range(1, len(path)):
                parts.append(
                    f'<path data-from="{k}" d="{self._line(path[k - 1 : k + 1])}" fill="none" '
                    f'stroke="{color}" stroke-width="2"/>'
                )
            for k, (px, py) in enumerate(self._place(path)):
                until = f' data-to="{k + 1}"' if k + 1 < len(path) else ""
                parts.append(
                    f'<path data-from="{k}"{until} transform="translate({px:.1f} {py:.1f})" '
                    f'd="{marker}" fill="{color}"/>'
                )
        return (
            f'<svg viewBox="0 0 {self._WIDTH} {self._HEIGHT}" role="img" '
            f'style="max-width:{self._WIDTH}px;min-width:300px">'
            f"<title>等高线上的几条下降轨迹，文字版在图后</title>{''.join(parts)}</svg>"
        )
