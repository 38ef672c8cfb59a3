"""
Projects, conversations, documents and code repositories.
"""
