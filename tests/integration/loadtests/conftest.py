"""The measuring scripts import each other as a person starts them: from their own directory."""

import sys
from pathlib import Path

# Last, so that none of their short names hides a module of somebody else.
sys.path.append(str(Path(__file__).parents[3] / "loadtests"))
