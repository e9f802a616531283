"""Speed, measured side by side: `python -m bench`, see README.md in this folder."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
