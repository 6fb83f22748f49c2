"""`python -m glasswork` is the command `glasswork`."""

import sys

from glasswork.cli.main import main

if __name__ == "__main__":
    code = main()
    # Python remembers an interruption that came while it carried out a text, as it does where dataclasses are made, and
    # would have `python -m` die of Ctrl-C at the end, although main() has answered it. The next text has it forget.
    exec("")
    sys.exit(code)
