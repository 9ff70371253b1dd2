"""第 1 章公式的核对：折扣回报的展开、策略梯度的枚举、变分自编码器的损失。"""

import itertools

import numpy as np
import torch
from bookcheck.equations import definition, verifies

import dlbook
from dlbook.models import policy, vae

definition("eq-intro-model", "模型是参数定下的函数")


@verifies("eq-intro-return", by="递推的结果与直接求和 Σ γᵏ r_{t+k} 比较")
def test_return():
    rewards = np.random.default_rng(0).normal(size=(6, 3))
    gain = policy.returns(rewards, 0.9)
    for t in range(6):
        direct = sum(0.9**k * rewards[t + k] for k in range(6 - t))
        np.testing.assert_allclose(gain[t], direct, rtol=1e-12)


def every_episode(world, p):
    """枚举全部动作序列：逐个给出（记录, 概率, 总奖励）；结束之后的动作不计。"""
    for choice in itertools.product(range(4), repeat=world.limit):
        state, running, record, chance = world.start, True, [], torch.tensor(1.0, dtype=p.dtype)
        for action in choice:
            reward = world.reward[world.next[state, action]] if running else 0.0
            record.append((state, action, reward, running))
            chance = chance * (p[state, action] if running else 0.25)
            if running:
                running = reward == 0
                state = world.next[state, action] if running else state
        columns = (np.array(column)[:, None] for column in zip(*record, strict=True))
        played = policy.Episodes(*columns)
        yield played, chance, float(played.rewards.sum())


@verifies("eq-intro-reinforce", by="枚举两步的全部回合：右边的期望等于期望奖励的梯度")
def test_policy_gradient():
    world = policy.GridWorld(("So", "*."), limit=2)
    theta = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    expected = sum(chance * total for _, chance, total in every_episode(world, theta.softmax(1)))
    (exact,) = torch.autograd.grad(expected, theta)
    estimate = torch.zeros_like(theta)
    for played, chance, _ in every_episode(world, theta.softmax(1)):
        gain = policy.returns(played.rewards, 1.0)
        loss = policy.surrogate(torch, theta.log_softmax(1), played, gain)
        estimate -= chance.item() * torch.autograd.grad(loss, theta)[0]
    torch.testing.assert_close(estimate, exact, rtol=1e-4, atol=1e-6)
    assert exact.abs().max() > 0.01


@verifies("eq-intro-vae", by="模型的损失与 torch.distributions 的伯努利对数似然、KL 散度比较")
def test_vae_loss():
    dlbook.manual_seed(0)
    model = vae.define(dlbook)(latent=3, width=8)
    x = dlbook.rand(5, 784)
    mean, log_variance = model.encode(x)
    dlbook.manual_seed(1)
    loss = model(x).item()
    dlbook.manual_seed(1)
    z = mean + (log_variance / 2).exp() * dlbook.randn(mean.shape)

    def torch_of(value):
        return torch.tensor(value.detach().numpy())

    score = torch.distributions.Bernoulli(logits=torch_of(model.decode(z)), validate_args=False)
    code = torch.distributions.Normal(torch_of(mean), torch_of(log_variance).exp().sqrt())
    kl = torch.distributions.kl_divergence(code, torch.distributions.Normal(0.0, 1.0))
    expected = (kl.sum() - score.log_prob(torch_of(x)).sum()) / 5
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-5)
