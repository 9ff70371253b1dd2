"""练习的错误解法（变异体）：``from bookcheck.exercises import mutant``。"""

from bookcheck.equations import kill, mutant, registered_mutants

__all__ = ["kill", "mutant", "registered_mutants"]
