"""The front door: command line, configuration, control plane."""

__version__ = "0.1.0"
