"""
``python -m project_architect_db``: the command line.
"""

from project_architect_db.cli import main

if __name__ == "__main__":
    main()
