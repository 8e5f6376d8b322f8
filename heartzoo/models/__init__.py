"""Architectures, one file per family. Importing this package imports Keras."""

from heartzoo.models import efficientnetv2, resnet  # noqa: F401  (importing registers them)
from heartzoo.models.registry import build, list_architectures, register

__all__ = ["build", "list_architectures", "register"]
