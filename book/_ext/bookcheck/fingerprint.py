"""图的指纹：把一幅 matplotlib 图里的**数据**写成可比较、可提交的 JSON。

像素随字体、渲染库的版本而变，数据不会。指纹里有：每个坐标系的标题、轴名、范围、刻度类型、图例、
文字，每条线、每组点、每块图像的数据概要，颜色与线型；还有画图时报告的缺字与最小字号。
一大串数存成概要（个数、极值、均值、16 个样本、4 个固定的随机投影）：任何一个数动一动，投影都会变。
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib import colors as mcolors
from matplotlib import patches
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.text import Text

_SMALL = 16


def fingerprint(figure: Figure, warned: Iterable[str]) -> dict:
    """一幅画过的图的指纹；``warned`` 是画的时候收到的警告，从中找出缺字。"""
    missing = sorted({message for message in warned if "missing from font" in message})
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    record = {
        "size": [float(v) for v in figure.get_size_inches()],
        "missing_glyphs": missing,
        "smallest_font": min((float(t.get_fontsize()) for t in texts), default=99.0),
        "texts": sorted(t.get_text() for t in figure.texts if t.get_visible()),
        "axes": [_axes(axes) for axes in figure.axes],
    }
    if figure.legends:  # 放在坐标系之外的图例
        record["legends"] = [
            [t.get_text() for t in legend.get_texts()] for legend in figure.legends
        ]
    return record


def _axes(axes: object) -> dict:
    legend = axes.get_legend()
    record = {
        "title": axes.get_title(),
        "labels": [axes.get_xlabel(), axes.get_ylabel()],
        "scales": [axes.get_xscale(), axes.get_yscale()],
        "xlim": [float(v) for v in axes.get_xlim()],
        "ylim": [float(v) for v in axes.get_ylim()],
        "legend": [t.get_text() for t in legend.get_texts()] if legend else [],
        "artists": [_artist(a) for a in axes.get_children() if _is_data(a, axes)],
    }
    if hasattr(axes, "get_zlim"):
        record["zlim"] = [float(v) for v in axes.get_zlim()]
        record["labels"].append(axes.get_zlabel())
        record["view"] = [float(axes.elev), float(axes.azim)]
    return record


def _is_data(artist: object, axes: object) -> bool:
    kinds = (Line2D, Collection, AxesImage, Text, patches.Patch)
    own = {axes.title, axes._left_title, axes._right_title, axes.patch, *axes.spines.values()}
    if not isinstance(artist, kinds) or artist in own or not artist.get_visible():
        return False
    return not isinstance(artist, Text) or bool(artist.get_text())


def _artist(artist: object) -> dict:
    if isinstance(artist, Line2D):
        data = artist.get_data_3d() if hasattr(artist, "get_data_3d") else artist.get_data()
        style = (
            f"{mcolors.to_hex(artist.get_color())} {artist.get_linestyle()} {artist.get_marker()}"
        )
        return {"line": style, "data": [sketch(v) for v in data]}
    if isinstance(artist, AxesImage):
        low, high = artist.get_clim()
        return {
            "image": artist.get_cmap().name,
            "data": sketch(artist.get_array()),
            "clim": [_number(low), _number(high)],
            "extent": [float(v) for v in artist.get_extent()],
        }
    if isinstance(artist, Collection):
        return _collection(artist)
    if isinstance(artist, Text):
        place = getattr(artist, "xy", artist.get_position())
        return {"text": artist.get_text(), "at": [_number(v) for v in place]}
    return {"patch": type(artist).__name__, "data": _patch(artist)}


def _collection(artist: Collection) -> dict:
    vertices = [p.vertices for p in artist.get_paths() if len(p.vertices)]
    record = {
        "collection": type(artist).__name__,
        "paths": sketch(np.concatenate(vertices) if vertices else []),
        "offsets": sketch(artist.get_offsets()),
        "faces": sketch(artist.get_facecolor()),
    }
    if hasattr(artist, "_offsets3d"):
        record["offsets3d"] = [sketch(v) for v in artist._offsets3d]
    if artist.get_array() is not None:
        record["values"] = sketch(artist.get_array())
    return record


def _patch(artist: patches.Patch) -> dict:
    if isinstance(artist, patches.FancyArrowPatch):
        if artist._posA_posB is not None:
            return sketch(artist._posA_posB)
        return sketch(artist._path_original.vertices)
    path = artist.get_path()
    return sketch(artist.get_patch_transform().transform(path.vertices))


def sketch(values: object) -> dict:
    """一组数的概要；不是有限的数（被遮盖的值、None、nan、无穷）当作 0，另记个数。"""
    array = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    flat = np.ravel(array)
    record: dict = {"shape": str(list(array.shape))}
    clean = np.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0)
    if missing := int((~np.isfinite(flat)).sum()):
        record["missing"] = missing
    if flat.size <= _SMALL:
        return record | {"values": [_number(v) for v in clean]}
    picks = np.linspace(0, flat.size - 1, _SMALL).round().astype(int)
    weights = np.random.default_rng(0).uniform(-1, 1, (4, flat.size))
    summary = [clean.min(), clean.max(), clean.mean(), clean.std(), *clean[picks]]
    # 投影除以个数的平方根：大小与数据本身同阶，同一个相对容差才有意义。
    summary += list(weights @ clean / np.sqrt(flat.size))
    return record | {"values": [_number(v) for v in summary]}


def _number(value: object) -> float:
    return float("nan") if value is None else float(f"{float(value):.10g}")
