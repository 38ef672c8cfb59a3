"""
What all tests share.
"""

import os

# Many tests start the command, or another program that imports the package. Where the
# environment says not to write bytecode, each of them would compile all of it again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
