"""A process that has imported what a training needs, and waits for one: most of a short training is imports otherwise."""

import json
import sys

from ctran.cli.main import main as run


def main() -> int:
    """Run the one ``ctran`` command that comes on standard input, as a JSON list; end when there is none."""
    import ctran.training.evaluation
    import ctran.training.fit  # noqa: F401

    line = sys.stdin.readline()
    return run(json.loads(line)) if line.strip() else 0


if __name__ == "__main__":
    sys.exit(main())
