"""`python -m bench.make PEOPLE FOLDER`: the records to measure with, in a process of its own; tells how many they are."""

import sys
from pathlib import Path

from bench import business

if __name__ == "__main__":
    sys.stdout.write(str(business.write(int(sys.argv[1]), Path(sys.argv[2]))))
