"""Copies what Docker would send to its engine, .dockerignore applied by Docker's own Python library.

Usage: context.py ROOT DESTINATION
"""

import shutil
import sys
from pathlib import Path

from docker.utils.build import exclude_paths

root, destination = map(Path, sys.argv[1:])
lines = (root / ".dockerignore").read_text().splitlines()
patterns = [line for line in lines if line and not line.startswith("#")]
for name in exclude_paths(str(root), patterns, dockerfile="docker/Dockerfile"):
    source = root / name
    if source.is_file():
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
