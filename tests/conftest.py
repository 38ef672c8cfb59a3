"""
What all tests share.
"""

import os

# Many tests start the command, or another program that imports the package. Where the
# environment says not to write bytecode, each of them would compile all of it again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser):
    """
    An option for those who change something about concurrency.
    """
    parser.addoption(
        "--both-loops", action="store_true",
        help="run each concurrency test on asyncio's event loop and on uvloop",
    )  # fmt: skip
