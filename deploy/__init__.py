"""Builds, deploys and removes StockETL streaming on AWS."""
