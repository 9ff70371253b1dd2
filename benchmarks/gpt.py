"""GPT 的生成与训练有多快：与 Hugging Face 的 generate、与不带缓存、与手写的训练循环比。

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 python benchmarks/gpt.py

单线程，float32。各种做法先核对结果相同（写出的词元、训练的损失），再交替计时，取各轮之比的
中位数；计的是处理器时间，机器上有别的程序时也大致可比。要有 transformers。
"""

import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_
from transformers import GPT2Config, GPT2LMHeadModel

from dlbook.models import gpt2
from dlbook.models.generate import generate
from dlbook.models.gpt import GPTConfig, define
from dlbook.models.stepwise import Stepwise
from dlbook.training import language, train

VOCABULARY, TOKENS, ROUNDS = 3003, 250, 5


def measure(*runs: Callable[[], object]) -> list[list[float]]:
    """交替运行 ROUNDS 轮，给出每种每轮的秒数；先各跑一次热身。"""
    for run in runs:
        run()
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, record in zip(runs, seconds, strict=True):
            start = time.process_time()
            run()
            record.append(time.process_time() - start)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> float:
    """各轮之比的中位数。"""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def generation() -> None:
    """贪心地写 250 个词元，批大小 1：我们的与 Hugging Face 的（有缓存）。

    我们的三种：逐词元（Stepwise，有缓存）、引擎的前向加缓存、没有缓存。
    """
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=256, n_embd=192, n_layer=4, n_head=6,
        bos_token_id=0, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    theirs = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.normal_(std=0.1)
    ours = define(torch)(gpt2.config_from(theirs.config.to_dict())).eval()
    state = gpt2.convert({k: v.numpy() for k, v in theirs.state_dict().items()})
    ours.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    prompt = torch.tensor([[1, 2, 3]])
    outputs = {}
    steps = Stepwise(ours)

    def stepwise() -> None:
        outputs["逐词元"] = generate(steps, prompt, TOKENS, temperature=0)

    def cached() -> None:
        outputs["有缓存"] = generate(ours, prompt, TOKENS, temperature=0)

    def uncached() -> None:
        outputs["无缓存"] = generate(ours, prompt, TOKENS, temperature=0, cached=False)

    def hugging_face() -> None:
        outputs["HF"] = theirs.generate(
            prompt, do_sample=False, max_new_tokens=TOKENS, use_cache=True
        ).numpy()

    seconds = measure(stepwise, cached, hugging_face, uncached)
    assert all((out == outputs["有缓存"]).all() for out in outputs.values())
    print(f"生成 {TOKENS} 个词元，宽 192、四层，批大小 1，写出的词元都相同")
    for name, record in zip(outputs, seconds, strict=True):
        print(f"  {TOKENS / statistics.median(record):6.0f} 词元/秒  {name}")
    for name, fast in (("逐词元", seconds[0]), ("有缓存", seconds[1])):
        print(
            f"  {name}是 Hugging Face 的 {ratio(seconds[2], fast):.2f} 倍（目标 2），"
            f"是无缓存的 {ratio(seconds[3], fast):.1f} 倍（目标 10）"
        )


def training(steps: int = 30) -> None:
    """同样的模型、数据与配方：dlbook.training 的循环与手写的循环。"""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, VOCABULARY, (1000, 50)).tolist()
    recipe = language.Recipe(steps=steps)
    losses = {}

    def model_and_optimizers() -> tuple:
        torch.manual_seed(0)
        model = define(torch)(GPTConfig(VOCABULARY))
        for block in model.blocks:
            block.attention.attend = language.attend_in_float32
        optimizers = language.make_optimizers(model, recipe)
        return model, optimizers, language.make_schedules(optimizers, recipe)

    def by_train() -> None:
        model, optimizers, schedules = model_and_optimizers()
        batches = language.BucketBatches(rows)
        history = train(
            model, batches, optimizers, loss=language.language_loss, steps=steps,
            schedule=schedules, clip_norm=recipe.clip_norm, precision="auto",
        )  # fmt: skip
        losses["train"] = history.loss

    def by_hand() -> None:
        model, optimizers, schedules = model_and_optimizers()
        bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        record, epoch = [], 0
        while len(record) < steps:
            for x, y in language.BucketBatches(rows).epoch(epoch):
                with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                    loss = model(x, y)[1]
                for o in optimizers:
                    o.zero_grad()
                loss.backward()
                clip_grad_norm_(model.parameters(), recipe.clip_norm)
                for o, s in zip(optimizers, schedules, strict=True):
                    o.step()
                    s.step()
                record.append(loss.item())
                if len(record) == steps:
                    break
            epoch += 1
        losses["手写"] = record

    seconds = measure(by_train, by_hand)
    assert all(math.isclose(a, b) for a, b in zip(losses["train"], losses["手写"], strict=True))
    print(f"训练 {steps} 步，损失逐步相同")
    for name, record in zip(("dlbook.training", "手写的循环"), seconds, strict=True):
        print(f"  {steps * recipe.tokens / statistics.median(record):6.0f} 目标/秒  {name}")
    print(f"  用时是手写的 {ratio(seconds[0], seconds[1]):.3f} 倍（目标 1.05 以内）")


if __name__ == "__main__":
    torch.set_num_threads(1)
    generation()
    training()
