"""What a shell completes where a command asks for a model."""

from __future__ import annotations

from heartzoo.errors import UserError


def model_names(incomplete: str) -> list[str]:
    """Names of the zoo in use that begin so. No versions: to bash an ``@`` begins another word."""
    from heartzoo.zoo import entries

    try:
        known = entries()
    except (UserError, OSError):  # a shell waits for words, not for reasons
        return []
    return sorted({entry.name for entry in known if entry.name.startswith(incomplete)})
