"""safetensors：存权重的通用格式，读它不会执行任何代码；我们的 GPT 与 Hugging Face 的都用它。

文件的布局：8 个字节的头长（小端），一段 JSON 的头（每个张量的类型、形状、起止位置，
``__metadata__`` 是一些字符串），然后是各张量的数值，首尾相接。

书中：sec-lm-artifact
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dlbook._atomic import write_atomic
from dlbook.serialization import CheckpointError

_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_BF16 = np.dtype("<u2")  # NumPy 没有 bfloat16，读成 float32：后面补两个零字节，数值不变


def save_file(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """把各数组存成 path；同样的内容，文件逐字节相同。

    先写临时文件再改名；类型存不了抛出 TypeError，写不成抛出 OSError，都不动原来的文件。

    书中：sec-lm-artifact
    """
    header: dict = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    chunks, start = [], 0
    for name, tensor in sorted(tensors.items()):
        array = np.ascontiguousarray(tensor)
        dtype = array.dtype.newbyteorder("<")
        if dtype not in _NAMES:
            raise TypeError(f"safetensors 存不了 {name} 的类型 {array.dtype}")
        end = start + array.nbytes
        shape = list(np.shape(tensor))
        header[name] = {"dtype": _NAMES[dtype], "shape": shape, "data_offsets": [start, end]}
        chunks.append(array.astype(dtype, copy=False).tobytes())
        start = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # 数值从 8 的倍数处开始
    write_atomic(Path(path), len(text).to_bytes(8, "little") + text + b"".join(chunks))


def load_file(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """读回（名字 → 数组，说明）；bfloat16 读成 float32。

    文件残缺或不是 safetensors，抛出 CheckpointError；打不开抛出 OSError。

    书中：sec-lm-artifact
    """
    raw = Path(path).read_bytes()
    length = int.from_bytes(raw[:8], "little")
    try:
        if not 2 <= length <= len(raw) - 8:
            raise ValueError(f"头长 {length} 与文件的 {len(raw)} 字节不合")
        header = json.loads(raw[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        data = memoryview(raw)[8 + length :]
        tensors = {name: _read(data, **entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}：不是完整的 safetensors 文件（{error}）") from error
    return tensors, metadata


def _read(data: memoryview, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    start, end = data_offsets
    kind = _BF16 if dtype == "BF16" else _DTYPES[dtype]
    if not 0 <= start <= end <= len(data) or end - start != math.prod(shape) * kind.itemsize:
        raise ValueError(f"形状 {shape} 与第 {start} 到 {end} 字节（数值共 {len(data)}）不合")
    array = np.frombuffer(data[start:end], kind).reshape(shape)
    if dtype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.copy()
