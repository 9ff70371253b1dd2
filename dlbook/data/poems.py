"""唐诗：22852 首五、七言绝句与律诗，约一百万字；另有六首英文诗作对照。都随包携带。

书中：sec-lm-corpus、sec-lm-chinese-english
"""

import os
from pathlib import Path
from typing import NamedTuple

from dlbook.data.files import DataError, check_sha256, read_file

# 解压后的 SHA-256，与 tangshi/README.md 中的一致。
SHA256 = "0a69acc2a71d887d120344f997179ef46099e1266a0fca01090b740ceae6e333"
SONNETS_SHA256 = "90cfdbf7410d7e7a643dca4e23383b34e023dca5e3609a85a7074cfd49203d1a"
COLUMNS = ("划分", "体裁", "作者", "题目", "正文")
SPLITS = ("train", "val")


class Poem(NamedTuple):
    """一首诗；正文只有汉字与“，”“。”，末尾没有换行。

    书中：sec-lm-corpus
    """

    form: str  # 五绝、七绝、五律、七律
    author: str
    title: str
    body: str


class TangShi(NamedTuple):
    """训练集与验证集，次序与文件中相同。

    书中：sec-lm-corpus
    """

    train: list[Poem]  # 21746 首
    val: list[Poem]  # 1106 首


def tangshi(path: str | os.PathLike | None = None) -> TangShi:
    """读入唐诗语料：格式检查、SHA-256 核对无误之后才返回，每次都是新的列表。

    path：另一份同样的文件（.tsv.xz 或已解压的 .tsv），不给就用随包携带的。
    文件有任何不对，抛出 DataError。

    书中：sec-lm-corpus
    """
    if path is None:
        path = Path(__file__).with_name("tangshi") / "tangshi.tsv.xz"
    path = Path(path)
    raw = read_file(path)
    data = _parse(raw, path)
    check_sha256(path, raw, SHA256)
    return data


def sonnets() -> str:
    """莎士比亚十四行诗六首（第 18、29、30、73、116、130 首），首与首之间空一行。

    文件被改动时抛出 DataError。

    书中：sec-lm-chinese-english
    """
    path = Path(__file__).with_name("sonnets.txt")
    raw = read_file(path)
    check_sha256(path, raw, SONNETS_SHA256)
    return raw.decode("ascii")


def _parse(raw: bytes, path: Path) -> TangShi:
    """逐行解析；先查格式再查 SHA-256，格式上的毛病说得更具体。"""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"第 {error.start} 字节起是 {raw[error.start : error.start + 4].hex(' ')}"
        raise _wrong(path, "UTF-8 文本", found) from error
    splits: dict[str, list[Poem]] = {name: [] for name in SPLITS}
    for number, line in enumerate(text.splitlines(), 1):
        columns = line.split("\t")
        if len(columns) != len(COLUMNS):
            expected = f"每行 {len(COLUMNS)} 列（{'、'.join(COLUMNS)}），以制表符分隔"
            raise _wrong(path, expected, f"第 {number} 行有 {len(columns)} 列")
        if columns[0] not in splits:
            expected = f"第一列是 {' 或 '.join(SPLITS)}"
            raise _wrong(path, expected, f"第 {number} 行是 {columns[0]!r}")
        splits[columns[0]].append(Poem(*columns[1:]))
    return TangShi(**splits)


def _wrong(path: Path, expected: str, found: str) -> DataError:
    advice = "不给 path 就用随包携带的语料；自己的文本请直接读成字符串，不必经过这里"
    return DataError(path, "语料文件的格式不对", expected, found, advice)
