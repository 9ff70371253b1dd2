"""把训练好的 GPT 存成一个文件、再读回来：权重、尺寸、词表都在里面。

书中：sec-lm-artifact
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from types import ModuleType
from typing import Any

import numpy as np

from dlbook import artifacts
from dlbook.models.gpt import GPTConfig, define
from dlbook.safetensors import load_file, save_file
from dlbook.serialization import CheckpointError
from dlbook.text import CharTokenizer

TANG = "gpt-tang.safetensors"


def save(
    path: str | os.PathLike,
    model: Any,
    tokenizer: CharTokenizer,
    info: Mapping[str, str] | None = None,
) -> None:
    """把 model 与它的词表存成 path（safetensors）；info 是附带的说明。

    书中：sec-lm-artifact
    """
    state = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
    del state["head.weight"]  # 与 token.weight 是同一个矩阵，存一份就够
    config = json.dumps(asdict(model.config), sort_keys=True)
    save_file(state, path, {**(info or {}), "config": config, "vocab": tokenizer.vocab})


def load(path: str | os.PathLike, lib: ModuleType) -> tuple[Any, CharTokenizer]:
    """读回 :func:`save` 存的（模型，词元化器）；模型在引擎 lib 上，处于评估状态。

    不是 :func:`save` 存的，抛出 CheckpointError；打不开抛出 OSError。

    书中：sec-lm-artifact
    """
    state, info = load_file(path)
    if not {"config", "vocab"} <= info.keys():
        raise CheckpointError(f"{path}：里面没有模型的尺寸与词表，不是 saved.save 存的")
    model = define(lib)(GPTConfig(**json.loads(info["config"])))
    state["head.weight"] = state["token.weight"]
    model.load_state_dict({name: lib.tensor(np.array(v)) for name, v in state.items()})
    return model.eval(), CharTokenizer(info["vocab"])


def tang(lib: ModuleType) -> tuple[Any, CharTokenizer]:
    """第 8.6 节训练的写唐诗的模型，与它的词表。

    书中：sec-lm-artifact
    """
    made_by = "第 8.6 节的代码，或命令 dlbook train gpt"
    return load(artifacts.require(TANG, made_by=made_by), lib)
