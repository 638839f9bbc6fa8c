"""The archive: Parquet from very many pictures."""
