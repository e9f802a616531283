"""The process that Spark's Python workers are forked from, with what they need already loaded.

A worker forked from Spark's own daemon imports pandas and pyarrow anew: a second of CPU in each of the first tasks.
Named by `spark.python.daemon.module`.
"""

import pyarrow.compute
import pyspark.sql.pandas.serializers
import pyspark.sql.streaming.stateful_processor_api_client
import pyspark.worker  # noqa: F401 (loaded for the forks)
from pyspark.daemon import manager

import streaming.drops
import streaming.folder
import streaming.returns  # noqa: F401 (loaded for the forks)

if __name__ == "__main__":
    manager()
