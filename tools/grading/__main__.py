"""``python -m grading``: see :mod:`grading.cli`."""

import sys

if sys.platform == "win32":  # without the calls by which limits are set and processes ended
    sys.exit("Problem sets are released and graded on Linux or macOS; on Windows, use WSL.")

from grading.cli import main

sys.exit(main())
