"""训练一个字符级的语言模型（GPT）：缺省是随书的唐诗，也可以是任何 UTF-8 文本。

文本的每一行都不长于 --context 时，一行当作一篇（如一首诗）；否则整篇首尾相接，切成等长的段。
每 20 行（段）留一行作验证。

书中：sec-lm-artifact
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dlbook import artifacts
from dlbook.data import tangshi
from dlbook.models import saved
from dlbook.models.gpt import GPTConfig, define
from dlbook.text import CharTokenizer
from dlbook.training import distributed
from dlbook.training.cli import (
    add_training_arguments,
    positive,
    positive_number,
    share_of_batch,
    start,
    training_options,
)
from dlbook.training.language import (
    BucketBatches,
    Recipe,
    fit,
    poem_rows,
    validation_loss,
    window_rows,
)

_HELD_OUT = 20  # 每这么多行留一行作验证


class Corpus(NamedTuple):
    """词元化器，与训练、验证各行的编号。

    书中：sec-lm-artifact
    """

    tokenizer: CharTokenizer
    train: Sequence[Sequence[int]]
    val: Sequence[Sequence[int]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``dlbook train gpt`` 的选项。

    书中：sec-lm-artifact
    """
    add = parser.add_argument
    add("--corpus", type=Path, metavar="文件", help="UTF-8 文本（缺省为随书的唐诗）")
    where = "模型存在哪里（缺省在 --corpus 旁边；没给 --corpus 就在 dlbook sample 会找的地方）"
    add("--save", type=Path, metavar="文件", help=where)
    add("--layers", type=positive, default=3, help="块数（缺省 %(default)s）")
    add("--heads", type=positive, default=5, help="注意力的头数（缺省 %(default)s）")
    add("--width", type=positive, default=160, help="向量的宽度（缺省 %(default)s）")
    add("--context", type=positive, default=65, help="至多看多少个字（缺省 %(default)s）")
    add("--dropout", type=_probability, default=0.0, help="dropout 的概率（缺省 %(default)s）")
    add("--optimizer", choices=["muon", "adamw"], default=Recipe.optimizer, help="矩阵用的优化器")
    add(
        "--embedding-lr", type=positive_number, default=Recipe.embedding_lr,
        help="嵌入的学习率（缺省 %(default)s）",
    )  # fmt: skip
    # 这里的一个样本是一个目标（要预测的一个字），--lr 是矩阵的学习率。
    add_training_arguments(
        parser, steps=Recipe.steps, batch_size=Recipe.tokens, lr=Recipe.matrix_lr
    )
    parser.set_defaults(clip_norm=Recipe.clip_norm, precision=Recipe.precision)


def run(args: argparse.Namespace) -> None:
    """训练，途中与末尾报告验证损失，存下模型；Ctrl-C 时存下此刻的模型。

    书中：sec-lm-artifact
    """
    start(args, job)


def job(args: argparse.Namespace, device: torch.device) -> None:
    """一个进程的全部工作。

    书中：sec-lm-artifact
    """
    corpus = read_corpus(args.corpus, args.context)
    config = GPTConfig(
        len(corpus.tokenizer), args.context, args.layers, args.heads, args.width, args.dropout
    )
    model = define(torch)(config).to(device)
    options = training_options(args, metric="val_loss")
    tokens = share_of_batch(args)
    steps, epochs = options.pop("steps"), options.pop("epochs")
    if steps is None:
        steps = epochs * len(BucketBatches(corpus.train, tokens=tokens)) // args.accumulate
    recipe = Recipe(
        steps=steps,
        tokens=tokens,
        optimizer=args.optimizer,
        matrix_lr=args.lr,
        embedding_lr=args.embedding_lr,
        clip_norm=options.pop("clip_norm"),
        precision=options.pop("precision"),
        seed=args.seed,
    )

    def evaluate(model: Any) -> dict[str, float]:
        return {"val_loss": validation_loss(model, corpus.val)}

    if args.corpus is None:
        default = artifacts.path(saved.TANG)
    else:
        default = args.corpus.with_suffix(".safetensors")

    def save() -> None:
        if distributed.is_main():
            path = args.save or default
            saved.save(path, model, corpus.tokenizer, {"recipe": str(recipe)})
            print(f"模型存在 {path}", flush=True)

    try:
        fit(model, corpus.train, recipe, evaluate=evaluate, **options)
    except KeyboardInterrupt:
        save()
        raise
    save()


def read_corpus(path: Path | None, context: int) -> Corpus:
    """读入语料，分成训练与验证；path 为 None 时是随书的唐诗，用它自己的划分。

    文件不是 UTF-8、是空的、短得分不出验证集，或唐诗放不进 context，抛出 ValueError。

    书中：sec-lm-artifact
    """
    if path is None:
        poems = tangshi()
        texts = [[poem.body for poem in part] for part in poems]
        longest = 1 + max(len(text) for text in texts[0])
        if longest > context:
            raise ValueError(f"最长的诗连同换行要预测 {longest} 个字，--context 应不小于 {longest}")
        tokenizer = CharTokenizer("\n" + "".join(texts[0]))
        return Corpus(tokenizer, *(poem_rows(part, tokenizer) for part in texts))
    lines = read_lines(path)
    tokenizer = CharTokenizer("\n" + "".join(lines))
    rows = rows_of(lines, tokenizer, context)
    if len(rows) < _HELD_OUT:
        raise ValueError(f"{path} 只有 {len(rows)} 行（段），至少要 {_HELD_OUT} 行才分得出验证集")
    val = rows[_HELD_OUT - 1 :: _HELD_OUT]
    return Corpus(tokenizer, [r for i, r in enumerate(rows, 1) if i % _HELD_OUT], val)


def read_lines(path: Path) -> list[str]:
    """文本文件里不空的各行，去掉首尾的空白；不是 UTF-8、没有文字，抛出 ValueError。

    书中：sec-lm-artifact
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} 不是 UTF-8 编码的文本（第 {error.start} 字节起）") from error
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    if not lines:
        raise ValueError(f"{path} 里没有文字")
    return lines


def rows_of(lines: Sequence[str], tokenizer: CharTokenizer, context: int) -> list[list[int]]:
    """各行都放得进 context 时，一行一篇；否则首尾相接，切成等长的段。

    书中：sec-lm-artifact
    """
    if max(map(len, lines)) < context:
        return poem_rows(lines, tokenizer)
    return window_rows("\n".join(lines), tokenizer, context)


def _probability(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"应在 0 与 1 之间，收到 {text!r}")
    return value
