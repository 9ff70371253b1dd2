"""下降轨迹的步进演示：文字与图都来自真的轨迹，标记各不相同，坏的输入报错。"""

import re

import numpy as np
import pytest

from dlbook.plot.player import PathPlayer

LIMITS = (-2.0, 2.0, -1.0, 1.0)


def bowl(x, y):
    return x**2 + 4 * y**2


def two():
    return {"甲": np.array([[1.0, 0.5], [0.5, 0.0], [0.0, 0.0]]), "乙": np.zeros((3, 2))}


def test_the_text_tells_the_height_at_every_step():
    assert repr(PathPlayer(bowl, two(), LIMITS)).splitlines() == [
        "第 0 步的高度：甲 2，乙 0",
        "第 1 步的高度：甲 0.25，乙 0",
        "第 2 步的高度：甲 0，乙 0",
    ]


def test_every_step_shows_one_marker_per_path_at_its_place():
    html = PathPlayer(bowl, two(), LIMITS)._repr_html_()
    assert 'data-steps="3"' in html and html.count("<li>") == 3
    shown = re.findall(
        r'data-from="(\d)"(?: data-to="(\d)")? transform="translate\(([-\d.]+) ([-\d.]+)\)"', html
    )
    assert [(start, stop) for start, stop, *_ in shown] == [("0", "1"), ("1", "2"), ("2", "")] * 2
    # 宽 560、高 300，横轴 −2 到 2，纵轴 −1 到 1、朝上。
    assert [tuple(map(float, place[2:])) for place in shown[:3]] == [
        (420, 75), (350, 150), (280, 150),
    ]  # fmt: skip


def test_paths_differ_in_shape_and_not_only_in_color():
    html = PathPlayer(bowl, two(), LIMITS)._repr_html_()
    legend = re.findall(r'<path d="([^"]+)" fill="([^"]+)"/></svg>', html)
    assert len(legend) == 2 and len({d for d, _ in legend}) == len({c for _, c in legend}) == 2


def test_names_are_escaped():
    assert "&lt;b&gt;" in PathPlayer(bowl, {"<b>": np.zeros((2, 2))}, LIMITS)._repr_html_()


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({}, "收到 0 条"),
        ({str(k): np.zeros((2, 2)) for k in range(5)}, "收到 5 条"),
        ({"甲": np.zeros((3, 2)), "乙": np.zeros((2, 2))}, "一样长"),
        ({"甲": np.zeros((3, 3))}, r"形状应是 \(步数 \+ 1, 2\)，收到 \(3, 3\)"),
        ({"甲": np.zeros(3)}, r"收到 \(3,\)"),
    ],
)
def test_bad_paths_are_refused(paths, message):
    with pytest.raises(ValueError, match=message):
        PathPlayer(bowl, paths, LIMITS)
