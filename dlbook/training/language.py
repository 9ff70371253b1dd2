"""训练语言模型：文字 → 对齐的小批量 → 配方 → 训练；损失都以奈特每目标计。

书中：sec-lm-training
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from dlbook.models.generate import Tokenizer
from dlbook.training import distributed
from dlbook.training.device import supports_bfloat16
from dlbook.training.loop import History, train
from dlbook.training.metrics import evaluating
from dlbook.training.muon import Muon
from dlbook.training.schedules import warmup_cosine, warmup_linear

Rows = Sequence[Sequence[int]]


def poem_rows(texts: Iterable[str], tokenizer: Tokenizer, end: str = "\n") -> list[list[int]]:
    """每首诗一行编号：前后各加一个 end，所以第一个字、何时结束，都要学着预测。

    书中：sec-lm-batches
    """
    return [tokenizer.encode(end + text + end) for text in texts]


def window_rows(text: str, tokenizer: Tokenizer, context: int) -> list[list[int]]:
    """把不分行的长文切成一段段，每段 context 个目标，后一段的开头接着前一段的末尾。

    不足一段时抛出 ValueError。

    书中：sec-lm-batches
    """
    ids = tokenizer.encode(text)
    rows = [ids[i : i + context + 1] for i in range(0, len(ids) - context, context)]
    if not rows:
        raise ValueError(f"文本只有 {len(ids)} 个词元，至少要 {context + 1} 个才够一段")
    return rows


class BucketBatches:
    """等长的几行成一批，不用填充：每批是（输入，目标），都是 (N, T) 的编号，目标是下一个词元。

    每批约 tokens 个目标，所以短的诗一批多几首。一轮之内每行恰好用一次：各长度内部打乱，
    切成批，再把所有的批打乱；次序只取决于 seed 与第几轮，所以能从任何一批接着来。
    多个进程时，各取 world_size 批中的一批。

    没有行、行短于两个词元、批数少于进程数时抛出 ValueError。

    书中：sec-lm-batches
    """

    def __init__(
        self,
        rows: Rows,
        *,
        tokens: int = 2080,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self.groups, self.seed = _by_length(rows), seed
        self.rank = distributed.rank() if rank is None else rank
        self.world_size = distributed.world_size() if world_size is None else world_size
        self.sizes = [max(1, tokens // (group.shape[1] - 1)) for group in self.groups]
        self.total = sum(
            -(-len(group) // size) for group, size in zip(self.groups, self.sizes, strict=True)
        )
        if self.total < self.world_size:
            raise ValueError(f"一轮只有 {self.total} 批，不够 {self.world_size} 个进程分")

    def __len__(self) -> int:
        return self.total // self.world_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return self.epoch(0)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """第 epoch 轮里从第 start 批起的各批，都从 0 数起。"""
        rng = np.random.default_rng([self.seed, epoch])
        plan = []
        for group, size in zip(self.groups, self.sizes, strict=True):
            order = torch.from_numpy(rng.permutation(len(group)))
            plan += [(group, order[i : i + size]) for i in range(0, len(order), size)]
        mine = rng.permutation(self.total)[self.rank :: self.world_size][start : len(self)]
        for group, rows in (plan[i] for i in mine):
            batch = group[rows]
            yield batch[:, :-1], batch[:, 1:]


def _by_length(rows: Rows) -> list[torch.Tensor]:
    """行按长度分组，短的在前，组内保持原来的次序；每组 (行数, 长度)。"""
    groups: dict[int, list[Sequence[int]]] = {}
    for row in rows:
        groups.setdefault(len(row), []).append(row)
    if not groups or min(groups) < 2:
        raise ValueError("至少要有一行，每行至少两个词元")
    return [torch.tensor(groups[length]) for length in sorted(groups)]


@dataclass(frozen=True)
class Recipe:
    """训练的配方；matrix_lr 是各块里矩阵的学习率，embedding_lr 是其余参数（主要是嵌入）的。

    optimizer 是 "muon" 或 "adamw"，只管矩阵，其余参数总用 AdamW；热身之后，学习率照 decay 降到 0，
    它是 "linear"（线性）或 "cosine"（余弦）。

    书中：sec-lm-recipe
    """

    steps: int = 1200
    tokens: int = 2080
    optimizer: str = "muon"
    matrix_lr: float = 0.018
    embedding_lr: float = 0.016
    weight_decay: float = 0.1
    warmup: float = 0.03
    decay: str = "linear"
    clip_norm: float | None = 1.0
    precision: str = "auto"
    seed: int = 0


def make_optimizers(model: Any, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """各块的矩阵一组，其余（词元与位置的嵌入、归一化、偏置）一组，两组的学习率不同。

    recipe.optimizer 不认识时抛出 ValueError。

    书中：sec-lm-recipe
    """
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    adamw = {"betas": (0.9, 0.95), "weight_decay": recipe.weight_decay, "fused": True}
    rest = torch.optim.AdamW(others, lr=recipe.embedding_lr, **adamw)
    if recipe.optimizer == "muon":
        fast = recipe.precision != "float32" and supports_bfloat16(matrices[0].device)
        return [Muon(matrices, lr=recipe.matrix_lr, bfloat16=fast), rest]
    if recipe.optimizer == "adamw":
        return [torch.optim.AdamW(matrices, lr=recipe.matrix_lr, **adamw), rest]
    raise ValueError(f"optimizer 应是 muon 或 adamw，收到 {recipe.optimizer!r}")


def make_schedules(
    optimizers: Iterable[torch.optim.Optimizer], recipe: Recipe
) -> list[torch.optim.lr_scheduler.LambdaLR]:
    """各优化器的学习率日程：热身，再照 recipe.decay 降到 0。

    recipe.decay 不认识时抛出 ValueError。

    书中：sec-lm-schedule
    """
    shapes = {"linear": warmup_linear, "cosine": warmup_cosine}
    if recipe.decay not in shapes:
        raise ValueError(f"decay 应是 linear 或 cosine，收到 {recipe.decay!r}")
    warmup = round(recipe.warmup * recipe.steps)
    return [shapes[recipe.decay](o, recipe.steps, warmup=warmup) for o in optimizers]


def attend_in_float32(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **options: Any
) -> torch.Tensor:
    """用 float32 算注意力，周围的混合精度照旧：CPU 上 bfloat16 的注意力反向特别慢。

    书中：sec-lm-precision
    """
    with torch.autocast(q.device.type, enabled=False):
        return scaled_dot_product_attention(q.float(), k.float(), v.float(), **options)


def language_loss(model: Any, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """一批（输入，目标）上每个目标的平均交叉熵，单位奈特。

    书中：sec-lm-recipe
    """
    return model(*batch)[1]


def fit(
    model: Any,
    rows: Rows,
    recipe: Recipe,
    *,
    evaluate: Callable[[Any], Mapping[str, float]] | None = None,
    **options: Any,
) -> History:
    """照 recipe 在 rows 上训练 model，就地更新；options 传给 :func:`dlbook.training.train`。

    书中：sec-lm-recipe
    """
    if next(model.parameters()).device.type == "cpu":
        for block in model.blocks:
            block.attention.attend = attend_in_float32
    optimizers = make_optimizers(model, recipe)
    return train(
        model,
        BucketBatches(rows, tokens=recipe.tokens, seed=recipe.seed),
        optimizers,
        loss=language_loss,
        steps=recipe.steps,
        schedule=make_schedules(optimizers, recipe),
        clip_norm=recipe.clip_norm,
        precision=recipe.precision,
        evaluate=evaluate,
        count=lambda batch: batch[1].numel(),
        **options,
    )


def validation_loss(model: Any, rows: Rows, tokens: int = 8192) -> float:
    """rows 上每个目标的平均交叉熵（奈特），float32；每行单独算，各目标的权重相同。

    书中：sec-lm-measure
    """
    total, count = 0.0, 0
    with evaluating(model) as device:
        for group in _by_length(rows):
            for part in group.split(max(1, tokens // (group.shape[1] - 1))):
                part = part.to(device)
                n = part[:, 1:].numel()
                total += n * language_loss(model, (part[:, :-1], part[:, 1:])).item()
                count += n
    return total / count
