"""`python -m NetLibrary.lab`."""

import sys

from NetLibrary.lab.cli import main

sys.exit(main())
