"""Fixtures: a real PostgreSQL, a real S3 protocol server, one Spark session, each started once when first asked for."""

pytest_plugins = ["fixture_blocks", "fixture_emr", "fixture_postgres", "fixture_s3", "fixture_spark"]
