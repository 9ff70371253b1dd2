"""GPT 训练有多快：从朴素的写法起，一次只改一处，看每秒多少词元、用掉多少内存。

    python -m dlbook.training.gpt_speed                     # GPT-2 的大小，要一块 GPU
    python -m dlbook.training.gpt_speed --tiny              # 同样的程序，极小的模型，CPU 几秒
    torchrun --standalone --nproc-per-node 8 -m dlbook.training.gpt_speed --last   # 八块 GPU

输入是随机的词元：快慢与内容无关。每一级都从同样的权重出发走同样多步，损失应当相近，
否则就是改错了。

书中：sec-growing-ladder
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from dlbook.models.gpt import GPTConfig, define
from dlbook.training import distributed
from dlbook.training.device import pick_device

GPT2 = GPTConfig(50257, context=1024, layers=12, heads=12, width=768, bias=True, gelu="tanh")
TINY = GPTConfig(1000, context=64, layers=2, heads=2, width=32, bias=True, gelu="tanh")

# 显卡 → bfloat16 稠密矩阵乘法的标称峰值（每秒浮点运算），取自厂商的规格表；先写的先认。
PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12}


@dataclass(frozen=True)
class Level:
    """一种训练的写法；micro_batch 是一步里几段文字。

    书中：sec-growing-ladder
    """

    name: str
    tf32: bool = False
    bfloat16: bool = False
    fused_attention: bool = False
    fused_adamw: bool = False
    compiled: bool = False
    padded: bool = False
    micro_batch: int = 8


def ladder(micro_batch: int = 64, *, compiled: bool = True) -> list[Level]:
    """从朴素到最快的各级，后一级只比前一级多改一处；compiled=False 略去编译那一级。

    书中：sec-growing-ladder
    """
    changes = [
        ("矩阵乘法用 TF32", {"tf32": True}),
        ("bfloat16 混合精度", {"bfloat16": True}),
        ("融合的注意力", {"fused_attention": True}),
        ("融合的 AdamW", {"fused_adamw": True}),
        *([("torch.compile", {"compiled": True})] if compiled else []),
        ("词表补成 128 的倍数", {"padded": True}),
        (f"一步 {micro_batch} 段", {"micro_batch": micro_batch}),
    ]
    levels = [Level("float32，逐步写出")]
    for name, change in changes:
        levels.append(replace(levels[-1], name=name, **change))
    return levels


class Speed(NamedTuple):
    """一级的成绩：全部进程合计每秒多少词元、一步几毫秒、每块 GPU 的内存峰值（字节，CPU 上是 0）、
    MFU（不知道标称峰值时是 nan）、最后一步的损失。

    书中：sec-growing-ladder
    """

    name: str
    tokens_per_second: float
    milliseconds: float
    memory: int
    mfu: float
    loss: float

    def __str__(self) -> str:
        memory = f"{self.memory / 2**30:6.1f} GiB" if self.memory else ""
        mfu = f"  MFU {self.mfu:6.1%}" if self.mfu == self.mfu else ""
        return (
            f"{self.tokens_per_second:9.0f} 词元/秒  {self.milliseconds:8.1f} 毫秒/步  "
            f"{memory}{mfu}  损失 {self.loss:.2f}  {self.name}"
        )


def flops_per_token(config: GPTConfig) -> float:
    """训练一个词元（前向加反向）的浮点运算次数：6 ×（矩阵里的权重个数）+ 12 L T d。

    书中：eq-growing-flops
    """
    d, layers = config.width, config.layers
    weights = 12 * layers * d**2 + config.vocab_size * d
    return 6 * weights + 12 * layers * config.context * d


def peak_flops(device: torch.device) -> float:
    """device 每秒浮点运算的标称峰值；不在 PEAKS 里时是 nan。

    书中：sec-growing-mfu
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    words = name.replace("-", " ").split()
    found = (peak for card, peak in PEAKS.items() if set(card.split()) <= set(words))
    return next(found, float("nan"))


def attend_step_by_step(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, dropout_p: float, is_causal: bool
) -> torch.Tensor:
    """照定义一步步写的注意力：整个 (T, T) 的分数矩阵都存下来。不支持 dropout。

    书中：sec-growing-ladder
    """
    if dropout_p:
        raise ValueError("一步步写的注意力没有 dropout，请把 dropout 设为 0")
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if is_causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    return scores.softmax(dim=-1) @ v


