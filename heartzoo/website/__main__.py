"""``python -m heartzoo.website FOLDER``: see :mod:`heartzoo.website`."""

import sys
from pathlib import Path

from heartzoo.website.generate import generate
from heartzoo.zoo import zoo_folder

if __name__ == "__main__":
    generate(Path(sys.argv[1]), zoo_folder())
