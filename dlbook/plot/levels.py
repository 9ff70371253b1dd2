"""标了名字的水平线：几章的曲线图共用。"""

from matplotlib.axes import Axes

from dlbook.plot.style import MUTED


def level(ax: Axes, name: str, height: float, *, side: str = "right", below: bool = False) -> None:
    """在 height 处画一条水平的点线，名字写在 side（left 或 right）一端，线的上方或下方。

    书中：fig-lm-position-loss、fig-lm-leak、fig-lm-curve、fig-lm-rhyme、fig-gd-through
    """
    ax.axhline(height, color=MUTED, ls=":", lw=1.2)
    ax.annotate(
        name, (1 if side == "right" else 0, height), xycoords=("axes fraction", "data"),
        xytext=(-3 if side == "right" else 3, -3 if below else 3), textcoords="offset points",
        ha=side, va="top" if below else "bottom", color=MUTED, fontsize=9,
    )  # fmt: skip
