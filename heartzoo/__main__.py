"""``python -m heartzoo``."""

from heartzoo.cli import main

if __name__ == "__main__":
    main()
