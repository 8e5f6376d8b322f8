"""Model cards, written from ``configuration.json`` and ``metrics.json``: one section each, and what they consist of.

``python -m heartzoo.cards`` writes the cards of every version of the zoo in use anew.
"""

from heartzoo.cards.card import card

__all__ = ["card"]
