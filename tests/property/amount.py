"""How many examples the property tests try: EHPC_HISTORIES, or few."""

import os

HISTORIES = int(os.environ.get("EHPC_HISTORIES", "50"))
