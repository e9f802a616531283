"""What boto3 and moto would do again and again is done once for all tests of a worker."""

from __future__ import annotations

import functools
import os
from typing import Any

from botocore.loaders import JSONFileLoader, Loader

# moto would make thousands of machine images for each account, which no test looks at
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

_read = functools.cache(JSONFileLoader().load_file)


class _ReadOnce(JSONFileLoader):
    """Each session of boto3 would read the descriptions of AWS's services anew, some MB of JSON."""

    def load_file(self, file_path: str) -> Any:
        return _read(file_path)


Loader.FILE_LOADER_CLASS = _ReadOnce
