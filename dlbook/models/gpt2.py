"""把 GPT-2 的权重读进我们的 GPT：Hugging Face 的 ``model.safetensors`` 与 ``config.json``。

结构本来就相同，只有三处不同：名字；线性层的权重那边存成 (in, out)，这边是 (out, in)；
那边另存了一份因果掩码，这边不需要。

书中：sec-lm-artifact
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dlbook.models.gpt import GPTConfig, define
from dlbook.safetensors import load_file

# GPT-2 的名字 → 我们的名字；h.0. → blocks.0. 另外处理。
_NAMES = {
    "wte": "token",
    "wpe": "position",
    "ln_f": "norm",
    "ln_1": "norm1",
    "ln_2": "norm2",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "mlp.c_fc": "up",
    "mlp.c_proj": "down",
}
_PATTERN = re.compile(r"(?:transformer\.)?(h\.\d+\.)?(.+)\.(weight|bias)")
_MASKS = (".attn.bias", ".attn.masked_bias")


def config_from(settings: Mapping[str, Any]) -> GPTConfig:
    """由 GPT-2 的 config.json（读成的字典）得到我们的 GPTConfig。

    激活不是 gelu 或 gelu_new、归一化的 ε 不是 1e-5、前馈不是 4 倍宽时抛出 ValueError。

    书中：sec-lm-artifact
    """
    gelu = {"gelu": "none", "gelu_new": "tanh"}.get(settings["activation_function"])
    width, inner = settings["n_embd"], settings.get("n_inner")
    epsilon = settings["layer_norm_epsilon"]
    if gelu is None or epsilon != 1e-5 or inner not in (None, 4 * width):
        raise ValueError(
            "只认识 GELU 激活、ε 为 1e-5、前馈为 4 倍宽的 GPT-2，收到 "
            f"{settings['activation_function']}、{epsilon}、{inner}"
        )
    return GPTConfig(
        vocab_size=settings["vocab_size"],
        context=settings["n_positions"],
        layers=settings["n_layer"],
        heads=settings["n_head"],
        width=width,
        dropout=settings.get("resid_pdrop", 0.0),
        bias=True,
        gelu=gelu,
    )


def convert(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """GPT-2 的各权重 → 我们的 state_dict；不认识的名字抛出 KeyError。

    书中：sec-lm-artifact
    """
    state = {}
    for name, value in tensors.items():
        if name.endswith(_MASKS):
            continue
        match = _PATTERN.fullmatch(name)
        if match is None or match[2] not in (*_NAMES, "lm_head"):
            raise KeyError(f"GPT-2 里没有名为 {name} 的权重")
        block, layer, kind = match.groups()
        ours = _NAMES.get(layer, "head")
        prefix = block.replace("h.", "blocks.") if block else ""
        transposed = "." in layer and kind == "weight"  # attn.… 与 mlp.… 存成 (in, out)
        state[f"{prefix}{ours}.{kind}"] = value.T if transposed else value
    state["head.weight"] = state["token.weight"]
    return state


def load(lib: ModuleType, folder: str | os.PathLike) -> Any:
    """在引擎 lib 上建起 folder 里的 GPT-2，处于评估状态。

    folder 里要有 config.json 与 model.safetensors；缺文件抛出 FileNotFoundError，
    权重缺一个、多一个、形状不对，抛出 RuntimeError。

    书中：sec-lm-artifact
    """
    folder = Path(folder)
    config = config_from(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    tensors, _ = load_file(folder / "model.safetensors")
    model = define(lib)(config)
    model.load_state_dict({k: lib.tensor(np.array(v)) for k, v in convert(tensors).items()})
    return model.eval()
