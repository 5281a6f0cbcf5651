"""`python -m llmrouter_core` is `llmrouter`."""

from llmrouter_core.cli import main

if __name__ == "__main__":
    main()
