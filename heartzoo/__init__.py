"""heartzoo: small ECG models for microcontrollers, measured on patients they have never seen.

Not a medical device: for research and education.

Importing this package is cheap; what a name needs is imported when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from heartzoo._version import __version__

if TYPE_CHECKING:
    from heartzoo.classification.personal_map import PersonalMap
    from heartzoo.classification.personalise import personalise
    from heartzoo.classification.recordings import classify
    from heartzoo.classification.stream import Stream
    from heartzoo.config.file import load_config
    from heartzoo.data.records import open_record
    from heartzoo.data.rr_tracker import RRTracker
    from heartzoo.errors import UserError
    from heartzoo.zoo import info, list_models
    from heartzoo.zoo.download import download
    from heartzoo.zoo.published import load, load_tflite

_MODULES = {
    "PersonalMap": "heartzoo.classification.personal_map",
    "RRTracker": "heartzoo.data.rr_tracker",
    "Stream": "heartzoo.classification.stream",
    "UserError": "heartzoo.errors",
    "classify": "heartzoo.classification.recordings",
    "download": "heartzoo.zoo.download",
    "info": "heartzoo.zoo",
    "list_models": "heartzoo.zoo",
    "load": "heartzoo.zoo.published",
    "load_config": "heartzoo.config.file",
    "load_tflite": "heartzoo.zoo.published",
    "open_record": "heartzoo.data.records",
    "personalise": "heartzoo.classification.personalise",
}

__all__ = [
    "PersonalMap",
    "RRTracker",
    "Stream",
    "UserError",
    "__version__",
    "classify",
    "download",
    "info",
    "list_models",
    "load",
    "load_config",
    "load_tflite",
    "open_record",
    "personalise",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'heartzoo' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
