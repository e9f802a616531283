"""The process from which Spark's Python workers are forked: what they need is loaded already.

A worker forked from Spark's own daemon imports pandas and pyarrow anew: a second of CPU in each of the first tasks.
Named by `spark.python.daemon.module`.
"""

import gc
import importlib

from pyspark.daemon import manager

from streaming import memory

_LOADED_BEFORE_FORKING = (
    "pyarrow.compute",
    "pyspark.sql.pandas.serializers",
    "pyspark.sql.streaming.stateful_processor_api_client",
    "pyspark.worker",
    "streaming.drops.source",
    "streaming.storage.folder",
    "streaming.returns.processor",
)

if __name__ == "__main__":
    for module in _LOADED_BEFORE_FORKING:
        importlib.import_module(module)
    # pyspark looks for garbage after each task; with all that was loaded it took up to a quarter of a drop's CPU
    gc.collect()
    gc.freeze()
    memory.keep_freed()
    manager()  # type: ignore[no-untyped-call]  # pyspark's
