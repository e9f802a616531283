"""The fate of a drop. The ledger's column `status` has older words for it, which nothing else uses."""

from __future__ import annotations

FATE = "CASE d.status WHEN 'loaded' THEN 'success' ELSE d.status END AS fate"
"""SQL, of a row `d` of `stocketl.drops`: success or failed, and loading as long as it goes on."""
