"""把参数、优化器状态等存成文件，再原样读回来；读文件绝不执行其中的代码。

文件是一个不压缩的 zip：``dlbook.json`` 写格式与版本，``structure.json`` 写容器怎样嵌套，
``tensors/0.npy``、``tensors/1.npy`` …… 是各个张量；末尾的注释是前面全部字节的 SHA-256。
torch.save 的文件里是 pickle，读它等于运行它带来的程序，所以这里不用那种格式。

书中：sec-bp-tools
"""

import hashlib
import io
import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dlbook._atomic import write_atomic
from dlbook.autograd.ops.creation import from_numpy
from dlbook.autograd.tensor import Tensor
from dlbook.nn.parameter import Parameter

_VERSION = 1
_FIRST_ENTRY = "dlbook.json"
_MAGIC = b"PK\x03\x04"
_DIGEST_LENGTH = hashlib.sha256().digest_size * 2


class CheckpointError(RuntimeError):
    """文件读不成：残缺、损坏、不是 :func:`save` 存的，或来自更新的版本。

    书中：sec-bp-tools
    """


def save(obj: object, f: str | os.PathLike | BinaryIO) -> None:
    """把 obj 存到 f（路径，或以二进制方式打开的文件）。

    obj 是 None、bool、int、float、str、Tensor、Parameter，以及由它们组成的 dict、list、tuple。
    张量存的是值、dtype 与 requires_grad，不存计算图和梯度；两处引用同一个张量，读回来是两个。

    先写临时文件再改名，所以中途失败（断电、磁盘满）时，原来的文件原封不动；失败抛出 OSError。
    别的类型抛出 TypeError，嵌套过深抛出 ValueError，这时什么也没有写。

    书中：sec-bp-tools
    """
    content = _encode(obj)
    if hasattr(f, "write"):
        f.write(content)
    else:
        path = Path(os.path.realpath(f))
        try:
            write_atomic(path, content)
        except OSError as error:
            reason = f"没有存成（{error.strerror}），原来的文件没有动"
            raise OSError(error.errno, reason, str(path)) from error


def load(
    f: str | os.PathLike | BinaryIO, map_location: str | None = None, *, weights_only: bool = True
) -> Any:
    """读回 :func:`save` 存的对象；张量的形状、dtype、requires_grad 都与存的时候相同。

    全部字节先对过 SHA-256 才解读；文件残缺、损坏、不是本库存的、来自更新的版本，
    都抛出 CheckpointError。没有设备之分，map_location 只能是 None 或 "cpu"；
    weights_only=False 在 torch 里是“允许执行 pickle”，这里拒绝。

    书中：sec-bp-tools
    """
    if map_location is not None and str(map_location) != "cpu":
        raise NotImplementedError(f"本库只在 CPU 上运行，map_location 不能是 {map_location!r}")
    if not weights_only:
        raise NotImplementedError("本库从不执行文件里的代码，没有 weights_only=False")
    raw = f.read() if hasattr(f, "read") else Path(f).read_bytes()
    name = getattr(f, "name", "文件") if hasattr(f, "read") else os.fspath(f)
    _check_origin(raw, name)
    try:
        return _decode(raw, name)
    except CheckpointError:
        raise
    except Exception as error:  # 摘要对而内容不对：不是本库写出来的
        raise CheckpointError(f"{name}：内容不合格式（{error}）") from error


# 写


def _encode(obj: object) -> bytes:
    arrays: list[np.ndarray] = []
    try:
        structure = json.dumps(_pack(obj, arrays), allow_nan=False)
    except RecursionError:
        raise ValueError("容器嵌套太深，或者一个容器装着它自己，存不了") from None
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        header = json.dumps({"format": "dlbook", "version": _VERSION})
        archive.writestr(_entry(_FIRST_ENTRY), header)
        archive.writestr(_entry("structure.json"), structure)
        for i, array in enumerate(arrays):
            with archive.open(_entry(f"tensors/{i}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
        archive.comment = b"0" * _DIGEST_LENGTH  # 先占位，整个文件成形之后再填
    body = buffer.getvalue()[:-_DIGEST_LENGTH]
    return body + hashlib.sha256(body).hexdigest().encode()


def _entry(name: str) -> zipfile.ZipInfo:
    """不记时间：同一个对象存两次，文件逐字节相同。"""
    return zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))


