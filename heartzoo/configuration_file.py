"""Reading ``configuration.json``; :mod:`heartzoo.contract` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from heartzoo.errors import UserError


def learnt_from(configuration: dict[str, Any]) -> list[str]:
    """Every split whose people the weights have seen, as :attr:`heartzoo.config.Config.learnt_from`."""
    splits = configuration["splits"]
    return list(dict.fromkeys([*splits["train"], *splits.get("pretrained", ())]))


def read(path: Path) -> dict[str, Any]:
    """The content of a ``configuration.json``; the data of its makers that it tells of are known from then on.

    Raises:
        UserError: the file is absent or not heartzoo's.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        own = content.get("own_data")  # not in files of models that were trained on databases that heartzoo knows
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing", "restore it") from error
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path} is not a configuration.json of heartzoo", "restore it") from error
    if own:
        from heartzoo.data.own import adopt

        adopt(own, str(path))
    return dict(content)
