"""Runs the stand-in: `python3 -m perf …`."""

import sys

from .command import main

sys.exit(main(sys.argv[1:]))
