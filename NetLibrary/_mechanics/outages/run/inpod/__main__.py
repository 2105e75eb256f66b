"""Starts the prober when the archive is run."""

import sys

from .prober import main

if __name__ == "__main__":
    sys.exit(main())
