"""MNIST 手写数字：60000 张训练图像、10000 张测试图像，随包携带。

书中：sec-mnist-data
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dlbook.data.files import DataError, check_sha256, find_file, read_file, write_cache
from dlbook.data.idx import parse_idx

# 原始 IDX 文件：形状与解压后的 SHA-256，与 mnist/README.md 中的表一致。
FILES = {
    "train-images-idx3-ubyte": (
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}


class MNIST(NamedTuple):
    """四个 uint8 数组；像素 0 是背景、255 是笔迹，标签是 0 到 9。

    书中：sec-mnist-data
    """

    x_train: np.ndarray  # (60000, 28, 28)
    y_train: np.ndarray  # (60000,)
    x_test: np.ndarray  # (10000, 28, 28)
    y_test: np.ndarray  # (10000,)


def mnist(
    root: str | os.PathLike | None = None, *, cache: str | os.PathLike | None = None
) -> MNIST:
    """读入 MNIST：格式逐项检查、SHA-256 核对无误之后才返回，每次都是新的、可写的数组。

    root：另一个装有四个文件（.gz 或已解压）的文件夹，不给就用随包携带的。
    cache：存放已解压文件的文件夹，不存在就建立；下次直接从这里读，读时同样核对，
    坏了就从源文件重做。四个文件有任何不对，或缓存写不进去，抛出 DataError。

    书中：sec-mnist-data
    """
    source = Path(__file__).with_name("mnist") if root is None else Path(root)
    cache = None if cache is None else Path(cache)
    return MNIST(*(_load(name, source, cache) for name in FILES))


def _load(name: str, source: Path, cache: Path | None) -> np.ndarray:
    if cache is not None:
        entry = cache / name
        try:
            return _parse(name, entry, read_file(entry))
        except DataError:
            pass  # 没有，或已经损坏：从源文件重做
    path = find_file(source, name)
    raw = read_file(path)
    array = _parse(name, path, raw)
    if cache is not None:
        write_cache(cache / name, raw)
    return array


def _parse(name: str, path: Path, raw: bytes) -> np.ndarray:
    """先查格式再查 SHA-256：都不对时，格式上的毛病说得更具体。"""
    shape, digest = FILES[name]
    array = parse_idx(raw, shape, path)
    check_sha256(path, raw, digest)
    return array
