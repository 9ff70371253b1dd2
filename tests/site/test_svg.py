"""图的内联：换色、id 不冲突、不影响页面上别的东西。"""

import re
from pathlib import Path

import pytest
from bookcheck.svg import inline_svg, style_colors

REPO = Path(__file__).parents[2]
COLORS = style_colors(REPO / "dlbook" / "plot" / "style.py")


def draw(label):
    """matplotlib 真的画一幅。"""
    import io

    import matplotlib.pyplot as plt

    from dlbook.plot import COLORS as DATA
    from dlbook.plot import INK

    fig, ax = plt.subplots(figsize=(3, 2))
    ax.plot([0, 1], [0, 1], color=DATA["blue"], clip_on=True)
    ax.imshow([[0, 1], [1, 0]])
    ax.set_title(label, color=INK)
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(fig)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def figure():
    return inline_svg(draw("甲"), "一条线 <&>", COLORS)


def test_ink_follows_the_theme_and_data_keeps_its_color(figure):
    assert "var(--fig-ink, #1f2328)" in figure
    assert "#2f7fc1" in figure
    assert not re.search(r"(?<!, )#1f2328", figure)


def test_text_in_a_data_color_has_a_dark_variant():
    source = draw("甲").replace("fill: #1f2328", "fill: #d1495b", 1)
    assert "fill: var(--fig-label-red, #d1495b)" in inline_svg(source, "", COLORS)
    assert "--fig-label-red:" in (REPO / "book/_static/book.css").read_text(encoding="utf-8")


def test_every_reference_points_inside_the_figure(figure):
    ids = re.findall(r' id="([^"]+)"', figure)
    references = re.findall(r'(?:href="#|url\(#)([^")]+)', figure)
    assert references and set(references) <= set(ids)
    assert len(ids) == len(set(ids))


def test_two_figures_share_no_id(figure):
    other = inline_svg(draw("乙"), "另一条线", COLORS)
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (figure, other)]
    assert ids[0].isdisjoint(ids[1])


def test_same_figure_gives_the_same_text(figure):
    assert inline_svg(draw("甲"), "一条线 <&>", COLORS) == figure


def test_names_with_memory_addresses_do_not_matter(figure):
    """matplotlib 的裁剪路径以内存地址命名；换一个名字，结果须逐字相同。"""
    source = draw("甲")
    name = re.search(r'<clipPath id="([^"]+)"', source)[1]
    renamed = source.replace(name, "p0123456789")
    assert inline_svg(renamed, "一条线 <&>", COLORS) == figure


def test_nothing_leaks_into_the_page(figure):
    assert "<style" not in figure and "<metadata" not in figure and "<?xml" not in figure
    root = figure[: figure.index(">")]
    assert "viewBox=" in root and " width=" not in root and " height=" not in root


def test_small_text_asks_for_enough_width():
    """3 英寸宽 288 像素；最小的字 11 号合 14.67 像素，缩到 7.5 像素时宽 147。"""
    plain = inline_svg(draw("甲"), "", COLORS)
    assert "--legible:147px" in plain
    small = draw("甲").replace("scale(0.11 ", "scale(0.05 ")
    assert "--legible:288px" in inline_svg(small, "", COLORS), "不比原来的尺寸还大"


def test_alt_text_is_escaped(figure):
    assert ">一条线 &lt;&amp;&gt;</title>" in figure


def test_svg_without_a_view_box_is_refused():
    with pytest.raises(ValueError, match="viewBox"):
        inline_svg("<svg></svg>", "", COLORS)
