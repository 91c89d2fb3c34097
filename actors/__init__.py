"""The runtime and the seven actors; knows every floor below and assembles a session."""
