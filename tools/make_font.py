"""从 Noto Sans CJK SC 裁出随 ``dlbook`` 分发的图用字体。

Noto 用 SIL Open Font License 1.1 发布，可裁剪、可再分发。

用法（需要 fonttools，以及 Debian 的 fonts-noto-cjk）：

    python tools/make_font.py /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc

保留 GB2312 的全部字符（6763 个汉字与常用符号）、ASCII、拉丁补充、希腊字母与常用数学符号。
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTCollection

FAMILY = "DLBook Sans SC"
OUTPUT = Path(__file__).parents[1] / "dlbook" / "plot" / "fonts" / "NotoSansSC-Regular.otf"


def gb2312() -> set[int]:
    """GB2312 中每个可解码双字节的码位。"""
    points = set()
    for high in range(0xA1, 0xF8):
        for low in range(0xA1, 0xFF):
            try:
                points.add(ord(bytes([high, low]).decode("gb2312")))
            except UnicodeDecodeError:
                continue
    return points


def main(source: str) -> None:
    face = next(
        font
        for font in TTCollection(source).fonts
        if font["name"].getDebugName(4) == "Noto Sans CJK SC"
    )
    wanted = gb2312() | set(range(0x20, 0x7F)) | set(range(0xA0, 0x250)) | set(range(0x370, 0x400))
    wanted |= set(range(0x2010, 0x2050)) | set(range(0x2070, 0x20A0)) | set(range(0x2190, 0x2300))
    wanted |= set(range(0x2500, 0x2600)) | {0x2713, 0x2717, 0x2605, 0x2606}
    options = subset.Options(layout_features=[], name_IDs=["*"], notdef_outline=True, hinting=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=wanted)
    subsetter.subset(face)
    # 换一个族名：系统里若另装了 Noto，matplotlib 也不会认错。
    for record in face["name"].names:
        if record.nameID in (1, 3, 4, 6, 16):
            record.string = FAMILY if record.nameID != 6 else FAMILY.replace(" ", "")
    face["CFF "].cff.fontNames = [FAMILY.replace(" ", "")]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    face.save(OUTPUT)
    print(f"{OUTPUT}: {len(face.getBestCmap())} 个字符，{OUTPUT.stat().st_size} 字节")


if __name__ == "__main__":
    main(sys.argv[1])
