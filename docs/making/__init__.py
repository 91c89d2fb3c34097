"""The makers of the generated pages of docs/reference; ``docs/generate.py`` is the command."""
