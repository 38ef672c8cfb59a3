"""
What this library costs beside its yardsticks: ``python -m benchmarks``.
"""
