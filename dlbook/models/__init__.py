"""书里训练的模型，一个模型一个模块，用到哪个导入哪个：``from dlbook.models import mlp``。"""
