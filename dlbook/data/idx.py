"""IDX 格式：MNIST 的文件格式。一个头，说明元素类型、维数、每一维的大小；随后是数据本身。

=========  ================================================
字节        含义
=========  ================================================
0–1        恒为 0
2          元素类型，0x08 为 uint8
3          维数 d
4 起       每一维的大小，各是一个大端 32 位整数，共 4d 字节
4 + 4d 起  数据，按行优先排列
=========  ================================================

书中：sec-mnist-data
"""

from math import prod
from pathlib import Path

import numpy as np

from dlbook.data.files import DataError

_DTYPES = {
    0x08: "uint8",
    0x09: "int8",
    0x0B: "int16",
    0x0C: "int32",
    0x0D: "float32",
    0x0E: "float64",
}


def parse_idx(raw: bytes, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """把 IDX 文件的全部字节解析成形状为 shape 的 uint8 数组（新数组，可写）。

    魔数、类型、维数、大小、长度有一样不合，就抛出 DataError；path 只用在错误信息里。

    书中：sec-mnist-data
    """
    ndim = len(shape)
    header = 4 + 4 * ndim
    length = header + prod(shape)

    def require(ok: bool, what: str, expected: str, found: str) -> None:
        if not ok:
            advice = "看看四个文件的名字有没有放错；没有的话，从原处重新复制，或重新安装 dlbook"
            raise DataError(path, f"IDX 文件的{what}不对", expected, found, advice)

    require(len(raw) >= 4, "长度", f"{length} 字节", f"{len(raw)} 字节，连魔数也不全")
    zeros, code, dims = raw[:2], raw[2], raw[3]
    require(zeros == b"\0\0", "魔数", f"00 00 08 {ndim:02x}", raw[:4].hex(" ") + _gzip_note(zeros))
    dtype = _DTYPES.get(code, "没有这种类型")
    require(code == 0x08, "元素类型", "0x08（uint8）", f"0x{code:02x}（{dtype}）")
    require(dims == ndim, "维数", f"{ndim}{_kind(ndim)}", f"{dims}{_kind(dims)}")
    require(len(raw) >= header, "长度", f"{length} 字节", f"{len(raw)} 字节，连文件头也不全")
    sizes = tuple(int(n) for n in np.frombuffer(raw, ">u4", count=ndim, offset=4))
    require(sizes == shape, "各维大小", str(shape), str(sizes))
    require(len(raw) == length, "长度", f"{length} 字节", f"{len(raw)} 字节")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape).copy()


def _kind(ndim: int) -> str:
    return {1: "（标签）", 3: "（图像）"}.get(ndim, "")


def _gzip_note(start: bytes) -> str:
    return "，是 gzip 文件，名字应以 .gz 结尾" if start == b"\x1f\x8b" else ""
