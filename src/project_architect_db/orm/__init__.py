"""
The generic core: schemas, repositories and queries over any model.
"""
