"""Data: databases, splits, download, records, examples, batches."""
