"""``python -m heartzoo.zoo`` writes ``index.schema.json`` anew."""

import json

from heartzoo.files import write_bytes
from heartzoo.zoo.index import SCHEMA_PATH, schema

if __name__ == "__main__":
    write_bytes(SCHEMA_PATH, (json.dumps(schema(), indent=2) + "\n").encode())
