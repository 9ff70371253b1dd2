"""神经网络的积木，名字、参数、形状与 ``torch.nn`` 相同；state_dict 与 PyTorch 互通。

书中：sec-bp-engine
"""

from dlbook._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "functional": "",
        "init": "",
        "utils": "",
        "Module": "module",
        "Parameter": "parameter",
        "Sequential": "containers",
        "ModuleList": "containers",
        "ModuleDict": "containers",
        "Identity": "linear",
        "Flatten": "linear",
        "Linear": "linear",
        "Conv2d": "conv",
        "MaxPool2d": "pooling",
        "AvgPool2d": "pooling",
        "LayerNorm": "normalization",
        "RMSNorm": "normalization",
        "BatchNorm1d": "normalization",
        "BatchNorm2d": "normalization",
        "Embedding": "sparse",
        "Dropout": "dropout",
        "ReLU": "activation",
        "GELU": "activation",
        "LeakyReLU": "activation",
        "ELU": "activation",
        "SiLU": "activation",
        "Sigmoid": "activation",
        "Tanh": "activation",
        "Softplus": "activation",
        "Softmax": "activation",
        "LogSoftmax": "activation",
        "MultiheadAttention": "attention",
        "CrossEntropyLoss": "loss",
        "NLLLoss": "loss",
        "MSELoss": "loss",
        "L1Loss": "loss",
        "BCELoss": "loss",
        "BCEWithLogitsLoss": "loss",
    },
)
