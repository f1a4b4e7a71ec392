"""`python vcon_library.py FILE...`: what the working group's library finds wrong in vCons, as JSON by file."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from vcon import Vcon

logging.disable()
found = {}
for path in sys.argv[1:]:
    is_valid, faults = Vcon.build_from_json(Path(path).read_text("utf-8")).is_valid()
    found[path] = [] if is_valid else faults
sys.stdout.write(json.dumps(found))
