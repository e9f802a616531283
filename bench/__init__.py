"""Speed, measured side by side: `python -m bench`, see README.md in this folder."""