def _pack(obj: object, arrays: list[np.ndarray]) -> object:
    """obj 的 JSON 表示；其中的张量依次放进 arrays，表示里只留编号。"""
    kind = type(obj)
    if obj is None or kind in (bool, int, str):
        return obj
    if kind is float:
        return obj if math.isfinite(obj) else {"float": str(obj)}
    if kind is list:
        return [_pack(item, arrays) for item in obj]
    if kind is tuple:
        return {"tuple": [_pack(item, arrays) for item in obj]}
    if kind is dict:
        return {"dict": [[_pack(k, arrays), _pack(v, arrays)] for k, v in obj.items()]}
    if kind in (Tensor, Parameter):
        arrays.append(obj.detach().numpy())
        label = "tensor" if kind is Tensor else "parameter"
        return {label: len(arrays) - 1, "requires_grad": obj.requires_grad}
    hint = "；模型、优化器请存它的 state_dict()" if hasattr(obj, "state_dict") else ""
    raise TypeError(
        f"存不了 {kind.__module__}.{kind.__qualname__}；"
        f"能存 None、bool、int、float、str、Tensor 和由它们组成的 dict、list、tuple{hint}"
    )


# 读


def _check_origin(raw: bytes, name: str) -> None:
    """raw 是否出自 save 且一字未改；不是就说清楚它是什么。"""
    if not raw:
        raise CheckpointError(f"{name}：文件是空的")
    first = raw[30 : 30 + len(_FIRST_ENTRY)]
    if not raw.startswith(_MAGIC) or first != _FIRST_ENTRY.encode():
        raise CheckpointError(f"{name}：不是 dlbook.save 存的文件{_guess(raw)}")
    body, digest = raw[:-_DIGEST_LENGTH], raw[-_DIGEST_LENGTH:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CheckpointError(
            f"{name}：文件不完整或已损坏（{len(raw)} 字节，校验和不符），请重新复制或重新存一次"
        )


def _guess(raw: bytes) -> str:
    if raw.startswith(_MAGIC) and b"data.pkl" in raw[:1024]:
        return "，它是 torch.save 存的；请在 torch 里读出来，把数值转成数组再传给 dlbook"
    if raw.startswith(b"\x80"):
        return "，看起来是 pickle；读 pickle 会执行其中的代码，本库不读"
    if raw.startswith(b"\x93NUMPY"):
        return "，它是 .npy 数组，请用 numpy.load"
    return f"（开头是 {raw[:4].hex(' ')}），或者开头已损坏"


def _decode(raw: bytes, name: str) -> object:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        version = json.loads(archive.read(_FIRST_ENTRY))["version"]
        if version > _VERSION:
            raise CheckpointError(
                f"{name}：格式是第 {version} 版，这里只认识到第 {_VERSION} 版，请升级 dlbook"
            )
        structure = json.loads(archive.read("structure.json"))
        return _unpack(structure, archive)


def _unpack(node: object, archive: zipfile.ZipFile) -> object:
    if isinstance(node, list):
        return [_unpack(item, archive) for item in node]
    if not isinstance(node, dict):
        return node
    match node:
        case {"float": text}:
            return float(text)
        case {"tuple": items}:
            return tuple(_unpack(item, archive) for item in items)
        case {"dict": pairs}:
            return {_unpack(k, archive): _unpack(v, archive) for k, v in pairs}
        case {"tensor": index, "requires_grad": requires_grad}:
            return from_numpy(_read_array(archive, index)).requires_grad_(requires_grad)
        case {"parameter": index, "requires_grad": requires_grad}:
            return Parameter(from_numpy(_read_array(archive, index)), requires_grad)
    raise ValueError(f"不认识的节点 {sorted(node)}")


def _read_array(archive: zipfile.ZipFile, index: int) -> np.ndarray:
    with archive.open(f"tensors/{index}.npy") as entry:
        return np.lib.format.read_array(entry, allow_pickle=False)
