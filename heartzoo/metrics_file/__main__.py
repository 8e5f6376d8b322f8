"""``python -m heartzoo.metrics_file`` writes ``metrics.schema.json`` anew."""

from heartzoo.files import write_bytes
from heartzoo.metrics_file import SCHEMA_PATH, schema_bytes

if __name__ == "__main__":
    write_bytes(SCHEMA_PATH, schema_bytes())
