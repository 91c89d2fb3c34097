"""The store of bars: one folder a series, Parquet, whole at every moment."""
