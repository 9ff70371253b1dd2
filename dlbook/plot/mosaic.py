"""许多张等大的图拼成一张画：一百个坐标系画起来要几秒，一张图只要一眨眼。"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dlbook.plot.style import COLORS


def mosaic(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    labels: Sequence[str] = (),
    titles: Mapping[int, str] | None = None,
    real: Sequence[tuple[int, int]] = (),
) -> Figure:
    """一行行 (28, 28) 的图，0 到 1；labels 是各行左边的字，titles 把列号对到上面的字。

    real 里（行, 列）的是真的图，加橙色的框。
    书中：fig-digit-gallery、fig-intro-generated、fig-intro-interpolation
    """
    step = 30
    height, width = len(rows), max(map(len, rows))
    sheet = np.zeros((step * height, step * width, 4))  # 红绿蓝与不透明度，图之间透明
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            place = sheet[r * step + 1 : r * step + 29, c * step + 1 : c * step + 29]
            place[..., :3], place[..., 3] = np.clip(image, 0, 1)[..., None], 1
    left, top = 0.95 * bool(labels), 0.3 * bool(titles)  # 留给字的地方，英寸
    size = (6.4 - left) / width
    fig, ax = plt.subplots(figsize=(6.4, size * height + top))
    ax.imshow(sheet, interpolation="nearest")
    for r, c in real:
        ax.add_patch(Rectangle((c * step, r * step), 29, 29, fill=False, lw=2.2,
                               edgecolor=COLORS["orange"]))  # fmt: skip
    for r, label in enumerate(labels):
        ax.text(-5, r * step + 15, label, ha="right", va="center", fontsize=10)
    for c, title in (titles or {}).items():
        ax.text(c * step + 15, -5, title, ha="center", va="bottom", fontsize=10)
    ax.set_xlim(-step * left / size, step * width)
    ax.set_ylim(step * height, -step * top / size)
    ax.axis("off")
    return fig
