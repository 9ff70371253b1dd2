"""优化器与学习率日程，名字、参数、状态与 ``torch.optim`` 相同。

书中：sec-bp-training
"""

from dlbook._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Optimizer": "optimizer",
        "SGD": "sgd",
        "Adagrad": "adagrad",
        "RMSprop": "rmsprop",
        "Adam": "adam",
        "AdamW": "adam",
        "lr_scheduler": "",
    },
)
