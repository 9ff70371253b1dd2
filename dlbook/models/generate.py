"""从语言模型生成：一次一个词元，带 KV 缓存；温度、top-k、top-p、重复惩罚。

模型是 :mod:`dlbook.models.gpt` 的 GPT，在哪个引擎上都行，也可以是它的
:class:`~dlbook.models.stepwise.Stepwise`；挑词元用 NumPy，所以同样的权重、同样的 rng，
写出同样的字。

书中：sec-lm-generation
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from dlbook.models.stepwise import Stepwise


class Tokenizer(Protocol):
    """文字与编号的互换，如 :class:`dlbook.text.CharTokenizer`。

    书中：sec-lm-tokens
    """

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: list[int]) -> str: ...


def probabilities(
    logits: np.ndarray,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> np.ndarray:
    """分数 (N, V) → 抽样用的概率 (N, V)，float64，每行的和为 1。

    先除以温度再做 softmax；top_k 只留概率最大的 k 个，top_p 只留最少几个、其概率之和刚好
    不小于 top_p，与末名并列的也留下，然后重新归一。temperature=0 是贪心：概率全给分数最大的
    那个。参数越界抛出 ValueError。

    书中：sec-lm-generation
    """
    if temperature < 0:
        raise ValueError(f"temperature 应不小于 0，收到 {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k 应是正整数，收到 {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p 应在 (0, 1] 里，收到 {top_p}")
    logits = np.asarray(logits, dtype=np.float64)
    if temperature == 0:
        return (np.arange(logits.shape[1]) == logits.argmax(axis=1)[:, None]) * 1.0
    p = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    p /= p.sum(axis=1, keepdims=True)
    if top_k is not None:
        p = _keep(p, np.sort(p, axis=1)[:, ::-1][:, :top_k][:, -1:])
    if top_p is not None:  # 排在它前面的合计已够 top_p，就不要它；第一名总留着
        ranked = np.sort(p, axis=1)[:, ::-1]
        count = (ranked.cumsum(axis=1) - ranked < top_p).sum(axis=1, keepdims=True)
        p = _keep(p, np.take_along_axis(ranked, count - 1, axis=1))
    return p


def _keep(p: np.ndarray, least: np.ndarray) -> np.ndarray:
    """每行只留不小于 least (N, 1) 的概率，重新归一。"""
    p = np.where(p >= least, p, 0)
    return p / p.sum(axis=1, keepdims=True)


def penalize(logits: np.ndarray, seen: np.ndarray, penalty: float) -> np.ndarray:
    """重复惩罚：seen (N, T) 里出现过的词元，正的分数除以 penalty，负的乘以 penalty。

    penalty=1 不惩罚，越大越不愿重复；不是正数抛出 ValueError。logits (N, V) 不变，返回新的。

    书中：sec-lm-generation
    """
    if penalty <= 0:
        raise ValueError(f"重复惩罚应是正数，收到 {penalty}")
    old = np.take_along_axis(logits, seen, axis=1)
    logits = logits.copy()
    np.put_along_axis(logits, seen, np.where(old > 0, old / penalty, old * penalty), axis=1)
    return logits


def stream(
    model: Any,
    idx: Any,
    max_new_tokens: int | None = None,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    rng: np.random.Generator | None = None,
    stop: int | None = None,
    cached: bool = True,
) -> Iterator[np.ndarray]:
    """接着 idx (N, T) 往下写，每写一步给出 (N,) 个编号。

    写满 max_new_tokens 步、上下文用完（最多再写 context − T + 1 个）、或每一行都写出 stop
    为止；先写出 stop 的行此后一直是 stop。temperature=0 是贪心，不用 rng；否则须给 rng。
    cached=False 每步从头算，结果相同，只是慢。生成时模型处于评估状态，完后复原。

    idx 为空、有词表之外的编号、比上下文还长，都抛出 ValueError。

    书中：sec-lm-generation
    """
    ids = _checked(model, idx)
    if temperature != 0 and rng is None:
        raise ValueError("抽样须给 rng，如 np.random.default_rng(0)；不要随机就用 temperature=0")
    steps = model.config.context - ids.shape[1] + 1
    steps = steps if max_new_tokens is None else min(steps, max_new_tokens)
    cache: list | None = [] if cached else None
    done = np.zeros(len(ids), dtype=bool)
    training = model.training
    model.eval()
    try:
        for _ in range(steps):
            logits = _last_logits(model, ids[:, -1:] if cache else ids, cache)
            if repetition_penalty != 1:
                logits = penalize(logits, ids, repetition_penalty)
            if temperature == 0:
                new = logits.argmax(axis=1)
            else:
                new = _draw(probabilities(logits, temperature, top_k, top_p), rng)
            if stop is not None:
                new[done] = stop
                done |= new == stop
            yield new
            if done.all():
                return
            ids = np.concatenate([ids, new[:, None]], axis=1)
    finally:
        model.train(training)


def generate(model: Any, idx: Any, max_new_tokens: int | None = None, **options: Any) -> np.ndarray:
    """一次写完：idx (N, T) → (N, T + 写出的步数)；options 与 :func:`stream` 相同。

    书中：sec-lm-generation
    """
    new = list(stream(model, idx, max_new_tokens, **options))
    return np.column_stack([np.asarray(idx), *new])


def write(
    model: Any, tokenizer: Tokenizer, prompt: str = "", *, end: str = "\n", **options: Any
) -> Iterator[str]:
    """接着 prompt 写一篇，边写边给出一个个字；不含 prompt，也不含结尾的 end。

    每篇都以 end 开头、以 end 结束，所以 prompt 可以是空的；其中有词表里没有的字，
    tokenizer 抛出 ValueError。options 与 :func:`stream` 相同。

    书中：sec-lm-generation
    """
    ids, stop = [tokenizer.encode(end + prompt)], tokenizer.encode(end)[0]
    for new in stream(model, ids, stop=stop, **options):
        if new[0] != stop:
            yield tokenizer.decode(new.tolist())


def samples(
    model: Any,
    tokenizer: Tokenizer,
    n: int,
    prompt: str = "",
    *,
    end: str = "\n",
    batch: int = 100,
    **options: Any,
) -> list[str]:
    """接着同一个 prompt 写 n 篇，含 prompt、不含 end；一批 batch 篇一起写，比一篇篇快得多。

    到上下文用完还没有写出 end 的，原样给出。options 与 :func:`stream` 相同。

    书中：sec-lm-generation
    """
    ids, stop = tokenizer.encode(end + prompt), tokenizer.encode(end)[0]
    texts = []
    for start in range(0, n, batch):
        rows = generate(model, [ids] * min(batch, n - start), stop=stop, **options)
        texts += [tokenizer.decode(row[1:].tolist()).split(end)[0] for row in rows]
    return texts


def _checked(model: Any, idx: Any) -> np.ndarray:
    ids = np.asarray(idx)
    config = model.config
    if ids.ndim != 2 or ids.size == 0:
        raise ValueError(f"提示应是 (N, T) 的编号，至少一行一个词元，收到形状 {ids.shape}")
    if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= config.vocab_size:
        raise ValueError(f"编号应是 0 到 {config.vocab_size - 1} 的整数")
    if ids.shape[1] > config.context:
        raise ValueError(f"提示有 {ids.shape[1]} 个词元，上下文只有 {config.context} 个")
    return ids.astype(np.int64)


def _last_logits(model: Any, ids: np.ndarray, cache: list | None) -> np.ndarray:
    """最后一个位置的分数 (N, V)，float32；不记计算图。"""
    if isinstance(model, Stepwise):
        return model.last_logits(ids, cache)
    engine = model.engine
    with getattr(engine, "inference_mode", engine.no_grad)():  # torch 的这一种更省事，约快 7%
        idx = engine.from_numpy(ids).to(model.token.weight.device)
        return model.head(model.hidden(idx, cache)[:, -1]).float().cpu().numpy()


def _draw(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """每行照概率 p (N, V) 抽一个编号：均匀随机数落在累积概率的哪一段。"""
    edges = p.cumsum(axis=1)
    return (rng.random((len(p), 1)) * edges[:, -1:] >= edges).sum(axis=1)
