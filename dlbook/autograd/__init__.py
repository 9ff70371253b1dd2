"""自动求导：:mod:`~dlbook.autograd.scalar` 是一个数一个节点的微型引擎，
:mod:`~dlbook.autograd.gradcheck` 用数值微分核对任何一对前向、反向。

用到哪个导入哪个：``from dlbook.autograd.scalar import Value``。
"""
