"""BPE 的训练与编码：``dlbook.text``（Python）与 Hugging Face 的 tokenizers（Rust），单线程。

    OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 python benchmarks/text.py

语料是全部唐诗，学 5000 个合并；两边交替计时，取各轮之比的中位数。比值小于 1 表示 dlbook 更快。
计时之外还确认两边的合并、编码逐个相同。“每步重数”一行由它的前几步推算。
"""

import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("RAYON_NUM_THREADS", "1")

import numpy as np
import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from dlbook.data import tangshi
from dlbook.text import BPETokenizer

MERGES = 5000
ROUNDS = 5
NAIVE_STEPS = 5


def hugging_face(text: str, level: str) -> Tokenizer:
    """用同样的切分与设置训练出的 tokenizers.Tokenizer。"""
    steps = [pre_tokenizers.Split(Regex(r"[^，。\n]+|[，。\n]"), "isolated")]
    if level == "byte":
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet() if level == "byte" else set(text))
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + MERGES,
        min_frequency=0,
        special_tokens=[],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def merges_of(tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """tokenizers 学到的合并，用编号表示。"""
    model = json.loads(tokenizer.to_str())["model"]
    return [(model["vocab"][a], model["vocab"][b]) for a, b in model["merges"]]


def timed(action: Callable[[], object]) -> tuple[float, object]:
    """本进程用去的 CPU 秒数与结果；别的进程忙闲不影响它。"""
    start = time.process_time()
    result = action()
    return time.process_time() - start, result


def compare(name: str, ours: Callable, theirs: Callable, megabytes: float) -> tuple:
    """交替计时，打印一行；返回最后一轮两边的结果。"""
    rounds = []
    for _ in range(ROUNDS):
        a, mine = timed(ours)
        b, other = timed(theirs)
        rounds.append((a, b))
    a, b = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(p / q for p, q in rounds)
    print(
        f"{name}：dlbook {a:.2f} s（{megabytes / a:.2f} MB/s），"
        f"tokenizers {b:.2f} s（{megabytes / b:.2f} MB/s），比值 {ratio:.2f}"
    )
    return mine, other


def recount_every_step(text: str, steps: int) -> float:
    """每一步都把所有片段的对重数一遍，平均每步的秒数。"""
    pieces = [[list(p), n] for p, n in Counter(text.replace("。", "，").split("，")).items()]
    start = time.process_time()
    for _ in range(steps):
        counts = Counter()
        for symbols, n in pieces:
            for pair in pairwise(symbols):
                counts[pair] += n
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for piece in pieces:
            symbols = piece[0]
            for i in range(len(symbols) - 2, -1, -1):
                if tuple(symbols[i : i + 2]) == best:
                    symbols[i : i + 2] = ["".join(best)]
    return (time.process_time() - start) / steps


def main() -> None:
    """打印各项用时、吞吐与比值。"""
    poems = tangshi()
    text = "".join(p.body + "\n" for p in poems.train + poems.val)
    megabytes = len(text.encode()) / 1e6
    print(f"NumPy {np.__version__}，tokenizers {tokenizers.__version__}，单线程，CPU 秒")
    print(f"语料 {len(text)} 字符，{megabytes:.2f} MB，{MERGES} 个合并")
    for level, label in (("char", "字符级"), ("byte", "字节级")):
        ours, theirs = compare(
            f"{label}训练",
            lambda level=level: BPETokenizer.train(text, MERGES, level=level),
            lambda level=level: hugging_face(text, level),
            megabytes,
        )
        assert ours.merges == merges_of(theirs)
        merges, alphabet = ours.merges, "".join(ours.vocab[:-MERGES]) if level == "char" else None
        mine, other = compare(
            f"{label}编码",
            lambda m=merges, a=alphabet: BPETokenizer(m, alphabet=a).encode(text),
            lambda t=theirs: t.encode(text).ids,
            megabytes,
        )
        assert mine == other
    step = recount_every_step(text, NAIVE_STEPS)
    print(f"每步重数（字符级）：一步 {step:.2f} s，{MERGES} 步约 {step * MERGES / 60:.0f} 分钟")


if __name__ == "__main__":
    main()
