"""Compression: steps after a training, each a training of its own with checkpoints of its own."""
