"""
Questions over all entities, answered from millions of rows while the app goes on.

`repository` is where they are asked; `questions` what a question is, `cache` how long
an answer holds, `scope` what limits all of them, `reports` and `charts` what comes out.
"""
