"""What a shell completes where a command asks for a model."""

from __future__ import annotations

from heartzoo.errors import UserError


def model_names(incomplete: str) -> list[str]:
    """Names of the zoo in use that begin so; their versions, newest first, once there is an ``@``."""
    from heartzoo.zoo import entries
    from heartzoo.zoo.index import version_key

    try:
        known = entries()
    except (UserError, OSError):  # a shell waits for words, not for reasons
        return []
    if "@" in incomplete:
        known = sorted(known, key=lambda entry: version_key(entry.version), reverse=True)
        names = [f"{entry.name}@{entry.version}" for entry in known]
    else:
        names = sorted({entry.name for entry in known})
    return [name for name in names if name.startswith(incomplete)]
