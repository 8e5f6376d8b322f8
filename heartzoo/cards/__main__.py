"""``python -m heartzoo.cards``: see :mod:`heartzoo.cards`."""

from heartzoo.zoo import zoo_folder
from heartzoo.zoo.publishing import rewrite_cards

if __name__ == "__main__":
    for label in rewrite_cards(zoo_folder()):
        print(f"{label}: its card is new")
