"""
What all tests share.
"""

import gc
import os
import sys

import pytest

# Many tests start the command, or another program that imports the package. Where the
# environment says not to write bytecode, each of them would compile all of it again,
# and each worker all of the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(parser):
    """
    An option for those who change something about concurrency.
    """
    parser.addoption(
        "--both-loops", action="store_true",
        help="run each concurrency test on asyncio's event loop and on uvloop",
    )  # fmt: skip


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """
    Nothing is garbage while tests are collected, nor what is left of it afterwards.

    The garbage collector would look at all of it again and again.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
