"""画数字的生成模型：变分自编码器（variational autoencoder, VAE）。

编码器把一张图压成几个数（隐变量）的分布，解码器由隐变量把图画回来；训练时既要画得像，
又要隐变量合起来接近标准正态分布。训练之后，从标准正态分布里随手抽一个隐变量，就画出一张新的图。
给了类别（classes > 0），编码器与解码器还各看一眼“要画哪个数字”，就成了条件生成。

同一份文件在两个引擎上运行：``define(dlbook)`` 与 ``define(torch)`` 各给出一个 VAE 类。
图一律是 (N, 28, 28) 的 float32 NumPy 数组，像素在 0 与 1 之间。

书中：sec-intro-generative
"""

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

Tensor = Any  # 引擎的张量：dlbook.Tensor 或 torch.Tensor
SIDE = 28


@cache
def define(lib: ModuleType) -> type:
    """在引擎 lib（dlbook 或 torch）上定义 VAE；同一个引擎总得到同一个类。

    书中：sec-intro-generative
    """
    nn, F = lib.nn, lib.nn.functional

    class VAE(nn.Module):
        """28×28 的图 ⇄ latent 个隐变量；classes 是类别数，0 表示不看类别。"""

        engine = lib

        def __init__(self, latent: int = 16, width: int = 256, classes: int = 0) -> None:
            super().__init__()
            self.latent, self.classes = latent, classes
            pixels = SIDE * SIDE
            self.encoder = nn.Sequential(
                nn.Linear(pixels + classes, width), nn.ReLU(), nn.Linear(width, 2 * latent)
            )
            self.decoder = nn.Sequential(
                nn.Linear(latent + classes, width), nn.ReLU(), nn.Linear(width, pixels)
            )

        def encode(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
            """x (N, 784)、独热的类别 label → 隐变量的均值与对数方差，各 (N, latent)。"""
            h = self.encoder(x if label is None else lib.cat([x, label], dim=1))
            mean, log_variance = h.split(self.latent, dim=1)
            return mean, log_variance

        def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
            """z (N, latent) → 每个像素的分数 (N, 784)，过 sigmoid 就是亮度。"""
            return self.decoder(z if label is None else lib.cat([z, label], dim=1))

        def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
            """平均每张图的损失：复原的误差，加上隐变量的分布离标准正态的 KL 散度。"""
            mean, log_variance = self.encode(x, label)
            z = mean + (log_variance / 2).exp() * lib.randn(mean.shape)
            error = F.binary_cross_entropy_with_logits(self.decode(z, label), x, reduction="sum")
            kl = (mean**2 + log_variance.exp() - log_variance - 1).sum() / 2
            return (error + kl) / len(x)

    return VAE


def train(
    model: Any,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    steps: int,
    rng: np.random.Generator,
    batch_size: int = 128,
    lr: float = 0.002,
) -> np.ndarray:
    """用 Adam 训练 steps 步，学习率线性降到 0，就地更新 model；返回每步的损失 (steps,)。

    images (m, 28, 28)；model 看类别时须给 labels (m,)，否则不给，不然抛出 ValueError。

    书中：sec-intro-generative
    """
    lib = model.engine
    optimizer = lib.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        rows = rng.integers(0, len(images), batch_size)
        loss = model(_flat(lib, images[rows]), _label(model, labels, rows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def encode(model: Any, images: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """图 (N, 28, 28) → 隐变量的均值 (N, latent)。

    书中：sec-intro-latent
    """
    with model.engine.no_grad():
        mean, _ = model.encode(_flat(model.engine, images), _label(model, labels))
        return mean.numpy()


def draw(model: Any, z: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """隐变量 (N, latent)（看类别的还要 labels (N,)）→ 图 (N, 28, 28)。

    z 的形状不对、labels 该给不给或不该给而给，抛出 ValueError。

    书中：sec-intro-latent
    """
    lib = model.engine
    if np.ndim(z) != 2 or z.shape[1] != model.latent:
        raise ValueError(f"隐变量的形状应是 (N, {model.latent})，收到 {np.shape(z)}")
    with lib.no_grad():
        logits = model.decode(lib.from_numpy(z.astype(np.float32)), _label(model, labels))
        return logits.sigmoid().numpy().reshape(-1, SIDE, SIDE)


def complete(
    model: Any, images: np.ndarray, visible: np.ndarray, *, z: np.ndarray, steps: int = 150
) -> np.ndarray:
    """补全：images (N, 28, 28) 里只看 visible (N, 28, 28) 为真的像素，返回补好的图，同形。

    从 z (N, latent) 出发各找一个隐变量：画出来的图在看得见处与 images 相符，自己又不太偏离
    标准正态。看得见的像素原样保留，其余由模型补上。

    images、visible、z 的个数不同，或 model 看类别，抛出 ValueError。

    书中：sec-intro-generative
    """
    lib = model.engine
    if model.classes:
        raise ValueError("complete 只用于不看类别的模型（classes=0）")
    if np.shape(visible) != np.shape(images) or np.shape(z) != (len(images), model.latent):
        found = f"{np.shape(images)}、{np.shape(visible)} 与 {np.shape(z)}"
        raise ValueError(f"images、visible 应同形，z 应是 (N, {model.latent})，收到 {found}")
    target, weight = _flat(lib, images), _flat(lib, visible)
    hidden = lib.tensor(z.astype(np.float32), requires_grad=True)
    optimizer = lib.optim.Adam([hidden], lr=0.1)
    for _ in range(steps):
        error = lib.nn.functional.binary_cross_entropy_with_logits(
            model.decode(hidden), target, weight=weight, reduction="sum"
        )
        loss = error + (hidden**2).sum() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.where(visible, images, draw(model, hidden.detach().numpy()))


def interpolate(start: np.ndarray, stop: np.ndarray, n: int) -> np.ndarray:
    """从 start (latent,) 到 stop (latent,) 的线段上等距的 n 个点，含两端，(n, latent)。

    书中：sec-intro-latent
    """
    t = np.linspace(0, 1, n)[:, None]
    return (1 - t) * start + t * stop


def _flat(lib: ModuleType, images: np.ndarray) -> Tensor:
    """(N, 28, 28) 的图 → (N, 784) 的张量。"""
    if np.shape(images)[1:] != (SIDE, SIDE):
        raise ValueError(f"图的形状应是 (N, {SIDE}, {SIDE})，收到 {np.shape(images)}")
    return lib.from_numpy(np.ascontiguousarray(images, np.float32).reshape(len(images), -1))


def _label(model: Any, labels: np.ndarray | None, rows: Any = slice(None)) -> Tensor | None:
    """类别编号的 rows 各项 → 独热的张量；model 不看类别时是 None。"""
    if (labels is not None) != bool(model.classes):
        need = (
            f"看 {model.classes} 个类别，请给 labels" if model.classes else "不看类别，别给 labels"
        )
        raise ValueError(f"这个模型{need}")
    if labels is None:
        return None
    chosen = np.asarray(labels)[rows]
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < model.classes:
        found = f"{chosen.min()} 到 {chosen.max()}"
        raise ValueError(f"类别应是 0 到 {model.classes - 1} 的整数，收到 {found}")
    one_hot = np.eye(model.classes, dtype=np.float32)[chosen]
    return model.engine.from_numpy(one_hot)
