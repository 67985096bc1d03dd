"""``python -m ctran``."""

import sys

from ctran.cli.main import main

sys.exit(main())
