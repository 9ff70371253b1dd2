"""量一量训练好的语言模型：验证损失，以及它写的诗合不合格式、押不押韵、抄没抄。

给了 --corpus 就只量那个文本上的损失。

书中：sec-lm-artifact
"""

import argparse
import math
from pathlib import Path

import numpy as np

from dlbook.data import tangshi
from dlbook.models.generate import samples
from dlbook.text import RhymeTable, verse
from dlbook.training.cli import positive
from dlbook.training.gpt import read_lines, rows_of
from dlbook.training.language import poem_rows, validation_loss
from dlbook.training.sample import load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``dlbook evaluate`` 的选项。

    书中：sec-lm-artifact
    """
    add = parser.add_argument
    add("--model", type=Path, metavar="文件", help="dlbook train gpt 存的模型（缺省：写唐诗的）")
    add(
        "--corpus",
        type=Path,
        metavar="文件",
        help="UTF-8 文本，分行的办法与 train gpt 相同（缺省：唐诗的验证集）",
    )
    add("-n", type=positive, default=200, help="写几首来量（缺省 %(default)s）")
    add("--seed", type=int, default=0, help="随机数种子（缺省 %(default)s）")


def run(args: argparse.Namespace) -> None:
    """打印损失；没给 --corpus 时，再写 n 首诗，打印三种比例。

    书中：sec-lm-artifact
    """
    model, tokenizer = load_model(args.model)
    if args.corpus is not None:
        rows = rows_of(read_lines(args.corpus), tokenizer, model.config.context)
        _print_loss(validation_loss(model, rows))
        return
    poems = tangshi()
    _print_loss(validation_loss(model, poem_rows((p.body for p in poems.val), tokenizer)))
    known = [poem.body for poem in poems.train]
    rng = np.random.default_rng(args.seed)
    texts = samples(model, tokenizer, args.n, temperature=0.8, top_p=0.95, rng=rng)
    rhyme, copied = RhymeTable(known).rate(texts), verse.copied_rate(texts, known)
    print(
        f"{args.n} 首：格式正确 {verse.form_rate(texts):.3f}，押韵 {rhyme:.3f}，抄句 {copied:.4f}"
    )


def _print_loss(loss: float) -> None:
    bits = loss / math.log(2)
    print(f"损失 {loss:.4f} 奈特每字（{bits:.3f} 比特），困惑度 {math.exp(loss):.1f}")
