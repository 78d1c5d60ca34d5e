"""Run the command `palimpsest` as `python -m palimpsest`."""

import sys

from palimpsest.cli import main

sys.exit(main())
