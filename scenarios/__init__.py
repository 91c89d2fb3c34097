"""Rehearsals: the scenario harness and the scenarios it ships with."""
