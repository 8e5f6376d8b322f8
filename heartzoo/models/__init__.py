"""Architectures, one file per family. Importing this package imports Keras."""

from heartzoo.models import (  # noqa: F401  (importing registers them)
    baseline_cnn,
    cnn_187,
    committee,
    dualpath_resnet,
    efficientnetv2,
    enhanced_cnn,
    lstm_187,
    mlp,
    nin_187,
    resnet,
    rhythm_cnn,
)
from heartzoo.models.registry import build, list_architectures, register

__all__ = ["build", "list_architectures", "register"]