def measure(
    level: Level,
    config: GPTConfig,
    device: torch.device | str,
    *,
    steps: int = 20,
    warmup: int = 10,
    seed: int = 0,
) -> Speed:
    """照 level 的写法训练 warmup + steps 步，给出后 steps 步的成绩。

    有进程组时每个进程各取各的数据，梯度平均（DDP），速度是合计。

    书中：sec-growing-ladder
    """
    device = torch.device(device)
    on_gpu = device.type == "cuda"
    if level.padded:
        config = replace(config, vocab_size=-(-config.vocab_size // 128) * 128)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if level.tf32 and on_gpu else "highest")
    try:
        torch.manual_seed(seed)
        with device:
            model = define(torch)(config)
        if not level.fused_attention:
            for block in model.blocks:
                block.attention.attend = attend_step_by_step
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=3e-4, fused=level.fused_adamw, foreach=False
        )
        # 先编译再包装：编译后的小块与 DDP 的梯度通信能够重叠。
        replica = distributed.wrap(torch.compile(model) if level.compiled else model)
        losses, seconds = _run(replica, optimizer, level, config, device, steps, warmup, seed)
    finally:
        torch.set_float32_matmul_precision(precision)
    world = distributed.world_size()
    speed = world * steps * level.micro_batch * config.context / seconds
    return Speed(
        level.name,
        speed,
        1000 * seconds / steps,
        torch.cuda.max_memory_allocated(device) if on_gpu else 0,
        speed * flops_per_token(config) / (world * peak_flops(device)),
        losses,
    )


def _run(
    model: Any,
    optimizer: torch.optim.Optimizer,
    level: Level,
    config: GPTConfig,
    device: torch.device,
    steps: int,
    warmup: int,
    seed: int,
) -> tuple[float, float]:
    """走 warmup + steps 步：（最后的损失，后 steps 步的秒数）。步与步之间不等 GPU。"""
    on_gpu = device.type == "cuda"
    generator = torch.Generator().manual_seed(seed + distributed.rank())
    shape = (4, level.micro_batch, config.context + 1)
    data = torch.randint(config.vocab_size, shape, generator=generator).to(device)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    clock = 0.0
    for step in range(warmup + steps):
        if step == warmup:
            if on_gpu:
                torch.cuda.synchronize(device)
            clock = time.perf_counter()
        batch = data[step % len(data)]
        with torch.autocast(device.type, torch.bfloat16, enabled=level.bfloat16):
            loss = model(batch[:, :-1], batch[:, 1:])[1]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    value = loss.item()  # 取出一个数，也就等到 GPU 真正算完
    return value, time.perf_counter() - clock


def climb(
    levels: Sequence[Level], config: GPTConfig, device: torch.device | str, **options: int
) -> Iterator[Speed]:
    """依次测 levels，测完一级给出一级；options 与 :func:`measure` 相同。

    书中：sec-growing-ladder
    """
    for level in levels:
        yield measure(level, config, device, **options)


def main(argv: Sequence[str] | None = None) -> None:
    """命令行；由 torchrun 启动时，每个进程用一块 GPU（没有就用 CPU）。

    书中：sec-growing-ddp
    """
    parser = argparse.ArgumentParser(
        prog="python -m dlbook.training.gpt_speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--tiny", action="store_true", help="极小的模型，CPU 上几秒就完")
    parser.add_argument("--last", action="store_true", help="只测最后一级")
    parser.add_argument("--no-compile", action="store_true", help="略去 torch.compile")
    parser.add_argument("--device", default="auto", help="auto、cpu、cuda、cuda:1 ……")
    parser.add_argument("--micro-batch", type=int, default=64, help="最后一级一步几段")
    parser.add_argument("--steps", type=int, default=20, help="计时的步数")
    args = parser.parse_args(argv)
    device = pick_device(args.device)
    if not args.tiny and device.type == "cpu":
        parser.error("GPT-2 的大小在 CPU 上一步要好几分钟；请用 --tiny，或指定 --device")
    levels = ladder(args.micro_batch, compiled=not args.no_compile)
    with distributed.session(device):
        distributed.print_main(
            f"{distributed.world_size()} 个进程，{device}，PyTorch {torch.__version__}"
        )
        config = TINY if args.tiny else GPT2
        chosen = levels[-1:] if args.last else levels
        for speed in climb(chosen, config, device, steps=args.steps):
            distributed.print_main(speed, flush=True)


if __name__ == "__main__":
    main()
