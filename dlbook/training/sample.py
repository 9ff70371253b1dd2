"""用训练好的语言模型接着写：一个字一个字地写到屏幕上。

书中：sec-lm-artifact
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlbook.models import saved
from dlbook.models.generate import write
from dlbook.models.stepwise import Stepwise
from dlbook.serialization import CheckpointError
from dlbook.text import CharTokenizer
from dlbook.training.cli import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``dlbook sample`` 的选项。

    书中：sec-lm-artifact
    """
    add = parser.add_argument
    add("--model", type=Path, metavar="文件", help="dlbook train gpt 存的模型（缺省：写唐诗的）")
    add("--prompt", default="", help="开头的字（缺省为空）")
    add("-n", type=positive, default=1, help="写几篇（缺省 %(default)s）")
    add("--seed", type=int, default=0, help="随机数种子（缺省 %(default)s）")
    add("--temperature", type=float, default=0.8, help="温度，0 是贪心（缺省 %(default)s）")
    add("--top-k", type=int, help="只在最好的几个字里抽（缺省不限）")
    add("--top-p", type=float, default=0.95, help="只在合计这么多概率的字里抽（缺省 %(default)s）")
    add("--repetition-penalty", type=float, default=1.0, help="大于 1 就少重复（缺省 %(default)s）")
    add("--max-new-tokens", type=positive, help="至多写几个字（缺省写到上下文用完）")


def run(args: argparse.Namespace) -> None:
    """写 n 篇，每篇一行。

    书中：sec-lm-artifact
    """
    model, tokenizer = load_model(args.model)
    poet = Stepwise(model)
    rng = np.random.default_rng(args.seed)
    for _ in range(args.n):
        pieces = write(
            poet,
            tokenizer,
            args.prompt,
            max_new_tokens=args.max_new_tokens,
            temperature=args.temperature,
            top_k=args.top_k,
            top_p=args.top_p,
            repetition_penalty=args.repetition_penalty,
            rng=rng,
        )
        first = next(pieces, "")  # 提示有错，在这里就报出来，还什么也没有印
        print(args.prompt + first, end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
        print()


def load_model(path: Path | None) -> tuple[Any, CharTokenizer]:
    """path 里的模型与词元化器；path 为 None 时是写唐诗的那个。不是模型的文件抛出 ValueError。

    书中：sec-lm-artifact
    """
    try:
        return saved.tang(torch) if path is None else saved.load(path, torch)
    except CheckpointError as error:
        raise ValueError(str(error)) from error
