"""`python -m llmrouter_core.testing` prints the rules, as `docs/conformance.md` lists them."""

import sys

from llmrouter_core.testing.checks import page

if __name__ == "__main__":
    sys.stdout.write(page())
