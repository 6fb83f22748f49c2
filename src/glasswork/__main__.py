"""`python -m glasswork` is the command `glasswork`."""

import sys

from glasswork.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
